"""What happens, as it happens: an answer without an end, in the form of server-sent events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from zope.interface import implementer

from apigw.admin.health import read_only
from apigw.admin.live import Watcher
from apigw.dates import HttpDate
from apigw.errors import GatewayError, ShuttingDown
from apigw.messages import Exchange, Response

PATH = "/api/live"

NOW_PATH = "/api/live/now"
"""The same at one moment."""

WATCHERS = 32
"""Streams at a time."""

AGAIN = 1000
"""Milliseconds after which a client that was cut off comes back."""


class TooManyWatch(GatewayError):
    status = 503
    code = "too-many-watch"
    title = "Too many watch already"


class Watchable(Protocol):
    """What is told of. :ivar closed: nothing more is."""

    closed: bool

    @property
    def watchers(self) -> int: ...

    def watch(self, watcher: Watcher) -> None: ...

    def unwatch(self, watcher: Watcher) -> None: ...

    def encoded(self) -> bytes: ...


@implementer(IPushProducer)
class Stream:
    """
    A body. It begins with the whole, then tells what is new each second; who doesn't keep up misses some, and gets the
    whole again.
    """

    def __init__(self, live: Watchable) -> None:
        self._live = live
        self._protocol: IProtocol | None = None
        self._paused = False
        self._behind = False

    def deliverBody(self, protocol: IProtocol) -> None:
        self._protocol = protocol
        protocol.makeConnection(self)  # type: ignore[arg-type]
        self._live.watch(self)
        protocol.dataReceived(b"retry: %d\n\n" % AGAIN + event(b"whole", self._live.encoded()))

    def turned(self, tick: Callable[[], bytes], whole: Callable[[], bytes]) -> None:
        """For what is watched."""
        if self._protocol is None:
            return
        if self._paused:
            self._behind = True
        elif self._behind:
            self._behind = False
            self._protocol.dataReceived(event(b"whole", whole()))
        else:
            self._protocol.dataReceived(event(b"tick", tick()))

    def end(self) -> None:
        """The gateway ends; clients come back to the next one."""
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.dataReceived(event(b"end", b"{}"))
            protocol.connectionLost(Failure(ResponseDone()))

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False

    def stopProducing(self) -> None:
        self._protocol = None
        self._live.unwatch(self)


def event(name: bytes, data: bytes) -> bytes:
    """One server-sent event; JSON has no line ends in it."""
    return b"event: %b\ndata: %b\n\n" % (name, data)


class Streams:
    def __init__(self, live: Watchable, date: HttpDate) -> None:
        self._live = live
        self._date = date

    def __call__(self, exchange: Exchange) -> Response:
        """:raises MethodNotAllowed: anything but GET and HEAD. :raises TooManyWatch: :raises ShuttingDown:"""
        read_only(exchange)
        if self._live.closed:
            raise ShuttingDown(retry_after=1.0)  # or it would be held up by who comes last
        if self._live.watchers >= WATCHERS:
            raise TooManyWatch(retry_after=5.0)
        fields = [
            (b"Date", self._date.now()),
            (b"Content-Type", b"text/event-stream"),
            (b"Cache-Control", b"no-store"),
        ]
        if exchange.request.method == b"HEAD":
            return Response(200, b"OK", fields, b"", bodyless=True)
        return Response(200, b"OK", fields, Stream(self._live))
