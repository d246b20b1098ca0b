"""Stops asking a peer that fails, and finds out carefully whether it is well again."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from attrs import frozen

from apigw.policy.outcome import ABANDONED, OK

CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half_open"
FORCED_OPEN: Final = "forced_open"
FORCED_CLOSED: Final = "forced_closed"

REFUSED: Final = -1
"""What :meth:`Breaker.admit` gives instead of a permit."""

BUCKETS = 10
"""Parts of the window: what leaves it leaves in tenths. The founding system's breaker has ten too."""


@frozen
class BreakerPolicy:
    """
    When to trip, and what to do then. Any of the three ways trips; only failed or slow calls ever do.

    :ivar ratio: of failed calls in the window, from which on it trips; more than 1.0 for never.
    :ivar volume: calls in the window below which no ratio counts.
    :ivar window: seconds.
    :ivar consecutive: failures in a row that trip it, 0 for never.
    :ivar slow_after: seconds from which on a call is slow.
    :ivar slow_ratio: of slow calls in the window, as ``ratio``.
    :ivar open_for: seconds without any call after it tripped.
    :ivar half_open: probes under way at once after that.
    :ivar closes_after: successful probes that close it; one that fails opens it again.
    :raises ValueError: a window or a number of probes that isn't positive.
    """

    ratio: float = 0.5
    volume: int = 5
    window: float = 10.0
    consecutive: int = 0
    slow_after: float = inf
    slow_ratio: float = 1.0
    open_for: float = 30.0
    half_open: int = 1
    closes_after: int = 3

    def __attrs_post_init__(self) -> None:
        if not (self.window > 0.0 and self.half_open > 0 and self.closes_after > 0):
            raise ValueError("window, half_open and closes_after must be positive")


