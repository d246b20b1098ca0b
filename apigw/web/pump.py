"""Moves the body of an answer from the service's connection to the client's, at the pace of the slower one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from zope.interface import classImplements

from apigw.errors import GatewayError
from apigw.http1.body import encode_chunk, encode_last_chunk
from apigw.messages import DeliverableBody, Exchange, Response

if TYPE_CHECKING:
    from apigw.web.channel import Channel


class Pump:
    """
    :param head: the head of the answer, which waits for the first bytes so that both leave in one write.
    :param chunked: frame what is written.
    """

    __slots__ = (
        "_channel",
        "_chunked",
        "_exchange",
        "_head",
        "_response",
        "_source",
        "_stopped",
        "_transport",
    )

    def __init__(
        self,
        channel: Channel,
        transport: Any,
        exchange: Exchange,
        response: Response,
        head: bytes,
        chunked: bool,
    ) -> None:
        self._channel = channel
        self._transport = transport
        self._exchange = exchange
        self._response = response
        self._head = head
        self._chunked = chunked
        self._source: Any = None
        self._stopped = False

    def start(self, body: DeliverableBody) -> None:
        body.deliverBody(self)
        if self._head and not self._stopped:
            self._write(b"")

    def stop(self) -> None:
        """The client is gone."""
        if not self._stopped:
            self._stopped = True
            source, self._source = self._source, None
            if source is not None:
                source.stopProducing()

    # -- from the service: IProtocol ---------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        self._source = transport

    def connectionMade(self) -> None:
        """Part of IProtocol."""

    def dataReceived(self, data: bytes) -> None:
        if self._stopped:
            return
        self._exchange.sent += len(data)
        self._write(encode_chunk(data) if self._chunked else data)

    def connectionLost(self, reason: Failure) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._source = None
        complete = isinstance(reason.value, ResponseDone)
        if complete:
            self._write(encode_last_chunk(self._response.last_fields()) if self._chunked else b"")
        else:
            if self._exchange.error is None and isinstance(reason.value, GatewayError):
                self._exchange.error = reason.value
            if self._head:
                self._write(b"")
        self._channel.pumped(self._exchange, complete)

    def _write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            self._transport.write(data)

    # -- from the channel ------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """The client doesn't keep up."""
        if not self._stopped and self._source is not None:
            self._source.pauseProducing()

    def resume(self) -> None:
        if not self._stopped and self._source is not None:
            self._source.resumeProducing()

    def provoke(self) -> None:
        """
        Send something that means nothing, if the framing has such a thing: the first digit of the size of the next
        chunk, which may have zeros before it (RFC 9112 section 7.1).
        """
        if self._chunked and not self._head and not self._stopped:
            self._transport.write(b"0")


classImplements(Pump, IProtocol)  # not by a decorator, for decorated classes stay interpreted
