"""The better of two random choices."""

from __future__ import annotations

from bisect import bisect
from typing import TypeVar

from apigw.policy.balance.balancer import Usable
from apigw.policy.balance.candidate import Candidate
from apigw.policy.balance.random import WeightedRandom

P = TypeVar("P")

PAIRS = 4
"""Before all are looked at in a row: with half of them refused, one pick in 256 comes to that."""


class PowerOfTwoChoices(WeightedRandom[P]):
    """
    Draws two by weight and takes the one with fewer requests under way for its weight, the first one where they are
    equal. So weights hold when all are idle too, where ``(active + 1) / weight`` would send all to the heaviest.

    The longest line is O(log log n) with high probability, and unlike the least of all, many gateways don't run for
    the same peer at once. Source: Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 1996.
    """

    def pick(self, now: float, key: bytes | None, usable: Usable[P]) -> Candidate[P] | None:
        members = self._members
        count = len(members)
        if count < 2:
            if count and usable(members[0]):
                members[0].active += 1
                return members[0]
            return None
        random = self._random
        bounds = self._bounds
        for _ in range(PAIRS):
            if now < self._ramp_until:
                i, j = self._draw(now), self._draw(now)
            elif bounds is None:
                i, j = int(random() * count), int(random() * count)
            else:
                i, j = bisect(bounds, random() * self._total), bisect(bounds, random() * self._total)
            first = members[i]
            second = members[j if j != i else i - 1]
            if self._worse(first, second, now):
                first, second = second, first
            if usable(first):
                first.active += 1
                return first
            if usable(second):
                second.active += 1
                return second
        return self._any(usable)

    def _worse(self, first: Candidate[P], second: Candidate[P], now: float) -> bool:
        return first.active * second.weight > second.active * first.weight
