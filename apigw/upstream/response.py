"""The answer of a peer while it comes in; ``IResponse``, so that it is at home in treq and Twisted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse
from zope.interface import classImplements

from apigw.http1.response import LENGTH, NONE, ResponseHead
from apigw.messages import Fields, Response

if TYPE_CHECKING:
    from apigw.body import RequestBody
    from apigw.upstream.connection import PeerConnection

DONE = Failure(ResponseDone())
"""The reason of a clean end; one object, for building a Failure costs more than a chunk does."""


class PeerResponse(Response):
    """
    :param head: as parsed; its fields still hold hop-by-hop ones.
    :param connection: told to pause, resume and stop while the body comes.

    :ivar on_end: called once with the reason when the body ends, well or not; set while :attr:`ended` is False.
    :ivar delivering: somebody has asked for the body.
    """

    delivering = False
    on_end: Callable[[Failure], object] | None = None
    request: Any = None
    previousResponse: Any = None
    _pieces: list[bytes] | None = None
    _protocol: IProtocol | None = None
    ended = False
    """The body is complete, or never will be."""
    _reason: Failure | None = None

    def __init__(self, head: ResponseHead, connection: PeerConnection) -> None:
        framing = head.framing
        self.head = head
        self.status = head.status
        self.reason = head.reason
        self._fields: Fields = head.fields
        self.bodyless = framing == NONE
        self.length = head.content_length if framing == LENGTH else 0 if framing == NONE else None
        self.body = self
        self._connection = connection

    @property
    def notes(self) -> dict[object, Any] | None:
        return None if self._wire is None else self.head.notes

    # -- the connection's side ---------------------------------------------------------------------------------

    def complete(self, body: bytes) -> None:
        """The whole body came with the head."""
        self.body = body
        self.ended = True
        self._reason = DONE

    def discard(self) -> None:
        """Nobody wants the body: what is still to come ends with its connection."""
        self._pieces = None
        if not self.ended:
            self._connection.stop()

    def receive(self, data: bytes) -> None:
        if self._protocol is not None:
            self._protocol.dataReceived(data)
        elif self._pieces is None:
            self._pieces = [data]
        else:
            self._pieces.append(data)

    def end(self) -> None:
        """The body is complete."""
        self._finish(DONE)

    def cut(self, reason: Failure) -> None:
        """The body will never be complete."""
        self._finish(reason)

    def _finish(self, reason: Failure) -> None:
        if self.ended:
            return
        self.ended = True
        self._reason = reason
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            # How a tunnel ends says nothing of how the peer answers.
            on_end(DONE if self.status == 101 else reason)
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            self.body = b""  # it was this object itself: a cycle would wait for the garbage collector
            protocol.connectionLost(reason)
        elif self.delivering:
            self.body = b""
        elif reason is DONE:
            # It all came before anybody asked: as good as bytes.
            self.body = b"".join(self._pieces or ())

    # -- after a 101 -------------------------------------------------------------------------------------------

    def send(self, body: RequestBody) -> None:
        """Send on what comes of ``body``."""
        self._connection.tunnel(body)

    def finish(self) -> None:
        """End the tunnel once what was sent is written."""
        self._protocol = None
        self._connection.finish()

    # -- IResponse ---------------------------------------------------------------------------------------------

    def deliverBody(self, protocol: IProtocol) -> None:
        self.delivering = True
        self._protocol = protocol
        protocol.makeConnection(self)  # type: ignore[arg-type]  # a producer, as IResponse has it
        pieces = [self.body] if isinstance(self.body, bytes) else self._pieces or ()
        self._pieces = None
        for piece in pieces:
            protocol.dataReceived(piece)
        if self._reason is not None:
            self._protocol = None
            self.body = b""
            protocol.connectionLost(self._reason)
        else:
            self._connection.resume()

    @property
    def version(self) -> tuple[bytes, int, int]:
        return (b"HTTP", 1, self.head.minor)

    @property
    def code(self) -> int:
        return self.status

    @property
    def phrase(self) -> bytes:
        return self.reason

    @property
    def headers(self) -> Headers:
        headers = Headers()
        for name, value in self.fields:
            headers.addRawHeader(name, value)
        return headers

    def setPreviousResponse(self, response: Any) -> None:
        self.previousResponse = response

    # -- IPushProducer, for whoever reads the body ------------------------------------------------------------------

    def pauseProducing(self) -> None:
        self._connection.pause()

    def resumeProducing(self) -> None:
        self._connection.resume()

    def stopProducing(self) -> None:
        self._protocol = None
        self._connection.stop()


classImplements(PeerResponse, IResponse, IPushProducer)  # not by a decorator, for decorated classes stay interpreted
