"""What all balancers have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from apigw.policy.balance.candidate import Candidate

P = TypeVar("P")

Usable = Callable[[Candidate[P]], bool]
"""
Whether a candidate can take the request now.

It is asked of one candidate at a time, in the order of preference, and the first that it says yes to is the one that
is picked. So it may take a permit or reserve a connection when it says yes. One that it says no to may come again.
"""


class Chance(Protocol):
    """``random.Random`` or its like."""

    def random(self) -> float:
        """In [0.0, 1.0)."""


class Balancer(ABC, Generic[P]):
    """
    Picks one of several candidates.

    :param chance: where chance comes from.
    """

    def __init__(self, chance: Chance) -> None:
        self._random = chance.random
        self._members: Sequence[Candidate[P]] = ()

    def update(self, members: Sequence[Candidate[P]], now: float) -> None:
        """Pick of these from now on; may take O(n)."""
        self._members = members

    @abstractmethod
    def pick(self, now: float, key: bytes | None, usable: Usable[P]) -> Candidate[P] | None:
        """
        Pick a candidate and count one more request on it; :meth:`done` has to follow.

        :param now: monotonic seconds.
        :param key: what consistent hashing goes by; the others ignore it.
        :return: None where no candidate is usable.
        """

    def take(self, candidate: Candidate[P], now: float) -> None:
        """Count one more request on a candidate that was chosen by other means; :meth:`done` has to follow."""
        candidate.active += 1

    def done(self, candidate: Candidate[P], now: float, elapsed: float, outcome: int) -> None:
        """
        A request that was picked for has ended.

        :param elapsed: seconds from pick to the head of the answer, or to the failure.
        :param outcome: of :mod:`apigw.policy.outcome`.
        """
        candidate.active -= 1

    def _any(self, usable: Usable[P]) -> Candidate[P] | None:
        """The first usable one of all, from a place of chance on: for when chance alone has found none. O(n)."""
        members = self._members
        count = len(members)
        start = int(self._random() * count)
        for index in range(start, start + count):
            candidate = members[index % count]
            if usable(candidate):
                candidate.active += 1
                return candidate
        return None
