"""What ``/metrics`` answers: the text of all metrics, written in slices so that requests get their turn in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from twisted.internet.interfaces import IDelayedCall, IProtocol, IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from zope.interface import implementer

from apigw.admin.health import READ
from apigw.dates import HttpDate
from apigw.errors import MethodNotAllowed
from apigw.messages import Exchange, Response
from apigw.telemetry.exposition import CONTENT_TYPE, slices


@implementer(IPushProducer)
class Slices:
    """
    A body that is made while it is sent: one part, then whatever else the reactor has to do, then the next part.

    :param parts: each quickly made.
    """

    _log = Logger()

    def __init__(self, parts: Iterator[bytes], clock: IReactorTime) -> None:
        self._parts = parts
        self._clock = clock
        self._protocol: IProtocol | None = None
        self._next: IDelayedCall | None = None

    def deliverBody(self, protocol: IProtocol) -> None:
        self._protocol = protocol
        protocol.makeConnection(self)  # type: ignore[arg-type]
        self.resumeProducing()

    def pauseProducing(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def resumeProducing(self) -> None:
        if self._next is None and self._protocol is not None:
            self._next = self._clock.callLater(0.0, self._one)

    def stopProducing(self) -> None:
        self.pauseProducing()
        self._protocol = None

    def _one(self) -> None:
        self._next = None
        protocol = self._protocol
        assert protocol is not None
        end: Exception = ResponseDone()
        try:
            part = next(self._parts, None)
        except Exception as failed:
            self._log.failure("metrics can't be collected")
            part, end = None, failed
        if part is None:
            self._protocol = None
            protocol.connectionLost(Failure(end))
            return
        self.resumeProducing()
        protocol.dataReceived(part)


class Scrape:
    """:param seconds: monotonic."""

    def __init__(
        self, registry: CollectorRegistry, clock: IReactorTime, seconds: Callable[[], float], date: HttpDate
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._seconds = seconds
        self._date = date

    def __call__(self, exchange: Exchange) -> Response:
        """:raises MethodNotAllowed: anything but GET and HEAD."""
        if exchange.request.method not in READ:
            raise MethodNotAllowed(fields=[(b"Allow", b"GET, HEAD")])
        fields = [(b"Date", self._date.now()), (b"Content-Type", CONTENT_TYPE), (b"Cache-Control", b"no-store")]
        body = Slices(slices(self._registry, self._seconds), self._clock)
        return Response(200, b"OK", fields, body)
