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

    :ivar waiting: those that wait, the first in front.
    :ivar joined: requests that have ever waited.
    :ivar full: requests that were refused, for the line was full.
    :ivar late: requests that were refused, for they had waited for too long.
    """

    def __init__(self, clock: IReactorTime, limit: int, timeout: float) -> None:
        self._clock = clock
        self._limit = limit
        self._timeout = timeout
        self.waiting: deque[Deferred[None]] = deque()
        self.joined = self.full = self.late = 0

    def join(self, waited: float = 0.0) -> Deferred[None]:
        """
        Wait for one's turn.

        :param waited: seconds spent here before; who was woken in vain goes on where it stood, and not for longer.
        :return: fires when a connection may be free; fails with :class:`UpstreamOverloaded`; may be cancelled.
        :raises UpstreamOverloaded: the line is full.
        """
        if not waited and len(self.waiting) >= self._limit:
            self.full += 1
            raise UpstreamOverloaded("Too many requests wait for the service.", retry_after=1.0)
        place: Deferred[None] = Deferred(self._leave)
        if waited:
            self.waiting.appendleft(place)
        else:
            self.joined += 1
            self.waiting.append(place)
        timer = self._clock.callLater(max(0.0, self._timeout - waited), self._expire, place)
        return place.addBoth(self._stop, timer)

    def wake(self) -> None:
        """A connection has become free: the first in the line may try."""
        if self.waiting:
            self.waiting.popleft().callback(None)

    def _leave(self, place: Deferred[None]) -> None:
        self.waiting.remove(place)

    def _expire(self, place: Deferred[None]) -> None:
        self.waiting.remove(place)
        self.late += 1
        place.errback(Failure(UpstreamOverloaded("The service had no free connection in time.", retry_after=1.0)))

    @staticmethod
    def _stop(outcome: None, timer: IDelayedCall) -> None:
        if timer.active():
            timer.cancel()
        return outcome
