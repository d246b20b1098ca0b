"""Bodies as a whole: of a request before it is sent on, and of an answer before the client gets it."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from apigw.body import Collected, RequestBody
from apigw.errors import BodyTooLarge, UpstreamReset
from apigw.messages import Exchange, Response
from apigw.task import Awaited


async def keep_request(exchange: Exchange, cap: int, why: str = "With an idempotency key") -> bytes:
    """
    Wait for the whole body of a request, and let the request go on with it.

    :param cap: bytes. :param why: when there is one, for who sends more.
    :raises BodyTooLarge: it has more.
    """
    request = exchange.request
    body = request.body
    if body is None:
        return b""
    if (isinstance(body.length, int) and body.length > cap) or body.received > cap:
        raise BodyTooLarge(f"{why} a body may have {cap} bytes.", close=True)
    body.cap = cap if body.cap is None else min(body.cap, cap)
    if body.expects:
        exchange.inform(100, [])
        request.replace_fields([field for field in request.fields if field[0].lower() != b"expect"])
    collected = Collected()
    await body.startProducing(collected)
    data = bytes(collected.data)
    request.body = RequestBody.whole(data, body.trailers, body.keep)
    return data


class AnswerBody(Protocol):
    """
    Collects the body of an answer up to a cap. One that is larger can be delivered on from its first byte.

    :ivar whole: fires with all of it, or with None where it is larger, or fails with :class:`UpstreamReset`.
    """

    def __init__(self, cap: int) -> None:
        self.whole: Awaited[bytes | None] = Awaited()
        self._cap = cap
        self._data = bytearray()
        self._onward: IProtocol | None = None
        self._ended: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        if self._onward is not None:
            self._onward.dataReceived(data)
            return
        self._data += data
        if len(self._data) > self._cap and not self.whole.called:
            self._producer.pauseProducing()
            self.whole.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._ended = reason
        if self._onward is not None:
            self._onward.connectionLost(reason)
        elif not self.whole.called:
            if reason.check(ResponseDone):
                self.whole.callback(bytes(self._data))
            else:
                self.whole.errback(Failure(UpstreamReset("The answer is not complete.")))

    @property
    def _producer(self) -> Any:
        return self.transport

    def deliverBody(self, protocol: IProtocol) -> None:
        """As ``IResponse`` has it."""
        self._onward = protocol
        protocol.makeConnection(self._producer)
        protocol.dataReceived(bytes(self._data))
        self._data.clear()
        if self._ended is not None:
            protocol.connectionLost(self._ended)
        else:
            self._producer.resumeProducing()

    def discard(self) -> None:
        """Nobody wants the rest."""
        if self._ended is None:
            self._producer.stopProducing()


async def keep_answer(response: Response, cap: int) -> bytes | None:
    """
    Wait for the whole body of an answer.

    :param cap: bytes.
    :return: None where it is larger: its body is an :class:`AnswerBody` then, and can still be delivered.
    :raises UpstreamReset: it was cut.
    """
    body = response.body
    if isinstance(body, bytes):
        return body
    if response.bodyless:
        return b""
    kept = AnswerBody(cap)
    body.deliverBody(kept)
    data = await kept.whole
    if data is None:
        response.body = kept
    return data


def discard(response: Response) -> None:
    """Nobody wants the rest of an answer."""
    for one in (response.body, response):
        stop = getattr(one, "discard", None)
        if stop is not None:
            stop()
            return
