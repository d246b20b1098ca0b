"""The same key to the same candidate, for as long as it is there and not overloaded."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from hashlib import blake2b
from struct import unpack
from typing import TypeVar

from apigw.policy.balance.balancer import Balancer, Chance, Usable
from apigw.policy.balance.candidate import Candidate

P = TypeVar("P")

POINTS = 128
"""Places on the ring for each unit of weight: shares come out even to within some 9 %. nginx and ketama have 160."""

MOST_POINTS = 16 * POINTS
"""For the heaviest; beyond it all get fewer in proportion."""

EXCESS = 0.25
"""How much more than its share a candidate may have under way; HAProxy's ``hash-balance-factor`` is advised as 125
to 200 %, and Vimeo ran with 25 %."""

CIRCLE = 2.0**64


class ConsistentHash(Balancer[P]):
    """
    A ring with bounded loads. The ring gives each key a candidate in O(log n); when candidates come or go only the
    keys move that have to. The bound passes a key on to the next one on the ring while the first has more than
    ``1 + excess`` times its share of what is under way, so that one hot key doesn't crush one peer.

    :param excess: 0.25 for 25 % more than the share.

    Source: Karger et al., 1997; Mirrokni, Thorup and Zadimoghaddam, Consistent Hashing with Bounded Loads, 2016.
    Slow start doesn't apply: it would move each key twice.
    """

    def __init__(self, chance: Chance, excess: float = EXCESS) -> None:
        super().__init__(chance)
        self._excess = 1.0 + excess
        self._ring: list[int] = []
        self._owners: dict[int, Candidate[P]] = {}
        self._weight = 0
        self._active = 0

    def update(self, members: Sequence[Candidate[P]], now: float) -> None:
        scale = min(POINTS, MOST_POINTS / max((candidate.weight for candidate in members), default=1))
        owners: dict[int, Candidate[P]] = {}
        for candidate in members:
            wanted = max(1, round(candidate.weight * scale))
            if len(candidate.points) != wanted:
                candidate.points = points(candidate.id, wanted)
            owners.update(dict.fromkeys(candidate.points, candidate))
        # Sorting is linear where the old ring makes up most of the new one.
        kept = [point for point in self._ring if point in owners]
        kept.extend(owners.keys() - kept)
        kept.sort()
        self._ring, self._owners = kept, owners
        self._weight = sum(candidate.weight for candidate in members)
        super().update(members, now)

    def pick(self, now: float, key: bytes | None, usable: Usable[P]) -> Candidate[P] | None:
        """:param key: None for one of chance."""
        ring = self._ring
        if not ring:
            return None
        owners = self._owners
        place = position(key) if key is not None else int(self._random() * CIRCLE)
        index = bisect(ring, place)
        per_weight = self._excess * (self._active + 1) / self._weight
        candidate = owners[ring[index if index < len(ring) else 0]]
        # The bound rounds up, as in the paper: one may have k under way where its share is more than k - 1.
        if candidate.active < per_weight * candidate.weight and usable(candidate):
            candidate.active += 1
            self._active += 1
            return candidate
        return self._pick_past(index, per_weight, usable)

    def _pick_past(self, index: int, per_weight: float, usable: Usable[P]) -> Candidate[P] | None:
        """The next on the ring that has room; where there is none, the next that is usable."""
        ring, owners, count = self._ring, self._owners, len(self._members)
        seen: dict[Candidate[P], None] = {}
        for step in range(index, index + len(ring)):
            candidate = owners[ring[step % len(ring)]]
            if candidate in seen:
                continue
            seen[candidate] = None
            if candidate.active < per_weight * candidate.weight and usable(candidate):
                candidate.active += 1
                self._active += 1
                return candidate
            if len(seen) == count:
                break
        for candidate in seen:
            if usable(candidate):
                candidate.active += 1
                self._active += 1
                return candidate
        return None

    def take(self, candidate: Candidate[P], now: float) -> None:
        candidate.active += 1
        self._active += 1

    def done(self, candidate: Candidate[P], now: float, elapsed: float, outcome: int) -> None:
        candidate.active -= 1
        self._active -= 1


def position(key: bytes) -> int:
    """Where on the ring a key is: 64 bits, the same in each process, unlike ``hash``."""
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "little")


def points(name: bytes, count: int) -> tuple[int, ...]:
    """``count`` places on the ring; fewer are the beginning of more."""
    found: list[int] = []
    for block in range(-(-count // 8)):
        found += unpack("<8Q", blake2b(name, salt=block.to_bytes(16, "little")).digest())
    return tuple(found[:count])
