"""Streams of events (``text/event-stream``): kept alive by comments, and ended in a way that their readers see."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf
from typing import Any

from twisted.internet.interfaces import IProtocol, IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from zope.interface import implementer

from apigw.deadline import Deadline
from apigw.errors import StreamEnded
from apigw.messages import DeliverableBody, Exchange, Response, field_value
from apigw.pipeline import Stage
from apigw.streams import Streams

KIND = "events"

END_GRACE = 5.0
"""Seconds in which an event that has begun may come to its end."""

COMMENT = b":\n\n"
"""What readers pass over (WHATWG HTML, section 9.2.6)."""

TYPE = b"text/event-stream"


class EventStreams(Stage):
    """
    :param streams: where streams of events are known while they are open.
    :param heartbeat: seconds of silence after which a comment is sent; None for never.
    """

    def __init__(
        self, streams: Streams, clock: IReactorTime, seconds: Callable[[], float], heartbeat: float | None = None
    ) -> None:
        self._streams = streams
        self._clock = clock
        self._seconds = seconds
        self._heartbeat = heartbeat

    def response(self, exchange: Exchange, response: Response) -> None:
        body = response.body
        if isinstance(body, bytes) or response.bodyless or response.status == 101:
            return
        kind = field_value(response.seen, b"content-type")
        if kind is None or kind.partition(b";")[0].strip().lower() != TYPE:
            return
        encoding = field_value(response.seen, b"content-encoding")
        if response.length is not None:
            # More may come, or less.
            response.length = None
            response.fields = [field for field in response.seen if field[0].lower() != b"content-length"]
        response.body = EventBody(
            body,
            exchange,
            self._streams,
            lambda expired: Deadline(self._clock, expired, self._heartbeat or END_GRACE, self._seconds),
            self._heartbeat,
            encoding in (None, b"identity"),
        )


@implementer(IProtocol)
class EventBody:
    """
    Stands between the service's stream and whoever sends it on; for that one it is the producer, too.

    :param deadline: makes the one for comments, and for the end.
    :param plain: it isn't encoded, so something can be added.
    """

    def __init__(
        self,
        body: DeliverableBody,
        exchange: Exchange,
        streams: Streams,
        deadline: Callable[[Callable[[], object]], Deadline],
        heartbeat: float | None,
        plain: bool,
    ) -> None:
        self.exchange = exchange
        self._body = body
        self._streams = streams
        self._deadline = deadline(self._expired)
        self._heartbeat = heartbeat if heartbeat is not None and plain else inf
        self._plain = plain
        self._tail = b""
        self._why: StreamEnded | None = None
        self._over = False
        self._paused = False
        self._protocol: Any = None
        self._source: Any = None

    def deliverBody(self, protocol: IProtocol) -> None:
        """As :class:`~apigw.messages.DeliverableBody` has it."""
        self._protocol = protocol
        self._streams.opening(self, KIND)
        self._await_silence()
        self._body.deliverBody(self)

    # -- from the service: IProtocol ---------------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        self._source = transport
        self._protocol.makeConnection(self)

    def connectionMade(self) -> None:
        """Part of IProtocol."""

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            return
        self._tail = (self._tail + data)[-4:]
        self._protocol.dataReceived(data)
        if self._over:
            return
        if self._why is None:
            self._await_silence()
        elif between(self._tail):
            self._finish()

    def connectionLost(self, reason: Failure) -> None:
        if not self._over:
            protocol, _ = self._end()
            protocol.connectionLost(reason)

    # -- from the client: IPushProducer ------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        self._paused = True
        if not self._over:
            self._source.pauseProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        if not self._over:
            self._source.resumeProducing()

    def stopProducing(self) -> None:
        if not self._over:
            _, source = self._end()
            source.stopProducing()

    # -- time ----------------------------------------------------------------------------------------------------------

    def end(self, why: StreamEnded) -> None:
        """Let the event end that has begun, tell the reader why there will be no more, and end the answer in order."""
        if self._over or self._why is not None:
            return
        self._why = self.exchange.error = why
        if between(self._tail) or not self._plain:
            self._finish()
        else:
            self._deadline.set(self._deadline.seconds() + END_GRACE)

    def _await_silence(self) -> None:
        if self._heartbeat != inf:
            self._deadline.set(self._deadline.seconds() + self._heartbeat)

    def _expired(self) -> None:
        if self._why is not None:
            self._finish()
            return
        if between(self._tail) and not self._paused:
            self._protocol.dataReceived(COMMENT)
        if not self._over:
            self._await_silence()

    def _finish(self) -> None:
        why = self._why
        assert why is not None
        if self._plain and between(self._tail):
            data = json.dumps({"code": why.code, "detail": why.detail})
            self._protocol.dataReceived(f"event: {why.code}\ndata: {data}\n\n".encode())
        protocol, source = self._end()
        source.stopProducing()
        protocol.connectionLost(Failure(ResponseDone() if self._plain else why))

    def _end(self) -> tuple[Any, Any]:
        """:return: where it went, and where it came from; all that leads here is let go."""
        self._over = True
        self._deadline.stop()
        self._streams.over(self, KIND)
        response = self.exchange.response
        if response is not None:
            response.body = b""
        ends = self._protocol, self._source
        self._protocol = self._source = None
        return ends


def between(tail: bytes) -> bool:
    """
    Whether a stream is between two events, so that a comment or an event may come.

    :param tail: its last four bytes, or all that there were.
    """
    if not tail:
        return True
    for end in (b"\r\n", b"\n", b"\r"):
        if tail.endswith(end):
            rest = tail[: -len(end)]
            return not rest or rest.endswith((b"\n", b"\r"))
    return False
