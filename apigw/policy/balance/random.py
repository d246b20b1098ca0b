"""Chance by weight; and the draw that the two random choices begin with."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

from apigw.policy.balance.balancer import Balancer, Chance, Usable
from apigw.policy.balance.candidate import Candidate

P = TypeVar("P")

DRAWS = 8
"""Before all are looked at in a row: with half of them refused, one pick in 256 comes to that."""


class WeightedRandom(Balancer[P]):
    """
    Draws by weight: prefix sums and a bisection, O(log n), or one multiplication where all weights are equal. During
    slow start a draw is thrown away as often as the candidate isn't warm.
    """

    def __init__(self, chance: Chance) -> None:
        super().__init__(chance)
        self._total = 0
        self._bounds: list[int] | None = None
        self._ramp_until = float("-inf")

    def update(self, members: Sequence[Candidate[P]], now: float) -> None:
        super().update(members, now)
        weights = [candidate.weight for candidate in members]
        if len(set(weights)) > 1:
            *self._bounds, self._total = accumulate(weights)
        else:
            self._bounds, self._total = None, len(members)
        self._ramp_until = max((candidate.ramp_until for candidate in members), default=float("-inf"))

    def _draw(self, now: float) -> int:
        """The index of a candidate, of which there must be one, during slow start."""
        bounds = self._bounds
        for _ in range(DRAWS):
            place = self._random() * self._total
            index = int(place) if bounds is None else bisect(bounds, place)
            if self._random() < self._members[index].ramp(now):
                break
        return index

    def pick(self, now: float, key: bytes | None, usable: Usable[P]) -> Candidate[P] | None:
        members = self._members
        if not members:
            return None
        bounds = self._bounds
        for _ in range(DRAWS):
            if now < self._ramp_until:
                index = self._draw(now)
            elif bounds is None:
                index = int(self._random() * self._total)
            else:
                index = bisect(bounds, self._random() * self._total)
            candidate = members[index]
            if usable(candidate):
                candidate.active += 1
                return candidate
        return self._any(usable)
