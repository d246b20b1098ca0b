"""
One HTTP/1.1 connection of a client: reads requests strictly, one after the other, and writes their answers in order.
"""

from __future__ import annotations

import socket
from math import inf
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH
from zope.interface import implementer

from apigw.body import RequestBody
from apigw.deadline import Deadline
from apigw.errors import ClientDisconnected, GatewayError, MalformedRequest, RequestTimeout, ShuttingDown
from apigw.http1.body import ChunkedDecoder, LengthDecoder, encode_last_chunk
from apigw.http1.errors import BadMessage
from apigw.http1.head import find_head
from apigw.http1.request import RequestHead, follow_request_head, parse_request_head
from apigw.http1.response import serialize_response_head
from apigw.messages import ClientAddress, Exchange, Fields, Request, Response
from apigw.policy.client_auth import ClientTls
from apigw.streams import shutting_down
from apigw.web.pump import Pump
from apigw.web.taken import taken
from apigw.web.tunnel import Tunnel, UpgradeOutlet
from apigw.web.unread import unread

if TYPE_CHECKING:
    from apigw.web.site import Site

AT_ONCE = 16
"""Requests of one client that are begun in a turn of the loop; others wait for their turn meanwhile."""

MAX_PIPELINED = 65536
"""Bytes kept of requests that follow the one under way, before the client is paused; one read of the transport."""

MIN_BODY_RATE = 240.0
"""Bytes a second that a body must average beyond its grace (Kestrel: MinRequestBodyDataRate, MinResponseDataRate)."""

LINGER_TIME = 5.0
"""Seconds in which a refused client may go on sending, so that it reads the answer (nginx: lingering_timeout)."""

LOOK_FIRST, LOOK_LAST = 0.01, 0.5
"""Seconds between looks at whether a client that isn't read from is still there."""

QUIET = 0.5
"""Seconds without a request after which a connection ends when the gateway is about to stop."""

