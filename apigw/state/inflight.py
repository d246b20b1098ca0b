"""How many requests of a key are under way, in this process or on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from os import urandom
from sys import byteorder

from apigw.state.segment import Segment

Bound = tuple[int, str]
"""How many may be under way, and of which key."""

WAYS = 16
"""Rows of a bucket: the places where a key may be."""

ROWS = 16_384
"""Keys that can be under way at once on a machine; 1 MiB for 28 workers."""

_HEAD = 64
_SECRET = slice(0, 16)
_KNOWN = 10_000


class LocalInFlight:
    """The counts of one process; what isn't under way takes no room."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def enter(self, bounds: Sequence[Bound]) -> int:
        """
        Count a request for each key, or for none.

        :return: -1, or the place in ``bounds`` of one that is reached.
        """
        counts = self._counts
        for place, (bound, key) in enumerate(bounds):
            if counts.get(key, 0) >= bound:
                return place
        for _, key in bounds:
            counts[key] = counts.get(key, 0) + 1
        return -1

    def leave(self, bounds: Sequence[Bound]) -> None:
        """It is over; once for each :meth:`enter` that let it in."""
        counts = self._counts
        for _, key in bounds:
            left = counts[key] - 1
            if left:
                counts[key] = left
            else:
                del counts[key]


def _row(workers: int) -> int:
    """Bytes of the counts of a row: two for each worker, in whole eights."""
    return (workers * 2 + 7) & ~7


def in_flight_size(workers: int) -> int:
    """Bytes for so many workers."""
    return _HEAD + ROWS * (8 + _row(workers))


class SharedInFlight:
    """
    As :class:`LocalInFlight`, for all workers of a machine. A row has a key's hash and a count for each worker, which
    that one alone changes: what a worker leaves behind that is killed is nothing as soon as its successor is here.
    A key for which there is no row, all those of its bucket being in use, is let in uncounted.

    :param segment: of :func:`in_flight_size` bytes.
    :param worker: number of this one, from 0 on; what its predecessor of that number has counted is forgotten.
    """

    def __init__(self, segment: Segment, workers: int, worker: int) -> None:
        self._segment = segment
        self._workers = workers
        memory = self._memory = segment.memory
        self._bucket = WAYS * (8 + _row(workers))
        self._row = _row(workers) >> 1
        self._hashes = memoryview(memory).cast("Q")
        self._counts = memoryview(memory).cast("H")
        self._worker = worker
        segment.lock(0)
        if memory[_SECRET] == bytes(16):
            memory[_SECRET] = urandom(16)
        segment.unlock()
        secret = memory[_SECRET]

        def find(key: str) -> tuple[int, bytes]:
            """:return: offset of the bucket, and the hash."""
            digest = blake2b(key.encode(), digest_size=16, key=secret).digest()
            return _HEAD + int.from_bytes(digest[8:], "little") % (ROWS // WAYS) * self._bucket, digest[:8]

        self._find = lru_cache(_KNOWN)(find)
        for bucket in range(_HEAD, _HEAD + ROWS // WAYS * self._bucket, self._bucket):
            for way in range(WAYS):
                at = self._first(bucket, way) + worker
                if self._counts[at]:
                    self._counts[at] = 0

    def close(self) -> None:
        """The memory stays with the others."""
        self._hashes.release()
        self._counts.release()
        self._segment.close()

    def enter(self, bounds: Sequence[Bound]) -> int:
        """As :meth:`LocalInFlight.enter`; waits for other processes for some microseconds at most."""
        segment = self._segment
        places = [self._find(key) for _, key in bounds]
        for bucket in sorted({bucket for bucket, _ in places}):
            segment.lock(bucket)
        try:
            for place, ((bound, _), where) in enumerate(zip(bounds, places, strict=True)):
                first = self._find_row(*where)
                if first >= 0 and sum(self._counts[first : first + self._workers]) >= bound:
                    return place
            for where in places:
                first = self._find_row(*where)
                if first < 0:
                    first = self._take_row(*where)
                if first >= 0:
                    self._counts[first + self._worker] += 1
        finally:
            segment.unlock()
        return -1

    def leave(self, bounds: Sequence[Bound]) -> None:
        """As :meth:`LocalInFlight.leave`. A row with a count stays that of its key, so nobody need be kept away."""
        for _, key in bounds:
            first = self._find_row(*self._find(key))
            if first >= 0 and self._counts[first + self._worker]:
                self._counts[first + self._worker] -= 1

    def _first(self, bucket: int, way: int) -> int:
        """Where the counts of a row begin, in steps of 2 bytes."""
        return ((bucket + WAYS * 8) >> 1) + way * self._row

    def _find_row(self, bucket: int, digest: bytes) -> int:
        """:return: where its counts begin, -1 for none."""
        at = self._memory.find(digest, bucket, bucket + WAYS * 8)
        return -1 if at < 0 or at & 7 else self._first(bucket, (at - bucket) >> 3)

    def _take_row(self, bucket: int, digest: bytes) -> int:
        """One that nobody counts in, for another key; -1 for none."""
        for way in range(WAYS):
            first = self._first(bucket, way)
            if not any(self._counts[first : first + self._workers]):
                self._hashes[(bucket >> 3) + way] = int.from_bytes(digest, byteorder)
                return first
        return -1
