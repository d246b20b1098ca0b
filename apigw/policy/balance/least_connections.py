"""The candidate with the fewest requests under way, by weight."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heapify, heappop, heappush, heapreplace
from typing import TypeVar

from apigw.policy.balance.balancer import Balancer, Chance, Usable
from apigw.policy.balance.candidate import Candidate
from apigw.policy.balance.turns import join

P = TypeVar("P")

Entry = tuple[float, float, int, Candidate[P]]


class LeastConnections(Balancer[P]):
    """
    Exact at any size: a heap by ``active / weight``. Each change of a candidate adds an entry, and the older one is
    dropped when it comes up; the heap is built anew once most of it is old. That is O(log n), amortised, where nginx
    looks at all. Among equals, such as all when idle, turns go round by weight.

    One that is refused is parked, for it would stay the least of all and be asked each time; each pick brings back the
    one that has been parked for longest.
    """

    def __init__(self, chance: Chance) -> None:
        super().__init__(chance)
        self._heap: list[Entry[P]] = []
        self._parked: deque[Entry[P]] = deque()
        self._most = 0
        self._clock = 0.0
        self._count = 0

    def update(self, members: Sequence[Candidate[P]], now: float) -> None:
        for candidate in self._members:
            candidate.entry = 0
        super().update(members, now)
        join(members, self._clock, self._random, now)
        self._most = 4 * len(members) + 64
        self._rebuild(now)

    def _rebuild(self, now: float) -> None:
        self._parked.clear()
        self._heap = [self._entry(candidate, now) for candidate in self._members]
        heapify(self._heap)

    def _entry(self, candidate: Candidate[P], now: float) -> Entry[P]:
        candidate.entry = self._count = count = self._count + 1
        return (candidate.active / (candidate.weight * candidate.ramp(now)), candidate.turn, count, candidate)

    def pick(self, now: float, key: bytes | None, usable: Usable[P]) -> Candidate[P] | None:
        heap = self._heap
        if self._parked:
            heappush(heap, self._parked.popleft())
        while heap:
            _, turn, entry, candidate = heap[0]
            if entry != candidate.entry:
                heappop(heap)
                continue
            if not usable(candidate):
                heappop(heap)
                return self._pick_past(candidate, now, usable)
            # What _count_in and _entry do, written out: calls are most of what a pick costs.
            weight = candidate.weight if now >= candidate.ramp_until else candidate.weight * candidate.ramp(now)
            if turn < self._clock:
                turn = self._clock
            else:
                self._clock = turn
            candidate.turn = turn = turn + 1.0 / weight
            candidate.active = active = candidate.active + 1
            candidate.entry = self._count = count = self._count + 1
            heapreplace(heap, (active / weight, turn, count, candidate))
            return candidate
        return self._pick_past(None, now, usable) if self._parked else None

    def _pick_past(self, refused: Candidate[P] | None, now: float, usable: Usable[P]) -> Candidate[P] | None:
        """As ``pick`` where the first in the heap was refused, or only parked ones are left; each is asked once."""
        heap, parked = self._heap, self._parked
        asked: list[Entry[P]] = []
        picked: Candidate[P] | None = None
        try:
            if refused is not None:
                asked.append(self._entry(refused, now))
            while picked is None and (heap or parked):
                top = heappop(heap) if heap else parked.popleft()
                candidate = top[3]
                if top[2] != candidate.entry:
                    continue
                asked.append(top)
                if usable(candidate):
                    asked.pop()
                    picked = candidate
        finally:
            parked.extend(asked)
        if picked is not None:
            self._count_in(picked, now)
            heappush(heap, self._entry(picked, now))
        return picked

    def _count_in(self, candidate: Candidate[P], now: float) -> None:
        candidate.active += 1
        self._clock = max(candidate.turn, self._clock)
        candidate.turn = self._clock + 1.0 / (candidate.weight * candidate.ramp(now))

    def take(self, candidate: Candidate[P], now: float) -> None:
        if candidate.entry:
            self._count_in(candidate, now)
            self._add(self._entry(candidate, now), now)
        else:
            candidate.active += 1

    def done(self, candidate: Candidate[P], now: float, elapsed: float, outcome: int) -> None:
        candidate.active = active = candidate.active - 1
        if candidate.entry:
            weight = candidate.weight if now >= candidate.ramp_until else candidate.weight * candidate.ramp(now)
            candidate.entry = self._count = count = self._count + 1
            self._add((active / weight, candidate.turn, count, candidate), now)

    def _add(self, entry: Entry[P], now: float) -> None:
        heap = self._heap
        heappush(heap, entry)
        if len(heap) > self._most:
            self._rebuild(now)