CLOSE_WAIT = 8
"""What Linux says of a connection whose other end has shut its sending side (include/net/tcp_states.h)."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@implementer(IHalfCloseableProtocol, IPushProducer)
class Channel(Protocol):
    """
    :param site: what all connections of a listener share.

    :ivar tls: what the handshake has told of the client; set before it is connected.

    Also the outlet of the exchange under way; HTTP/1.1 has one at a time.
    """

    transport: Any  # ITransport with IConsumer and IPushProducer; None until connected
    ends_at_once = True
    """See :mod:`apigw.transports`."""
    tls: ClientTls | None = None
    _tunnel: Tunnel | None = None

    def __init__(self, site: Site) -> None:
        self._site = site
        self._settings = site.settings
        self._deadline = Deadline(site.clock, self._expired, site.settings.timer_period, site.seconds)
        self._buffer = b""
        self._searched = 0
        self._reading = False
        self._head: RequestHead | None = None
        self._exchange: Exchange | None = None
        self._decoder: LengthDecoder | ChunkedDecoder | None = None
        self._body: RequestBody | None = None
        self._body_begun = 0.0
        self._paused_at = 0.0
        self._pump: Pump | Tunnel | None = None
        self._close_after = False
        self._lingering = False
        self._half_closed = False
        self._paused = False
        self._full = False
        self._later: IDelayedCall | None = None
        self._gone = False
        self._looking: IDelayedCall | None = None
        self._provoked = False
        self._ending = False
        self._taken = -1

    # -- the connection ------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        transport = self.transport
        self._site.opened(self)
        peer = transport.getPeer()
        transport.registerProducer(self, True)
        self._client = ClientAddress(getattr(peer, "host", ""), getattr(peer, "port", 0), self._site.scheme, self.tls)
        self._deadline.set(self._site.seconds() + (QUIET if self._site.draining else self._settings.header_timeout))

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008 (Twisted's signature)
        self._gone = True
        self._deadline.stop()
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
        later, self._later = self._later, None
        if later is not None:
            later.cancel()
        exchange, self._exchange = self._exchange, None
        body, self._body, self._decoder = self._body, None, None
        gone = ClientDisconnected()
        if body is not None:
            body.fail(gone)
        tunnel, self._tunnel = self._tunnel, None
        if tunnel is not None and exchange is not None and (tunnel.client_done or reason.check(ConnectionDone)):
            self._pump = None
            tunnel.client_gone()
            exchange.finish(True)
        elif exchange is not None:
            self._abandon(exchange, gone)
        self._site.closed(self)  # last: when all are closed the log is closed too, and this one's line is in it

    def _abandon(self, exchange: Exchange, error: GatewayError) -> None:
        pump, self._pump = self._pump, None
        if pump is not None:
            if exchange.error is None:
                exchange.error = error
            pump.stop()
        else:
            exchange.cancel(error)
        exchange.finish(False)

    def readConnectionLost(self) -> None:
        """The client sends no more: it shut down one direction, or closed both, which looks the same from here."""
        self._half_closed = True
        exchange = self._exchange
        if self._decoder is not None:
            self._drop()
            return
        if self._tunnel is not None:
            self._tunnel.client_shut()
            return
        if exchange is None:
            if self._searched or not self._buffer:
                self._end()
            return
        self._close_after = self._close_after or not self._buffer
        self._provoke(exchange)
        self._look_after(LOOK_FIRST)

    def _provoke(self, exchange: Exchange) -> None:
        """
        Send something without a meaning: a client that has closed answers with a reset, one that has only shut its
        sending side takes it. Before the answer that is a 100, of which there may be any number (RFC 9110 section
        15.2), within one in chunks a zero before a size. Elsewhere only more of the answer tells the two apart.
        """
        if self._provoked:
            return
        self._provoked = True
        if exchange.request.version != b"1.1":
            return
        if not exchange.started:
            self._write(CONTINUE)
        elif self._pump is not None:
            self._pump.provoke()

    def _look_after(self, wait: float) -> None:
        if self._looking is None:
            self._looking = self._site.clock.callLater(wait, self._look, wait)

    def _look(self, wait: float) -> None:
        """See whether a client is still there whose connection the loop doesn't watch, for nothing is read from it."""
        self._looking = None
        exchange = self._exchange
        handle = getattr(self.transport, "socket", None)
        if exchange is None or handle is None or not (self._half_closed or self._paused):
            return
        if handle.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._drop()
            return
        if self._paused and not self._provoked and _shut(handle):
            self._provoke(exchange)
            wait = 0.0
        self._look_after(min(max(wait * 2.0, LOOK_FIRST), LOOK_LAST))

    def writeConnectionLost(self) -> None:
        """Our own half is shut down; the other one follows, or the linger timer."""

    @property
    def idle(self) -> bool:
        """Between two requests."""
        return self._exchange is None

    def close_when_idle(self) -> None:
        """The gateway is about to stop: end with the first answer that says so, or when no request comes."""
        exchange = self._exchange
        if exchange is None:
            if not self._lingering:
                self._end_if_quiet()
            return
        if not exchange.started or exchange.stream is not None:
            self._close_after = True
        if exchange.stream is not None:
            exchange.stream.end(shutting_down())

    def drop(self) -> None:
        """The gateway stops: end now, whatever is under way."""
        exchange = self._exchange
        if exchange is not None and exchange.error is None:
            exchange.error = ShuttingDown()
        self._drop()

    # -- reading ---------------------------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        if self._decoder is not None:
            self._read_body(data)
        elif self._lingering or self._gone:
            return
        elif self._exchange is not None or self._full or self._later is not None:
            if self._tunnel is not None:
                self._tunnel.client_sent(data)
                return
            self._buffer += data
            if len(self._buffer) > MAX_PIPELINED:
                self._pause()
        else:
            self._read_heads(self._buffer + data if self._buffer else data)

    def _read_heads(self, data: bytes) -> None:
        """Begin requests that ``data`` holds, while each is answered before the next is begun, but not too many."""
        site = self._site
        begun = 0
        limits = self._settings.head_limits
        self._buffer = b""
        self._reading = True
        while data and self._exchange is None and not (self._lingering or self._gone or self._full):
            if begun == AT_ONCE:
                self._later = site.clock.callLater(0.0, self._go_on)
                break
            begun += 1
            now = site.seconds()
            head = self._head
            end = -1 if head is None or self._searched else follow_request_head(data, head, limits)
            if head is None or end < 0:
                try:
                    end = find_head(data, limits, self._searched)
                    if end < 0:
                        if not self._searched:
                            self._deadline.set(now + self._settings.header_timeout)
                        self._searched = len(data)
                        break
                    head = self._head = parse_request_head(data[:end])
                except BadMessage as bad:
                    self._refuse(bad, now)
                    data = b""
                    break
                self._searched = 0
            data = self._begin(head, data[end:], now)
        self._buffer = data
        self._reading = False
        if self._paused and self._exchange is None and self._later is None and not self._full:
            self._resume()
        if self._half_closed and self._decoder is not None:
            self._drop()
        elif self._half_closed and self._searched:
            self._end()

    def _go_on(self) -> None:
        """It's this client's turn again."""
        self._later = None
        self._next()

    def _begin(self, head: RequestHead, data: bytes, now: float) -> bytes:
        """:return: what of ``data`` doesn't belong to this request."""
        self._deadline.at = inf
        self._close_after = self._site.draining or not head.keep_alive or (self._half_closed and not data)
        path, question, query = head.path.partition(b"?")
        request = Request(
            head.method,
            head.target,
            path,
            question + query,
            head.authority,
            head.fields,
            head.options,
            b"1.1" if head.minor else b"1.0",
            self._client,
            head.block.notes,
        )
        exchange = self._exchange = Exchange(request, self, now)
        if head.chunked or head.content_length:
            self._begin_body(head, request, now)
            if data:
                self._read_body(data)
                data, self._buffer = self._buffer, b""
                if not self._answers(exchange):
                    return data
        elif head.content_length is not None:
            request.empty_body = True
        self._site.routes.locate(path).render(exchange)
        return data

    def _answers(self, exchange: Exchange) -> bool:
        """It is still the one under way."""
        return exchange is self._exchange

    def _begin_body(self, head: RequestHead, request: Request, now: float) -> None:
        self._body_begun = now
        if head.chunked:
            self._decoder = ChunkedDecoder(self._settings.head_limits)
            length: int | str = UNKNOWN_LENGTH
        else:
            assert head.content_length is not None
            self._decoder = LengthDecoder(head.content_length)
            length = head.content_length
        body = self._body = request.body = RequestBody(length, self._pause, self._resume)
        body.on_failure = self._body_failed
        body.expects = head.expect_continue
        if not body.expects:
            self._deadline.set(now + self._settings.body_idle_timeout)

    def _read_body(self, data: bytes) -> None:
        decoder, body = self._decoder, self._body
        assert decoder is not None
        assert body is not None
        try:
            pieces = decoder.feed(data)
        except BadMessage as bad:
            body.fail(MalformedRequest(bad.detail, status=bad.status, code=bad.code, close=True))
            return
        for piece in pieces:
            body.feed(piece)
        if self._decoder is not decoder:
            return
        if decoder.done:
            self._decoder = self._body = None
            self._deadline.set(inf)
            self._buffer = decoder.rest
            body.end(decoder.trailers)
            self._next()
        elif not self._paused:
            now = self._site.seconds()
            grace = self._settings.body_idle_timeout
            self._deadline.set(min(now + grace, self._body_begun + grace + body.received / MIN_BODY_RATE))

    def _body_failed(self, error: GatewayError) -> None:
        """The rest of the body is of no use: what still comes is thrown away until the connection ends."""
        self._decoder = self._body = None
        self._deadline.set(inf)
        self._close_after = self._lingering = True
        exchange = self._exchange
        if exchange is not None and exchange.started:
            exchange.error = error
            self._drop()
        else:
            # Whoever draws the body is told next, and answers.
            self._resume()

    def _refuse(self, bad: BadMessage, now: float) -> None:
        """What came isn't HTTP: answer once, in the error shape, and end."""
        error = MalformedRequest(bad.detail, status=bad.status, code=bad.code, close=True)
        self._refuse_with(error, now)

    def _refuse_with(self, error: GatewayError, now: float) -> None:
        self._close_after = self._lingering = True
        self._deadline.set(inf)
        request = Request(b"", b"", b"", b"", b"", [], (), b"1.1", self._client, {})
        exchange = self._exchange = Exchange(request, self, now)
        self._site.core.refuse(exchange, error)

    # -- pausing the client -------------------------------------------------------------------------------------

    def _pause(self) -> None:
        if not self._paused and self.transport is not None and not self._half_closed and not self._gone:
            self._paused = True
            self._paused_at = self._site.seconds()
            if self._decoder is not None:
                self._deadline.set(inf)
            self.transport.pauseProducing()
            self._look_after(LOOK_LAST)

    def _resume(self) -> None:
        if self._paused and self.transport is not None and not self._half_closed and not self._gone:
            self._paused = False
            if self._decoder is not None:
                now = self._site.seconds()
                self._body_begun += now - self._paused_at
                self._deadline.set(now + self._settings.body_idle_timeout)
            self.transport.resumeProducing()

    # -- answering: the outlet --------------------------------------------------------------------------------------

    def inform(self, exchange: Exchange, status: int, fields: Fields) -> None:
        """Pass on a 1xx answer; HTTP/1.0 knows none (RFC 9110 section 15.2)."""
        if exchange is not self._exchange or exchange.started or exchange.request.version != b"1.1":
            return
        if status == 100:
            if self._decoder is not None and not self._paused:
                now = self._body_begun = self._site.seconds()
                self._deadline.set(now + self._settings.body_idle_timeout)
            self._write(CONTINUE)
        else:
            self._write(serialize_response_head(status, REASONS.get(status, b""), fields))

    def respond(self, exchange: Exchange, response: Response) -> None:
        """Send the final answer, as it comes."""
        if exchange is not self._exchange or exchange.started:
            return
        exchange.started = True
        body = response.body
        if self._decoder is not None and (response.status >= 300 or isinstance(body, bytes)):
            # Refused, or answered to the end, before it was read: the rest of the body isn't wanted.
            self._close_after = True
        lines = response.field_lines()
        http11 = exchange.request.version == b"1.1"
        chunked = False
        if response.length is None and not response.bodyless:
            if http11:
                chunked = True
                lines += b"Transfer-Encoding: chunked\r\n"
            else:
                self._close_after = True
        if self._close_after or self._site.draining:
            self._close_after = True
            lines += b"Connection: close\r\n"
        elif not http11:
            lines += b"Connection: keep-alive\r\n"
        if isinstance(body, bytes) and not chunked and not response.bodyless and exchange.request.method != b"HEAD":
            # As with most answers, all of it is here and its length is known: one write.
            exchange.sent = len(body)
            self.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (response.status, response.reason, lines, body))
            self._answered(True)
            return
        head = b"HTTP/1.1 %d %b\r\n%b\r\n" % (response.status, response.reason, lines)
        if response.bodyless or exchange.request.method == b"HEAD":
            self._write(head)
            self._answered(True)
        elif isinstance(body, bytes):
            exchange.sent = len(body)
            last = encode_last_chunk(response.last_fields())
            self._write(head + (b"%x\r\n%b\r\n%b" % (len(body), body, last) if body else last))
            self._answered(True)
        else:
            self._deadline.set(inf)
            self._pump = Pump(self, self.transport, exchange, response, head, chunked)
            self._pump.start(body)
            if self._site.draining and exchange.stream is not None:
                exchange.stream.end(shutting_down())

    # -- answering: with another protocol ----------------------------------------------------------------------------

    def upgrading(self) -> UpgradeOutlet:
        """As :class:`~apigw.messages.Outlet` has it."""
        return UpgradeOutlet(self, self._site)

    def last(self, exchange: Exchange) -> None:
        """No request follows this one: what looks like one may have been meant for the protocol that was asked for."""
        if exchange is self._exchange:
            self._close_after = True
            self._buffer = b""

    def switch(self, exchange: Exchange, response: Response, tunnel: Tunnel) -> None:
        """Leave HTTP: all bytes after the request's head go to the service, all after the answer's come from there."""
        if exchange is not self._exchange or exchange.started:
            return
        exchange.started = self._close_after = True
        self._deadline.set(inf)
        self._pump = self._tunnel = tunnel
        reason = response.reason or b"Switching Protocols"
        lines = b"%bConnection: Upgrade\r\nUpgrade: %b\r\n" % (response.field_lines(), tunnel.protocol)
        self._write(b"HTTP/1.1 101 %b\r\n%b\r\n" % (reason, lines))
        early, self._buffer = self._buffer, b""
        tunnel.start()
        if early and self._answers(exchange):
            tunnel.client_sent(early)
        if self._site.draining:
            tunnel.end(shutting_down())
        self.resume_client()

    def pause_client(self) -> None:
        """For a tunnel: the service doesn't keep up."""
        self._pause()

    def resume_client(self) -> None:
        """For a tunnel: the service takes more."""
        self._resume()

    # -- from the transport, as its producer: nothing more is written for a client that doesn't read -----------------

    def pauseProducing(self) -> None:
        """Much of what was written is still here."""
        self._full = True
        if self._pump is not None:
            self._await_taking()
            self._pump.pause()

    def resumeProducing(self) -> None:
        """The client has read what there was."""
        self._full = False
        if self._pump is not None:
            self._deadline.set(inf)
            self._pump.resume()
        else:
            self._next()

    def stopProducing(self) -> None:
        """The transport is gone; connectionLost says the rest."""

    def pumped(self, exchange: Exchange, complete: bool) -> None:
        """For the pump: the body is written, or was cut."""
        self._pump = self._tunnel = None
        if exchange is self._exchange:
            self._answered(complete)

    def _write(self, data: bytes) -> None:
        if self.transport is not None and not self._gone:
            self.transport.write(data)

    def _answered(self, complete: bool) -> None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        exchange.finish(complete)
        if not complete:
            # A cut has to be seen as one, whatever the framing: reset, don't end.
            self._drop()
        elif self._lingering or self._decoder is not None:
            body, self._body, self._decoder = self._body, None, None
            if body is not None:
                body.fail(ClientDisconnected())
            self._linger()
        elif self._close_after:
            self._end()
        else:
            self._deadline.set(
                self._site.seconds() + (QUIET if self._site.draining else self._settings.keepalive_timeout)
            )
            if self._buffer or self._paused:
                self._next()

    def _next(self) -> None:
        """Go on with what the client sent meanwhile, if nothing is under way."""
        if self._exchange is None and not (self._gone or self._full or self._reading) and self._later is None:
            if len(self._buffer) <= MAX_PIPELINED:
                self._resume()
            if self._buffer:
                data, self._buffer = self._buffer, b""
                self._read_heads(data)

    # -- ending -----------------------------------------------------------------------------------------------------

    def _expired(self) -> None:
        exchange = self._exchange
        if (self._ending or self._pump is not None) and self._takes():
            return
        if self._lingering or self._gone or self._half_closed:
            self._drop()
        elif self._decoder is not None and self._body is not None and (exchange is None or not exchange.started):
            self._body.fail(RequestTimeout("The body came too slowly.", close=True))
        elif exchange is not None:
            exchange.error = ClientDisconnected("The client did not read the answer.")
            self._drop()
        elif self._searched:
            self._buffer = b""
            error = RequestTimeout("The head of the request came too slowly.", close=True)
            self._refuse_with(error, self._site.seconds())
        else:
            self._end_if_quiet()

    def _end_if_quiet(self) -> None:
        """End, unless a request has come already that is to be read next."""
        if not (self._paused or self._full) and unread(self.transport):
            self._deadline.set(self._site.seconds() + QUIET)
        else:
            self._end()

    def _end(self) -> None:
        """Close once all is written; a client that doesn't read it is cut off in time."""
        self._lingering = self._ending = True
        self._await_taking()
        if self.transport is not None:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def _await_taking(self) -> None:
        """What is written now waits for a client that may be slow, but not too slow."""
        self._taken = -1
        self._deadline.set(self._site.seconds() + self._settings.write_idle_timeout / 2.0)

    def _takes(self) -> bool:
        """
        Whether the client may go on as it does: at half of its time this takes down how much it has, and at the end
        of it looks whether that is more by now.
        """
        half = self._settings.write_idle_timeout / 2.0
        before, self._taken = self._taken, taken(getattr(self.transport, "socket", None))
        if before >= 0 and self._taken < before + MIN_BODY_RATE * half:
            return False
        self._deadline.set(self._site.seconds() + half)
        return True

    def _linger(self) -> None:
        """
        Close our half and read on for a while: to close with bytes unread would reset the connection, and the client
        might never see the answer (RFC 9112 section 9.6).
        """
        self._lingering = True
        self._buffer = b""
        self._resume()
        self._deadline.set(self._site.seconds() + LINGER_TIME)
        if self.transport is None or self._gone:
            return
        self.transport.unregisterProducer()
        close_half = getattr(self.transport, "loseWriteConnection", None)
        if close_half is None or self._half_closed:
            self.transport.loseConnection()
        else:
            close_half()

    def _drop(self) -> None:
        if self.transport is not None and not self._gone:
            self.transport.abortConnection()


def _shut(handle: socket.socket) -> bool:
    """Whether the other end has shut its sending side; False where the system doesn't tell."""
    if handle.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
        return False
    return handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == CLOSE_WAIT


REASONS = {102: b"Processing", 103: b"Early Hints"}
