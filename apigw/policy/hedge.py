"""When a second copy of a request is worth sending because the first one takes unusually long."""

from __future__ import annotations

from math import exp, log
from typing import Final

from attrs import frozen

STEP: Final = 1.1
"""Each bucket ends ten per cent above its beginning, so a quantile is at most that much too high."""

LOWEST: Final = 0.0001
HIGHEST: Final = 100.0
"""Seconds; what is outside counts as at the edge."""

PER_BUCKET: Final = 1.0 / log(STEP)
OFFSET: Final = log(LOWEST) * PER_BUCKET
BUCKETS: Final = int(log(HIGHEST / LOWEST) * PER_BUCKET) + 2


class LatencyQuantile:
    """
    A quantile of recent latencies, by a histogram of logarithmic buckets in two halves: one that fills, and one that
    is full and counts along until the next turn. So it knows the last one to two windows, in fixed memory.

    :param quantile: 0.95 for the 95th percentile.
    :param window: seconds.
    """

    __slots__ = (
        "_count",
        "_current",
        "_end",
        "_fresh",
        "_previous",
        "_previous_count",
        "_quantile",
        "_value",
        "_window",
    )

    def __init__(self, quantile: float = 0.95, window: float = 30.0) -> None:
        if not (0.0 < quantile < 1.0 and window > 0.0):
            raise ValueError("a quantile is between 0 and 1, and its window is positive")
        self._quantile = quantile
        self._window = window
        self._end = float("-inf")
        self._current = [0] * BUCKETS
        self._previous = [0] * BUCKETS
        self._count = self._previous_count = 0
        self._fresh = 0
        self._value = 0.0

    def add(self, elapsed: float, now: float) -> None:
        """
        Take down a latency.

        :param elapsed: seconds.
        :param now: monotonic seconds; going backwards counts as standing still.
        """
        if now >= self._end:
            self._turn(now)
        if elapsed <= LOWEST:
            bucket = 0
        elif elapsed < HIGHEST:
            bucket = int(log(elapsed) * PER_BUCKET - OFFSET) + 1
        else:
            bucket = BUCKETS - 1
        self._current[bucket] += 1
        self._count += 1

    def count(self, now: float) -> int:
        """How many latencies the quantile is of."""
        if now >= self._end:
            self._turn(now)
        return self._count + self._previous_count

    def value(self, now: float) -> float:
        """
        The quantile in seconds, at most ten per cent too high; 0.0 where nothing is known.

        It is counted anew, O(buckets), once a sixteenth more latencies have come in.
        """
        count = self.count(now)
        if count < self._fresh or count - self._fresh > self._fresh >> 4:
            self._fresh = count
            self._value = self._counted(count)
        return self._value

    def _counted(self, count: int) -> float:
        rank = self._quantile * count
        seen = 0
        for bucket, (current, previous) in enumerate(zip(self._current, self._previous, strict=True)):
            seen += current + previous
            if seen > rank:
                return exp((bucket + OFFSET) / PER_BUCKET)
        return 0.0

    def _turn(self, now: float) -> None:
        if now >= self._end + self._window:
            self._previous, self._previous_count = [0] * BUCKETS, 0
        else:
            self._previous, self._previous_count = self._current, self._count
        self._current, self._count = [0] * BUCKETS, 0
        self._end = now + self._window
        self._fresh = -1


@frozen
class HedgePolicy:
    """
    :ivar quantile: of latencies, after which a request takes unusually long.
    :ivar samples: latencies that must be known first.
    :ivar shortest: seconds that are waited for in any case.
    :ivar longest: seconds after which a hedge is sent in any case.
    """

    quantile: float = 0.95
    samples: int = 100
    shortest: float = 0.001
    longest: float = 10.0


class Hedge:
    """
    When to hedge requests to one service. A hedge is for idempotent requests without a body to be kept, spends of the
    retry budget, and goes to another peer; the first answer wins, and the other request is cancelled.

    Source: Dean and Barroso, The Tail at Scale, 2013: about 5 % more requests for a much shorter tail.
    """

    def __init__(self, policy: HedgePolicy) -> None:
        self._policy = policy
        self._latencies = LatencyQuantile(policy.quantile)

    def answered(self, elapsed: float, now: float) -> None:
        """Take down how long an answer took; of a hedged pair the winner's, from the first request on."""
        self._latencies.add(elapsed, now)

    def after(self, now: float) -> float | None:
        """Seconds to wait for an answer before a hedge is sent, or None while too little is known for any."""
        if self._latencies.count(now) < self._policy.samples:
            return None
        return min(max(self._latencies.value(now), self._policy.shortest), self._policy.longest)
