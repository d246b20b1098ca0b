"""Bodies as a whole: of a request before it is sent on, and of an answer before the client gets it."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from apigw.body import RequestBody
from apigw.collected import Collected
from apigw.errors import BodyTooLarge, ClaimsFull, GatewayError, UpstreamReset
from apigw.messages import Exchange, Response
from apigw.stages.room import Held
from apigw.task import Awaited


class _Counted(Collected):
    """Takes a body as a whole as long as there is room for it."""

    def __init__(self, body: RequestBody, held: Held) -> None:
        super().__init__()
        self._body = body
        self._held = held
        self.full: GatewayError | None = None

    def write(self, data: bytes) -> None:
        if self.full is None and self._held.grow(len(data)):
            super().write(data)
        elif self.full is None:
            self.full = _full()
            self.data.clear()
            self._body.fail(self.full)


def _full() -> GatewayError:
    return ClaimsFull(retry_after=1, close=True)


async def keep_request(
    exchange: Exchange, cap: int, why: str = "With an idempotency key", held: Held | None = None
) -> bytes:
    """
    Wait for the whole body of a request, and let the request go on with it.

    :param cap: bytes. :param why: when there is one, for who sends more.
    :param held: counts them, as they come, among those of other requests.
    :raises BodyTooLarge: it has more. :raises ClaimsFull: there is no room for it.
    """
    request = exchange.request
    body = request.body
    if body is None:
        return b""
    if (isinstance(body.length, int) and body.length > cap) or body.received > cap:
        raise BodyTooLarge(f"{why} a body may have {cap} bytes.", close=True)
    if held is not None and isinstance(body.length, int) and not held.fits(body.length):
        raise _full()
    body.cap = cap if body.cap is None else min(body.cap, cap)
    if body.expects:
        exchange.inform(100, [])
        request.replace_fields([field for field in request.fields if field[0].lower() != b"expect"])
    collected = Collected() if held is None else _Counted(body, held)
    whole = body.startProducing(collected)
    if isinstance(collected, _Counted) and collected.full is not None:
        raise collected.full
    await whole
    data = bytes(collected.data)
    request.body = RequestBody.whole(data, body.trailers, body.keep)
    return data


def forget_request(exchange: Exchange) -> None:
    """Nobody sends the body on that :func:`keep_request` has kept: only its size is still asked for."""
    request = exchange.request
    if request.body is not None:
        empty = RequestBody.whole(b"", request.body.trailers)
        empty.received = request.body.received
        request.body = empty


class AnswerBody(Protocol):
    """
    Collects the body of an answer up to a cap. One that is larger can be delivered on from its first byte.

    :param held: counts the bytes among those of other answers; where there is no room for them it is too large as well.

    :ivar whole: fires with all of it, or with None where it is larger, or fails with :class:`UpstreamReset`.
    """

    def __init__(self, cap: int, held: Held | None = None) -> None:
        self._held = held
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
        over = len(self._data) > self._cap or not (self._held is None or self._held.grow(len(data)))
        if over and not self.whole.called:
            self._producer.pauseProducing()
            self.whole.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._ended = reason
        if self._onward is not None:
            self._onward.connectionLost(reason)
        elif not self.whole.called:
            self._held = None
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
        self._held = None
        if self._ended is not None:
            protocol.connectionLost(self._ended)
        else:
            self._producer.resumeProducing()

    def discard(self) -> None:
        """Nobody wants the rest."""
        if self._ended is None:
            self._producer.stopProducing()


async def keep_answer(response: Response, cap: int, held: Held | None = None) -> bytes | None:
    """
    Wait for the whole body of an answer.

    :param cap: bytes. :param held: counts them among those of other answers.
    :return: None where it is larger, or there is no room for it: it can still be delivered, as an :class:`AnswerBody`.
    :raises UpstreamReset: it was cut.
    """
    body = response.body
    if isinstance(body, bytes):
        return body if held is None or held.grow(len(body)) else None
    if response.bodyless:
        return b""
    kept = AnswerBody(cap, held)
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
