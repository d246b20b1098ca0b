"""What requests come to, in few numbers: how many there were, and how long they took to within a fortieth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from math import ceil, log
from typing import Final

STEP: Final = 1.05
"""Each bucket ends five per cent above its beginning."""

LOWEST: Final = 0.00005
HIGHEST: Final = 100.0
"""Seconds; what is outside counts as at the edge."""

BOUNDS: Final = tuple(LOWEST * STEP**number for number in range(ceil(log(HIGHEST / LOWEST, STEP)) + 1))
"""Upper ones of the buckets, seconds, rising; what is above the last has a bucket, too."""

Latencies = Mapping[int, int]
"""How many requests there were in each bucket that has any."""


def percentile(latencies: Latencies, share: float) -> float:
    """
    Seconds, by the nearest rank; 0.0 of nothing.

    :param share: 0.95 for the 95th percentile.
    """
    rank = share * sum(latencies.values())
    for bucket in sorted(latencies):
        rank -= latencies[bucket]
        if rank < 0.0:
            return _middle(bucket)
    return _middle(max(latencies)) if latencies else 0.0


def _middle(bucket: int) -> float:
    return BOUNDS[bucket] / STEP**0.5 if bucket < len(BOUNDS) else HIGHEST


class Tally:
    """
    Requests of one route that have ended within some time.

    :ivar latencies: of all of them. :ivar failed: answered with 5xx.
    :ivar refused: answered with 4xx by the gateway, by the code of the error.
    """

    __slots__ = ("failed", "latencies", "refused", "service")

    def __init__(self, service: str) -> None:
        self.service = service
        self.latencies: defaultdict[int, int] = defaultdict(int)
        self.failed = 0
        self.refused: defaultdict[str, int] = defaultdict(int)
