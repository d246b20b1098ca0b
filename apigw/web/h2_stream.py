"""One request of a connection of HTTP/2, and its answer: what web/channel.py and web/pump.py are to HTTP/1.1."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import UNKNOWN_LENGTH
from zope.interface import classImplements

from apigw.body import RequestBody
from apigw.deadline import Deadline
from apigw.errors import ClientDisconnected, ClientError, GatewayError, MalformedRequest, RequestTimeout, StreamEnded
from apigw.http1.errors import BadMessage
from apigw.http1.fields import wire_lines
from apigw.messages import Exchange, Fields, Request, Response
from apigw.policy.fields import HOP_BY_HOP
from apigw.policy.http2 import CANCEL, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR
from apigw.streams import shutting_down
from apigw.web.channel import MIN_BODY_RATE
from apigw.web.h2_request import Head, read_trailers

if TYPE_CHECKING:
    from apigw.web.h2 import Http2Connection

HIGH_WATER, LOW_WATER = 65536, 16384
"""Bytes of an answer that wait for the client: above the one the service is paused, below the other it goes on."""


class Http2Stream:
    """
    The outlet of its exchange.

    :param number: of the stream.

    :ivar ended: the client sends no more.
    :ivar wants: something is to be sent, once there is room for it.
    """

    def __init__(self, connection: Http2Connection, number: int, ended: bool) -> None:
        self.number = number
        self.ended = ended
        self.wants = False
        self._connection = connection
        self._settings = connection.site.settings
        self._exchange: Exchange | None = None
        self._body: RequestBody | None = None
        self._body_begun = 0.0
        self._paused_at = inf
        self._unacknowledged = 0
        self._reading: Deadline | None = None
        self._writing: Deadline | None = None
        self._response: Response | None = None
        self._source: Any = None
        self._source_paused = False
        self._pending: bytearray | memoryview = bytearray()
        self._complete = False
        self._sent_before = 0
        self._malformed = False

    # -- the request -----------------------------------------------------------------------------------------------

    def begin(self, head: Head, notes: dict[object, Any]) -> None:
        """Its head is here."""
        connection = self._connection
        now = connection.site.seconds()
        path, question, query = head.path.partition(b"?")
        request = Request(
            head.method,
            head.target,
            path,
            question + query,
            head.authority,
            head.fields,
            (),
            b"2",
            connection.client,
            notes,
        )
        exchange = self._exchange = Exchange(request, self, now)
        if self.ended:
            request.empty_body = head.content_length is not None
        elif head.method != b"CONNECT":
            self._begin_body(head, request, now)
        connection.site.routes.locate(path).render(exchange)

    def _begin_body(self, head: Head, request: Request, now: float) -> None:
        length = UNKNOWN_LENGTH if head.content_length is None else head.content_length
        body = self._body = request.body = RequestBody(length, self._pause, self._resume)
        body.on_failure = self._body_failed
        body.expects = head.expects
        self._body_begun = now
        self._reading = Deadline(
            self._connection.site.clock, self._read_expired, self._settings.timer_period, self._connection.site.seconds
        )
        if not body.expects:
            self._reading.set(now + self._settings.body_idle_timeout)

    def refuse(self, bad: BadMessage) -> None:
        """Its head is no request: answer in the error shape."""
        connection = self._connection
        request = Request(b"", b"", b"", b"", b"", [], (), b"2", connection.client, {})
        exchange = self._exchange = Exchange(request, self, connection.site.seconds())
        self._malformed = bad.status == 400
        connection.site.core.refuse(exchange, MalformedRequest(bad.detail, status=bad.status, code=bad.code))

    def received(self, data: bytes, size: int) -> None:
        """
        More of the body.

        :param size: bytes that it takes of the windows.
        """
        body = self._body
        if body is None:
            self._connection.acknowledge(self.number, size)
            return
        self._unacknowledged += size
        if data:
            body.feed(data)
        if self._body is not body:
            self._acknowledge()
        elif self._paused_at == inf:
            self._acknowledge()
            self.dripped(0)

    def dripped(self, partial: int) -> None:
        """
        Bytes of the body have come.

        :param partial: so many of them can't be passed on yet.
        """
        body, reading = self._body, self._reading
        if body is None or reading is None or self._paused_at != inf:
            return
        grace = self._settings.body_idle_timeout
        now = self._connection.site.seconds()
        reading.set(min(now + grace, self._body_begun + grace + (body.received + partial) / MIN_BODY_RATE))

    def finished(self, trailers: Fields) -> None:
        """The client has sent all."""
        self.ended = True
        body, self._body = self._body, None
        if self._reading is not None:
            self._reading.stop()
        if body is None:
            return
        try:
            passed = read_trailers(trailers, self._settings.head_limits) if trailers else []
            if body.length not in (UNKNOWN_LENGTH, body.received):
                raise BadMessage(400, "bad-content-length", "The body is not as long as Content-Length says.")
        except BadMessage as bad:
            self._malformed = True
            body.fail(MalformedRequest(bad.detail, status=bad.status, code=bad.code))
        else:
            body.end(passed)

    def _body_failed(self, error: GatewayError) -> None:
        """The rest of the body is of no use: what still comes is thrown away."""
        self._body = None
        if self._reading is not None:
            self._reading.stop()
        self._acknowledge()
        exchange = self._exchange
        if exchange is not None and exchange.started:
            exchange.error = error
            self._give_up(error, PROTOCOL_ERROR if self._malformed else CANCEL)

    def _pause(self) -> None:
        """For the body: the service takes no more; what comes is kept up to the stream's window."""
        self._paused_at = self._connection.site.seconds()
        if self._reading is not None:
            self._reading.set(inf)

    def _resume(self) -> None:
        paused_at, self._paused_at = self._paused_at, inf
        self._acknowledge()
        if paused_at != inf:
            self._body_begun += self._connection.site.seconds() - paused_at
            self.dripped(0)

    def _acknowledge(self) -> None:
        size, self._unacknowledged = self._unacknowledged, 0
        if size:
            self._connection.acknowledge(self.number, size)

    def _read_expired(self) -> None:
        body = self._body
        if body is not None:
            body.fail(RequestTimeout("The body came too slowly."))

    # -- the answer: the outlet ----------------------------------------------------------------------------------------

    def inform(self, exchange: Exchange, status: int, fields: Fields) -> None:
        """Pass on a 1xx answer."""
        if exchange is not self._exchange or exchange.started:
            return
        if status == 100 and self._body is not None and self._reading is not None and self._paused_at == inf:
            now = self._body_begun = self._connection.site.seconds()
            self._reading.set(now + self._settings.body_idle_timeout)
        self._connection.send_fields(self.number, [(b":status", b"%d" % status), *lowered(wire_lines(fields))], False)
        self._connection.write_soon()

    def respond(self, exchange: Exchange, response: Response) -> None:
        """Send the final answer, as it comes."""
        if exchange is not self._exchange or exchange.started:
            return
        body = response.body
        lines = response.field_lines()
        exchange.started = True
        if response.bodyless or exchange.request.method == b"HEAD" or body == b"":
            self._connection.send_head(self.number, response.status, lines, True)
            self._over(True)
            self._connection.write_soon()
            return
        self._response = response
        self._connection.send_head(self.number, response.status, lines, False)
        if isinstance(body, bytes):
            # Others may have it too, so it isn't copied.
            self._pending = memoryview(body)
            self._complete = True
            self._want()
        else:
            body.deliverBody(self)
            self._connection.write_soon()
            if self._source_paused and self._source is not None:
                # To begin with a body is to resume it, whatever was said while it was handed over.
                self._source.pauseProducing()
            if self._connection.site.draining:
                self.end_soon(shutting_down())

    def upgrading(self) -> Http2Stream:
        """As :class:`~apigw.messages.Outlet` has it; nothing is upgraded in HTTP/2."""
        return self

    # -- the answer's body, from the service: IProtocol ----------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        self._source = transport

    def connectionMade(self) -> None:
        """Part of IProtocol."""

    def dataReceived(self, data: bytes) -> None:
        if self._exchange is None:
            return
        assert isinstance(self._pending, bytearray)
        self._pending += data
        self._want()
        if len(self._pending) >= HIGH_WATER and not self._source_paused:
            self._source_paused = True
            self._source.pauseProducing()

    def connectionLost(self, reason: Failure) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        self._source = None
        if isinstance(reason.value, ResponseDone):
            self._complete = True
            self._want()
            return
        if exchange.error is None and isinstance(reason.value, GatewayError):
            exchange.error = reason.value
        # A cut has to be seen as one.
        self._connection.reset(self.number, INTERNAL_ERROR, False)
        self._over(False)

    # -- sending it ----------------------------------------------------------------------------------------------------

    def _want(self) -> None:
        self.wants = True
        self._connection.flush(self)

    def send_some(self, room: int) -> int:
        """
        Send one frame, if there is room for it.

        :param room: bytes that the client takes.
        :return: bytes sent; -1 where there was no room for any.
        """
        exchange, response = self._exchange, self._response
        assert exchange is not None
        assert response is not None
        pending = self._pending
        size = min(room, len(pending))
        if size <= 0 < len(pending):
            self._await_window()
            return -1
        last = self._complete and size == len(pending)
        trailers = response.last_fields() if last else ()
        if size or (last and not trailers):
            self._connection.send_body(self.number, bytes(memoryview(pending)[:size]), last and not trailers)
            exchange.sent += size
            if isinstance(pending, memoryview):
                pending = self._pending = pending[size:]
            else:
                del pending[:size]
        if last:
            self.wants = False
            if trailers:
                self._connection.send_fields(self.number, lowered(wire_lines(trailers)), True)
            self._over(True)
            return size
        self.wants = bool(pending)
        if pending:
            self._await_window()
        elif self._writing is not None:
            self._writing.set(inf)
        if self._source_paused and self._source is not None and len(pending) <= LOW_WATER:
            self._source_paused = False
            self._source.resumeProducing()
        return size

    def _await_window(self) -> None:
        """What waits for the client's leave may do so for long, but not for too long."""
        if self._writing is None:
            site = self._connection.site
            self._writing = Deadline(site.clock, self._write_expired, self._settings.timer_period, site.seconds)
        if self._writing.at == inf:
            self._mark()

    def _mark(self) -> None:
        exchange, writing = self._exchange, self._writing
        assert exchange is not None
        assert writing is not None
        self._sent_before = exchange.sent
        writing.set(self._connection.site.seconds() + self._settings.write_idle_timeout)

    def _write_expired(self) -> None:
        """While the connection itself is full, that is what is watched."""
        exchange = self._exchange
        if exchange is None or not self.wants:
            return
        if self._connection.full or exchange.sent >= (
            self._sent_before + MIN_BODY_RATE * self._settings.write_idle_timeout
        ):
            self._mark()
        else:
            self._connection.count_abort("slow-stream")
            self._give_up(ClientDisconnected("The client did not read the answer."), CANCEL)

    # -- ending --------------------------------------------------------------------------------------------------------

    def end_soon(self, why: StreamEnded) -> None:
        """The gateway is about to stop: what would go on is ended."""
        if self._exchange is not None and self._exchange.stream is not None:
            self._exchange.stream.end(why)

    def _give_up(self, error: GatewayError, code: int) -> None:
        self._connection.reset(self.number, code, True)
        self.gone(error)

    def gone(self, error: GatewayError) -> None:
        """Nobody waits for the answer any more: stop the work for it at once."""
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        self._stop()
        body, self._body = self._body, None
        if body is not None:
            body.on_failure = None
            body.fail(error)
        source, self._source = self._source, None
        if exchange.started:
            if exchange.error is None:
                exchange.error = error
            if source is not None:
                source.stopProducing()
        else:
            exchange.cancel(error)
        exchange.finish(False)
        self._connection.forget(self)

    def _over(self, complete: bool) -> None:
        """All is sent, or is cut."""
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        self._stop()
        body, self._body = self._body, None
        if complete and not self.ended:
            # RFC 9113 section 8.1: the rest of the request isn't wanted.
            code = PROTOCOL_ERROR if self._malformed else NO_ERROR
            self._connection.reset(self.number, code, isinstance(exchange.error, ClientError))
        elif complete and self._malformed:
            # The answer has closed the stream already (section 8.1.1).
            self._connection.faults += 1
        if body is not None:
            body.on_failure = None
            body.fail(ClientDisconnected())
        exchange.finish(complete)
        self._connection.forget(self)

    def _stop(self) -> None:
        self.wants = False
        self._acknowledge()
        self._pending = bytearray()
        for deadline in (self._reading, self._writing):
            if deadline is not None:
                deadline.stop()


classImplements(Http2Stream, IProtocol)  # not by a decorator, for decorated classes stay interpreted


def lowered(lines: bytes) -> Fields:
    """Field lines, as HTTP/2 has them: names in lower case, and none that is about a connection."""
    fields = []
    for line in lines.split(b"\r\n"):
        name, colon, value = line.partition(b": ")
        name = name.lower()
        if colon and name not in HOP_BY_HOP:
            fields.append((name, value))
    return fields