class Breaker:
    """
    The breaker of one peer. A permit is the number of the period it was given in: what is reported for an earlier
    period, such as by a call that began before the breaker tripped, is not counted.

    :param changed: called at each transition with the old and the new state.

    :ivar state: one of this module's constants. ``open`` stays until somebody asks for a permit after ``open_for``.
    :ivar closed: all calls are admitted.
    :ivar opened: how often it tripped.

    Source: Nygard, Release It!; resilience4j for the window and the slow calls; linkerd2-proxy for stragglers.
    """

    __slots__ = (
        "_bucket",
        "_bucket_calls",
        "_bucket_end",
        "_bucket_failed",
        "_bucket_slow",
        "_calls",
        "_changed",
        "_failed",
        "_good",
        "_period",
        "_policy",
        "_probes",
        "_ring",
        "_row",
        "_slow",
        "_slow_after",
        "_until",
        "closed",
        "opened",
        "state",
    )

    def __init__(self, policy: BreakerPolicy, changed: Callable[[str, str], None] | None = None) -> None:
        self._policy = policy
        self._slow_after = policy.slow_after
        self._changed = changed
        self._period = 0
        self._until = 0.0
        self._probes = 0
        self._good = 0
        self.opened = 0
        self.state: str = CLOSED
        self.closed = True
        self._empty()

    def _empty(self) -> None:
        """Forget all calls."""
        self._ring = [(0, 0, 0)] * BUCKETS
        self._bucket = 0
        self._bucket_end = -inf
        self._bucket_calls = self._bucket_failed = self._bucket_slow = 0
        self._calls = self._failed = self._slow = self._row = 0

    def on_change(self, changed: Callable[[str, str], None]) -> None:
        """Have ``changed`` called at each transition, where the one to be told needs the breaker first."""
        self._changed = changed

    # -- the hot path ------------------------------------------------------------------------------------------------

    def admit(self, now: float) -> int:
        """
        Ask for a permit. One that was given has to come back by :meth:`report`, exactly once.

        :param now: monotonic seconds.
        :return: a permit, or :data:`REFUSED`.
        """
        if self.closed:
            return self._period
        if self.state == OPEN and now >= self._until:
            self._probes = self._good = 0
            self._become(HALF_OPEN)
        if self.state == HALF_OPEN and self._probes < self._policy.half_open:
            self._probes += 1
            return self._period
        return REFUSED

    def report(self, permit: int, now: float, outcome: int, elapsed: float) -> None:
        """
        Give a permit back.

        :param outcome: of :mod:`apigw.policy.outcome`; ``ABANDONED`` counts nothing.
        :param elapsed: seconds the call took.
        """
        if permit != self._period or outcome == ABANDONED:
            if permit == self._period and self.state == HALF_OPEN:
                self._probes -= 1
            return
        if not self.closed:
            self._probed(now, outcome, elapsed)
            return
        if now >= self._bucket_end:
            self._turn(now)
        self._bucket_calls += 1
        self._calls += 1
        if outcome == OK:
            self._row = 0
            if elapsed < self._slow_after:
                return
        self._count_bad(now, outcome, elapsed)

    # -- what is rare ------------------------------------------------------------------------------------------------

    def _turn(self, now: float) -> None:
        """Begin a new bucket and drop those that have left the window: O(1), for there are ten at most."""
        width = self._policy.window / BUCKETS
        passed = 1 + int(min((now - self._bucket_end) / width, BUCKETS))
        self._ring[self._bucket] = (self._bucket_calls, self._bucket_failed, self._bucket_slow)
        self._bucket_calls = self._bucket_failed = self._bucket_slow = 0
        for _ in range(min(passed, BUCKETS)):
            self._bucket = (self._bucket + 1) % BUCKETS
            calls, failed, slow = self._ring[self._bucket]
            self._calls -= calls
            self._failed -= failed
            self._slow -= slow
            self._ring[self._bucket] = (0, 0, 0)
        self._bucket_end = self._bucket_end + passed * width if passed <= BUCKETS else now + width

    def _count_bad(self, now: float, outcome: int, elapsed: float) -> None:
        policy = self._policy
        if outcome != OK:
            self._failed += 1
            self._bucket_failed += 1
            self._row += 1
        if elapsed >= policy.slow_after:
            self._slow += 1
            self._bucket_slow += 1
        if self.state == FORCED_CLOSED:
            return
        calls = self._calls
        if (
            0 < policy.consecutive <= self._row
            or (calls >= policy.volume and self._failed >= policy.ratio * calls)
            or (calls >= policy.volume and policy.slow_after < inf and self._slow >= policy.slow_ratio * calls)
        ):
            self._trip(now)

    def _probed(self, now: float, outcome: int, elapsed: float) -> None:
        self._probes -= 1
        if outcome != OK or elapsed >= self._slow_after:
            self._trip(now)
            return
        self._good += 1
        if self._good >= self._policy.closes_after:
            self._empty()
            self._become(CLOSED)

    def _trip(self, now: float) -> None:
        self._until = now + self._policy.open_for
        self.opened += 1
        self._become(OPEN)

    def _become(self, state: str) -> None:
        before, self.state = self.state, state
        self.closed = state in (CLOSED, FORCED_CLOSED)
        self._period += 1
        if self._changed is not None:
            self._changed(before, state)

    # -- for the balancer, for clients, for operators ----------------------------------------------------------------

    def ready(self, now: float) -> bool:
        """Whether :meth:`admit` would give a permit; takes none."""
        return (
            self.closed
            or (self.state == OPEN and now >= self._until)
            or (self.state == HALF_OPEN and self._probes < self._policy.half_open)
        )

    def retry_after(self, now: float) -> float:
        """Seconds until it may be worth to ask again, 0.0 where it is now: for Retry-After."""
        if self.ready(now):
            return 0.0
        if self.state == OPEN:
            # A clock that went back doesn't make anybody wait for longer than the breaker is ever open.
            return min(self._until - now, self._policy.open_for)
        return self._policy.open_for if self.state == FORCED_OPEN else min(1.0, self._policy.open_for)

    @property
    def ratio(self) -> float:
        """Failed calls of those in the window, as far as it was moved on; for display."""
        return self._failed / self._calls if self._calls else 0.0

    def force_open(self) -> None:
        """Refuse all until :meth:`reset`."""
        self._become(FORCED_OPEN)

    def force_close(self) -> None:
        """Admit all until :meth:`reset`, whatever fails."""
        self._become(FORCED_CLOSED)

    def reset(self) -> None:
        """Close, forget all calls, and decide by them again."""
        self._empty()
        self._become(CLOSED)
