"""Quotas that all processes of a machine share, in memory of a fixed size, as nginx's limit_req_zone has them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from math import ceil
from os import urandom
from sys import byteorder

from apigw.policy.gcra import Quota, Spend, Standing, Verdict, judged
from apigw.state.segment import Segment

WAYS = 16
"""Cells of a bucket: the places where a key may be."""

SPARE = 1.5
"""Cells for each key that shall have room: with so many hardly a bucket overflows before all are taken."""

_CELL = 16
_BUCKET = WAYS * _CELL
_HASHES = WAYS * 8
_HEAD = 64
"""Bytes before the buckets: the secret by which keys are hashed, so that nobody can aim at a bucket or a cell."""

_SECRET = slice(0, 16)
_NOBODY = bytes(8)
_new = tuple.__new__
"""Half the time of a call of the class."""

_KNOWN = 10_000
"""Hashes that are remembered."""


def zone_size(keys: int) -> int:
    """Bytes of a zone for ``keys`` keys."""
    return _HEAD + ceil(keys * SPARE / WAYS) * _BUCKET


class Zone:
    """
    As :class:`apigw.policy.gcra.LocalQuotas`, for all processes that have opened the same memory. Their clocks must
    be the same too, such as CLOCK_MONOTONIC.

    A cell is the 8 bytes of a key's hash, and the moment at which its quota is whole again. A bucket that has no room
    gives up the cell that is whole soonest, which loses the least: an attacker with many addresses doesn't free the
    one that has used up its quota. What is written, and in which order, is right whenever the process is killed.

    :param segment: of :func:`zone_size` bytes.

    :ivar identity: the same for all that have opened this memory, and for nobody else.
    """

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        memory = self._memory = segment.memory
        self._buckets = (len(memory) - _HEAD) // _BUCKET
        self._moments = memoryview(memory).cast("d")
        self._hashes = memoryview(memory).cast("Q")
        segment.lock(0)
        if memory[_SECRET] == bytes(16):
            memory[_SECRET] = urandom(16)
        segment.unlock()
        secret = memory[_SECRET]
        self.identity = blake2b(b"identity", digest_size=8, key=secret).hexdigest()

        hashing = blake2b(digest_size=16, key=secret)

        def find(key: str) -> tuple[int, bytes]:
            """:return: offset of the bucket, and the hash."""
            hashed = hashing.copy()
            hashed.update(key.encode())
            digest = hashed.digest()
            bucket = int.from_bytes(digest[8:], "little") % self._buckets
            return _HEAD + bucket * _BUCKET, digest[:8]

        self._find = lru_cache(_KNOWN)(find)

    def close(self) -> None:
        """The memory stays with the others."""
        self._moments.release()
        self._hashes.release()
        self._segment.close()

    def take(self, now: float, spends: Sequence[Spend], cost: float = 1.0) -> Verdict:
        """As :meth:`apigw.policy.gcra.LocalQuotas.take`; waits for other processes for some microseconds at most."""
        segment = self._segment
        if len(spends) == 1:
            ((quota, key),) = spends
            bucket, digest = self._find(key)
            segment.lock(bucket)
            try:
                return self._take_one(now, quota, bucket, digest, cost)
            finally:
                segment.unlock()
        places = [self._find(key) for _, key in spends]
        for bucket in sorted({bucket for bucket, _ in places}):
            segment.lock(bucket)
        try:
            return self._take_all(now, spends, places, cost)
        finally:
            segment.unlock()

    def _take_one(self, now: float, quota: Quota, bucket: int, digest: bytes, cost: float) -> Verdict:
        window = quota.window
        cell = self._memory.find(digest, bucket, bucket + _HASHES)
        reset = 0.0
        if cell >= 0:
            reset = self._reset(now, window, cell)
        after = reset + cost * quota.interval
        if after > quota.reach:
            _check(quota, cost)
            return Verdict(after - window, quota, ((quota, reset),))
        if cell >= 0 and not cell & 7:
            self._moments[(cell >> 3) + WAYS] = now + after
        else:
            self._add(bucket, digest, now + after)
        return _new(Verdict, (0.0, None, ((quota, after),)))

    def _take_all(
        self, now: float, spends: Sequence[Spend], places: Sequence[tuple[int, bytes]], cost: float
    ) -> Verdict:
        found: list[Standing] = []
        cells = []
        standings: list[Standing] = []
        enough = True
        for (quota, _), (bucket, digest) in zip(spends, places):  # noqa: B905 (made of the same)
            cell = self._memory.find(digest, bucket, bucket + _HASHES)
            cells.append(cell)
            reset = self._reset(now, quota.window, cell) if cell >= 0 else 0.0
            found.append((quota, reset))
            after = reset + cost * quota.interval
            standings.append((quota, after))
            if after > quota.reach:
                _check(quota, cost)
                enough = False
        if not enough:
            return judged(found, cost)
        for (_, after), (bucket, digest), cell in zip(standings, places, cells):  # noqa: B905 (likewise)
            if cell >= 0 and not cell & 7 and self._memory[cell : cell + 8] == digest:
                self._moments[(cell >> 3) + WAYS] = now + after
            else:
                self._add(bucket, digest, now + after)  # which may have given up the cell of the one before
        return _new(Verdict, (0.0, None, standings))

    def over(self, now: float, spend: Spend, cost: float = 1.0) -> bool:
        """Whether :meth:`take` would refuse it; nobody is waited for."""
        quota, key = spend
        bucket, digest = self._find(key)
        cell = self._memory.find(digest, bucket, bucket + _HASHES)
        reset = self._reset(now, quota.window, cell) if cell >= 0 else 0.0
        return reset + cost * quota.interval > quota.reach

    def peek(self, now: float, spends: Sequence[Spend], cost: float = 1.0) -> Verdict:
        """What :meth:`take` would say; nothing is spent, nobody is waited for."""
        standings = []
        for quota, key in spends:
            bucket, digest = self._find(key)
            cell = self._memory.find(digest, bucket, bucket + _HASHES)
            standings.append((quota, self._reset(now, quota.window, cell) if cell >= 0 else 0.0))
        return judged(standings, cost)

    def whole_at(self, now: float, quota: Quota, key: str) -> float:
        """When ``key`` has its whole quota again; ``now`` if it has it."""
        bucket, digest = self._find(key)
        cell = self._memory.find(digest, bucket, bucket + _HASHES)
        return now + self._reset(now, quota.window, cell) if cell >= 0 else now

    def note(self, key: str, whole_at: float) -> None:
        """It is known from elsewhere that ``key`` hasn't its whole quota before that."""
        bucket, digest = self._find(key)
        self._segment.lock(bucket)
        try:
            cell = self._memory.find(digest, bucket, bucket + _HASHES)
            if cell < 0 or self._moments[(cell >> 3) + WAYS] < whole_at:
                self._put(bucket, digest, whole_at)
        finally:
            self._segment.unlock()

    def _reset(self, now: float, window: float, cell: int) -> float:
        """
        Seconds until the quota is whole; never more than its window, whatever stands there: the key may have had a
        larger quota before, or the machine another uptime.

        :param cell: offset of a hash; one that isn't aligned is of two halves by chance.
        """
        if cell & 7:
            return 0.0
        reset = self._moments[(cell >> 3) + WAYS] - now
        if reset > window:
            self._moments[(cell >> 3) + WAYS] = now + window
            return window
        return reset if reset > 0.0 else 0.0

    def _put(self, bucket: int, digest: bytes, whole_at: float) -> None:
        cell = self._memory.find(digest, bucket, bucket + _HASHES)
        if cell >= 0 and not cell & 7:
            self._moments[(cell >> 3) + WAYS] = whole_at
        else:
            self._add(bucket, digest, whole_at)

    def _add(self, bucket: int, digest: bytes, whole_at: float) -> None:
        free = self._memory.find(_NOBODY, bucket, bucket + _HASHES)
        if free >= 0 and not free & 7:
            cell = free >> 3
        else:
            first = bucket >> 3
            moments = self._moments[first + WAYS : first + 2 * WAYS].tolist()
            cell = first + moments.index(min(moments))
        # Nobody's, then with the new moment, then the new key's: killed in between, no key gets another's moment.
        self._hashes[cell] = 0
        self._moments[cell + WAYS] = whole_at
        self._hashes[cell] = int.from_bytes(digest, byteorder)

    def __len__(self) -> int:
        """Cells that are taken; reads all of the zone."""
        start = _HEAD >> 3
        return sum(
            sum(map(bool, self._hashes[first : first + WAYS]))
            for first in range(start, len(self._hashes), _BUCKET >> 3)
        )


def _check(quota: Quota, cost: float) -> None:
    if cost > quota.burst:
        raise ValueError(f"a cost of {cost} is more than a burst of {quota.burst}")
