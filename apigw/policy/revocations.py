"""Tokens that count no more although they have not expired: by their id, or by whom they speak of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from math import inf, isfinite, isnan
from typing import Protocol

from attrs import frozen

from apigw.policy.principal import Principal

KINDS = ("jti", "sub")

MAX_VALUE = 1024
"""Characters of a value."""


class RevocationsFull(Exception):
    """There is no room for another one, and none may make room: it would let in who was shut out."""


@frozen
class Revocation:
    """
    :ivar kind: ``jti`` for one token by its id (RFC 7519 section 4.1.7), ``sub`` for all of a subject.
    :ivar value: of the claim.
    :ivar expires: seconds since 1970 after which it may be forgotten, since what it concerns has expired by itself.
    :ivar issued_before: seconds since 1970; tokens that say by ``iat`` that they were issued then or later still count.
    """

    kind: str
    value: str
    expires: float
    issued_before: float = inf

    def concerns(self, who: Principal) -> bool:
        """Whether the token that ``who`` was made of is one of those revoked."""
        claims = who.claims
        if self.value != claims.get(self.kind) and not (self.kind == "sub" and self.value == who.user):
            return False
        if self.issued_before == inf:
            return True
        issued = claims.get("iat")
        return not isinstance(issued, int | float) or issued < self.issued_before


class Sharing(Protocol):
    """
    Tells other instances; what they tell comes in by :meth:`Revocations.take` and :meth:`Revocations.drop`.

    :ivar behind: others may have revoked what is not known here.
    """

    @property
    def behind(self) -> bool: ...

    def added(self, entry: Revocation) -> None: ...

    def removed(self, kind: str, value: str) -> None: ...


Hook = Callable[[Revocation], object]
DropHook = Callable[[str, str], object]


class Revocations:
    """
    :param now: seconds since 1970.
    :param size: entries at most.

    :ivar listed: by kind and value; empty for nothing to look for. Not to be changed.
    :ivar sharing: who else is told of what is added and removed here; None for nobody.
    """

    def __init__(self, now: Callable[[], float], size: int = 100_000) -> None:
        self.listed: dict[tuple[str, str], Revocation] = {}
        self.sharing: Sharing | None = None
        self.size = size
        self._now = now
        self._due: list[tuple[float, str, str]] = []
        """A heap; it may have entries that were removed or replaced since."""
        self._hooks: list[Hook] = []
        self._drop_hooks: list[DropHook] = []

    def __len__(self) -> int:
        return len(self.listed)

    def on_add(self, hook: Hook) -> None:
        """
        Have ``hook`` called with each entry that comes in, from wherever: so that what was let in earlier and still
        goes on, such as a WebSocket, can be ended where :meth:`Revocation.concerns` says so.
        """
        self._hooks.append(hook)

    def on_drop(self, hook: DropHook) -> None:
        """Have ``hook`` called with kind and value of each entry that was there and is taken back."""
        self._drop_hooks.append(hook)

    # -- from here -------------------------------------------------------------------------------------------------

    def add(self, entry: Revocation) -> None:
        """
        Put it in place of what there is of the same kind and value, and tell the other instances.

        :raises RevocationsFull:
        """
        self.take(entry)
        if self.sharing is not None:
            self.sharing.added(entry)

    def remove(self, kind: str, value: str) -> bool:
        """:return: whether it was there."""
        found = self.drop(kind, value)
        if self.sharing is not None:
            self.sharing.removed(kind, value)
        return found

    def get(self, kind: str, value: str) -> Revocation | None:
        self._forget()
        return self.listed.get((kind, value))

    def entries(self) -> Iterable[Revocation]:
        """Those in force, in the order in which they came."""
        self._forget()
        return self.listed.values()

    # -- from elsewhere --------------------------------------------------------------------------------------------

    def take(self, entry: Revocation) -> None:
        """As :meth:`add`, but nobody is told. :raises RevocationsFull:"""
        self._forget()
        if entry.expires <= self._now():
            return
        key = entry.kind, entry.value
        if key not in self.listed and len(self.listed) >= self.size:
            raise RevocationsFull(f"There are {self.size} revocations already.")
        self.listed[key] = entry
        heappush(self._due, (entry.expires, *key))
        if len(self._due) > 2 * self.size:
            self._due = sorted((one.expires, one.kind, one.value) for one in self.listed.values())
        for hook in self._hooks:
            hook(entry)

    def drop(self, kind: str, value: str) -> bool:
        """As :meth:`remove`, but nobody is told."""
        if self.listed.pop((kind, value), None) is None:
            return False
        for hook in self._drop_hooks:
            hook(kind, value)
        return True

    # -- for each request ------------------------------------------------------------------------------------------

    def revoked(self, who: Principal) -> bool:
        """Whether the token that ``who`` was made of counts no more."""
        listed = self.listed
        claims = who.claims
        for kind, value in (("jti", claims.get("jti")), ("sub", claims.get("sub")), ("sub", who.user)):
            if isinstance(value, str):
                entry = listed.get((kind, value))
                if entry is not None and entry.expires > self._now() and entry.concerns(who):
                    return True
        return False

    def _forget(self) -> None:
        """Drop what has expired."""
        now, due = self._now(), self._due
        while due and due[0][0] <= now:
            _, *key = heappop(due)
            entry = self.listed.get((key[0], key[1]))
            if entry is not None and entry.expires <= now:
                del self.listed[entry.kind, entry.value]


def packed(entry: Revocation) -> str:
    """As others are told of it: a line of JSON."""
    value: dict[str, object] = {"kind": entry.kind, "value": entry.value, "expires": entry.expires}
    if isfinite(entry.issued_before):
        value["issued_before"] = entry.issued_before
    return json.dumps(value)


def removed(kind: str, value: str) -> str:
    """As others are told of what was taken back."""
    return json.dumps({"kind": kind, "value": value, "removed": True})


def unpacked(data: bytes | str) -> tuple[tuple[str, str], Revocation | None]:
    """:return: kind and value, empty for what is nothing of ours; the entry, None for one that was removed."""
    try:
        value = json.loads(data)
        key = value["kind"], value["value"]
        if key[0] not in KINDS or not isinstance(key[1], str) or len(key[1]) > MAX_VALUE:
            return ("", ""), None
        if value.get("removed"):
            return key, None
        expires, before = float(value["expires"]), float(value.get("issued_before", inf))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ("", ""), None
    if isnan(expires) or isnan(before):
        return ("", ""), None
    return key, Revocation(*key, expires, before)
