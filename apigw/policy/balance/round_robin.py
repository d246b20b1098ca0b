"""Turns by weight, evenly spread."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush, heapreplace
from typing import TypeVar

from apigw.policy.balance.balancer import Balancer, Chance, Usable
from apigw.policy.balance.candidate import Candidate
from apigw.policy.balance.turns import join

P = TypeVar("P")


class RoundRobin(Balancer[P]):
    """
    Earliest deadline first: each candidate has its next turn 1/weight after its last one, in virtual time. That
    spreads turns as nginx's smooth weighted round robin does, which looks at all candidates each time; this takes
    O(log n). One that is refused has lost its turn, so that it doesn't get them all at once later.

    Source: Envoy, ``EdfScheduler``.
    """

    def __init__(self, chance: Chance) -> None:
        super().__init__(chance)
        self._heap: list[tuple[float, int, Candidate[P]]] = []
        self._clock = 0.0
        self._count = 0

    def update(self, members: Sequence[Candidate[P]], now: float) -> None:
        super().update(members, now)
        join(members, self._clock, self._random, now)
        self._heap = [(candidate.turn, index, candidate) for index, candidate in enumerate(members)]
        self._count = len(members)
        heapify(self._heap)

    def pick(self, now: float, key: bytes | None, usable: Usable[P]) -> Candidate[P] | None:
        heap = self._heap
        if not heap:
            return None
        turn, _, candidate = heap[0]
        if not usable(candidate):
            return self._pick_past(now, usable)
        self._clock = turn
        weight = candidate.weight if now >= candidate.ramp_until else candidate.weight * candidate.ramp(now)
        candidate.turn = turn = turn + 1.0 / weight
        self._count = count = self._count + 1
        heapreplace(heap, (turn, count, candidate))
        candidate.active += 1
        return candidate

    def _pick_past(self, now: float, usable: Usable[P]) -> Candidate[P] | None:
        """As ``pick`` where the first in the heap was refused; each is asked once."""
        heap = self._heap
        passed = [heappop(heap)[2]]
        picked: Candidate[P] | None = None
        try:
            while heap and picked is None:
                turn, _, candidate = heappop(heap)
                passed.append(candidate)
                if usable(candidate):
                    self._clock = turn
                    candidate.active += 1
                    picked = candidate
        finally:
            for candidate in passed:
                if picked is not None:
                    candidate.turn = self._clock + 1.0 / (candidate.weight * candidate.ramp(now))
                self._count += 1
                heappush(heap, (candidate.turn, self._count, candidate))
        return picked
