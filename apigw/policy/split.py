"""Draws by weight: in even turns, or by a key that always draws the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from math import log

from attrs import frozen

Usable = Callable[[int], object]
"""Whether an entry, by its index, takes part in this draw."""

_ALL = 2.0**64


@frozen
class Entry:
    """:ivar name: what keys go by, so that an entry keeps its keys while others come and go. :ivar weight: may be 0."""

    name: str
    weight: int


class Draw:
    """
    Turns are spread as nginx's smooth weighted round robin does: after as many draws as there is weight each entry has
    had its exact share. A key is given to an entry by weighted rendezvous hashing: where a weight changes, or an entry
    is left out, only the keys move that have to.

    Source: nginx, ``ngx_http_upstream_round_robin.c``; Schindelhauer and Schomaker, Weighted distributed hash tables,
    2005.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = tuple(entries)
        self._gained = [0] * len(self._entries)

    def turn(self, usable: Usable) -> int | None:
        """:return: whose turn it is, which it has had then; None where no entry with a weight is usable."""
        taking = self._taking(usable)
        chosen = self._next(taking)
        if chosen is not None:
            for index in taking:
                self._gained[index] += self._entries[index].weight
            self._gained[chosen] -= sum(self._entries[index].weight for index in taking)
        return chosen

    def peek(self, usable: Usable) -> int | None:
        """Whose turn it is, without taking it."""
        return self._next(self._taking(usable))

    def of(self, key: bytes, usable: Usable) -> int | None:
        """The entry of a key, the same in each process and each draw."""
        best, chosen = 0.0, None
        for index in self._taking(usable):
            entry = self._entries[index]
            digest = blake2b(key, digest_size=8, key=blake2b(entry.name.encode(), digest_size=16).digest()).digest()
            score = -log((int.from_bytes(digest, "little") + 0.5) / (_ALL + 1.0)) / entry.weight
            if chosen is None or score < best:
                best, chosen = score, index
        return chosen

    def _taking(self, usable: Usable) -> list[int]:
        return [index for index, entry in enumerate(self._entries) if entry.weight and usable(index)]

    def _next(self, taking: Sequence[int]) -> int | None:
        return max(taking, key=lambda index: self._gained[index] + self._entries[index].weight, default=None)


class Share:
    """
    Says of each in turn whether it is one of a share; of any hundred 5 % are 5, evenly spread.

    :param share: 0.0 to 1.0.
    """

    def __init__(self, share: float) -> None:
        self._step = round(share * _PARTS)
        self._gained = _PARTS // 2

    def next(self) -> bool:
        self._gained += self._step
        if self._gained < _PARTS:
            return False
        self._gained -= _PARTS
        return True


_PARTS = 1_000_000_000
