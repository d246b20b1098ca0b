"""Where requests wait while every connection to a service is in use: bounded, in order, not for long."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from apigw.errors import UpstreamOverloaded


class WaitingLine:
    """
    :param limit: most requests that wait; one more is refused at once.
    :param timeout: seconds until a waiting one is refused.
    """

    def __init__(self, clock: IReactorTime, limit: int, timeout: float) -> None:
        self._clock = clock
        self._limit = limit
        self._timeout = timeout
        self._line: deque[Deferred[None]] = deque()

    def __len__(self) -> int:
        return len(self._line)

    def join(self) -> Deferred[None]:
        """
        Wait for one's turn.

        :return: fires when a connection may be free; fails with :class:`UpstreamOverloaded`; may be cancelled.
        :raises UpstreamOverloaded: the line is full.
        """
        if len(self._line) >= self._limit:
            raise UpstreamOverloaded("Too many requests wait for the service.", retry_after=1.0)
        place: Deferred[None] = Deferred(self._leave)
        self._line.append(place)
        timer = self._clock.callLater(self._timeout, self._expire, place)
        return place.addBoth(self._stop, timer)

    def wake(self) -> None:
        """A connection has become free: the first in the line may try."""
        if self._line:
            self._line.popleft().callback(None)

    def _leave(self, place: Deferred[None]) -> None:
        self._line.remove(place)

    def _expire(self, place: Deferred[None]) -> None:
        self._line.remove(place)
        place.errback(Failure(UpstreamOverloaded("The service had no free connection in time.", retry_after=1.0)))

    @staticmethod
    def _stop(outcome: None, timer: IDelayedCall) -> None:
        if timer.active():
            timer.cancel()
        return outcome
