"""
One timer a connection, whose moment can be moved for the price of an assignment.

A ``callLater`` per request costs 2 us and a heap entry each. A connection has one pending call instead; when it fires
too early, since the moment was moved on meanwhile, it is armed again for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import monotonic

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Deadline:
    """
    Calls ``expired()`` once the moment has come.

    :param clock: where calls are scheduled.
    :param expired: called with no argument; the deadline is unset by then.
    :param period: seconds; the pending call is never further away than this, so that a moment at least this far
        ahead never has to search the reactor's heap.
    :ivar at: the moment, ``inf`` for none; to which it may be set without :meth:`set`.
    :param seconds: monotonic seconds; ``reactor.seconds`` is wall time, which steps.
    """

    __slots__ = ("_call", "_clock", "_expired", "_fires_at", "_period", "at", "seconds")

    def __init__(
        self,
        clock: IReactorTime,
        expired: Callable[[], object],
        period: float,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._clock = clock
        self._expired = expired
        self._period = period
        self._call: IDelayedCall | None = None
        self._fires_at = inf
        self.at = inf
        self.seconds = seconds

    def set(self, at: float) -> None:
        """:param at: monotonic seconds; ``inf`` unsets."""
        self.at = at
        if at < self._fires_at and at != inf:
            now = self.seconds()
            wait = min(at - now, self._period)
            if wait < 0.0:
                wait = 0.0
            if now + wait >= self._fires_at:
                return
            self._fires_at = now + wait
            if self._call is None:
                self._call = self._clock.callLater(wait, self._fire)
            else:
                self._call.reset(wait)

    def stop(self) -> None:
        """
        Drop the pending call, for good; to be called when the connection is gone. What was to be called leads back to
        who has the deadline, and that cycle would wait for the garbage collector.
        """
        self.at = inf
        self._expired = _nothing
        call, self._call = self._call, None
        self._fires_at = inf
        if call is not None and call.active():
            call.cancel()

    def _fire(self) -> None:
        self._call = None
        self._fires_at = inf
        at = self.at
        if at == inf:
            return
        if at <= self.seconds():
            self.at = inf
            self._expired()
        else:
            self.set(at)


def _nothing() -> None:
    """Nobody waits any more."""
