"""
One HTTP/1.1 connection to a peer: sends a request, reads the answer as it comes, and says when it may be used again.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any
from typing import Protocol as TypingProtocol

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IConsumer,
    IHandshakeListener,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH
from zope.interface import implementer

from apigw.body import RequestBody
from apigw.deadline import Deadline
from apigw.errors import (
    ClientDisconnected,
    GatewayError,
    StaleConnection,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamReset,
    UpstreamTimeout,
)
from apigw.http1.body import ChunkedDecoder, CloseDecoder, LengthDecoder, encode_chunk, encode_last_chunk
from apigw.http1.errors import BadMessage
from apigw.http1.head import HeadLimits
from apigw.http1.response import CHUNKED, LENGTH, NONE, ResponseHead, find_response_head, parse_response_head, switch
from apigw.messages import Attempt
from apigw.policy.fields import request_fields, response_fields
from apigw.task import Awaited
from apigw.upstream.failures import mapped
from apigw.upstream.response import PeerResponse

MAX_INTERIM = 16
"""1xx answers accepted before the final one; Go's net/http draws the line at 5, curl at none."""

CLOSE_TIMEOUT = 5.0
"""Seconds for an orderly end before the connection is reset."""

RESPONSE_LIMITS = HeadLimits(size=65536, line=8192, fields=256)
"""Of a peer's head. Larger than for clients: services set many cookies and long policies."""


UNEXPECTED = frozenset((b"GET", b"HEAD", b"OPTIONS"))
"""
Methods whose body some services don't read, and take for the next request on the connection, which no policy has seen:
so there is no next one (RFC 9110 section 9.3.1).
"""


class Owner(TypingProtocol):
    """The pool a connection belongs to."""

    def ready(self, connection: PeerConnection) -> None:
        """The connection is made, the TLS handshake included."""

    def released(self, connection: PeerConnection) -> None:
        """The answer is complete and the connection may carry another request."""

    def lost(self, connection: PeerConnection, reason: Failure) -> None:
        """The connection is gone, or will be in a moment and must not be used."""


class _Nobody:
    """The owner of a connection that left its pool."""

    def ready(self, connection: PeerConnection) -> None: ...

    def released(self, connection: PeerConnection) -> None: ...

    def lost(self, connection: PeerConnection, reason: Failure) -> None: ...


_NOBODY = _Nobody()


@implementer(IConsumer, IHandshakeListener, IPushProducer)
class PeerConnection(Protocol):
    """
    :param owner: told of each change.
    :param clock: for timers.
    :param idle_timeout: seconds a kept connection waits for its next request.
    :param tls: the handshake must be done before the first request.

    :ivar usable: False once the connection carries nothing more.
    :ivar made: monotonic seconds when it was ready.
    :ivar served: requests sent.
    """

    transport: Any  # ITransport with IConsumer and IPushProducer; None until connected
    ends_at_once = True
    """See :mod:`apigw.transports`."""

    def __init__(
        self,
        owner: Owner,
        clock: IReactorTime,
        seconds: Callable[[], float],
        idle_timeout: float,
        period: float,
        tls: bool = False,
    ) -> None:
        self._owner: Owner = owner
        self._seconds = seconds
        self._idle_timeout = idle_timeout
        self._tls = tls
        self._deadline = Deadline(clock, self._expired, period, seconds)
        self.usable = True
        self.made = 0.0
        self.served = 0
        self._attempt: Attempt | None = None
        self._method = b""
        self._answer: Awaited[PeerResponse] | None = None
        self._response: PeerResponse | None = None
        self._decoder: LengthDecoder | ChunkedDecoder | CloseDecoder | None = None
        self._keep_alive = False
        self._last = False
        self._upload: RequestBody | None = None
        self._chunked = False
        self._head = b""
        self._buffer = b""
        self._searched = 0
        self._interim = 0
        self._held = False
        self._earlier: ResponseHead | None = None
        self._error: GatewayError | None = None

    # -- making the connection -------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        if not self._tls:
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:
        self.made = self._seconds()
        self._owner.ready(self)

    # -- sending -----------------------------------------------------------------------------------------------

    def request(
        self, method: bytes, target: bytes, lines: bytes, body: RequestBody | None, attempt: Attempt
    ) -> Deferred[PeerResponse]:
        """
        Send one request; the connection must be idle.

        :param lines: all fields but the framing ones, Host included, as they go on the wire.
        :return: the answer once its head is here; fails with an :class:`UpstreamError`, or with what the body failed
            with. Cancelling it closes the connection.
        """
        self._attempt = attempt
        self._method = method
        self.served += 1
        attempt.sent = True
        answer = self._answer = Awaited(self._cancelled)
        if body is None:
            self._await_answer()
            self.transport.write(b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, lines))
        else:
            self._send_with_body(method, target, lines, body)
        return answer

    def _send_with_body(self, method: bytes, target: bytes, lines: bytes, body: RequestBody) -> None:
        self._chunked = body.length == UNKNOWN_LENGTH
        framing = b"Transfer-Encoding: chunked" if self._chunked else b"Content-Length: " + str(body.length).encode()
        if method in UNEXPECTED:
            framing += b"\r\nConnection: close"
            self._last = True
        assert self._attempt is not None
        self._upload = body
        expects = getattr(body, "expects", False)
        self._deadline.set(self._seconds() + self._attempt.timeouts.first_byte if expects else inf)
        # The head waits for the first bytes of the body, so that both leave in one write.
        self._head = b"%b %b HTTP/1.1\r\n%b%b\r\n\r\n" % (method, target, lines, framing)
        self.transport.registerProducer(self, True)
        finished = body.startProducing(self)
        if self._head and not finished.called:
            self._flush_head()
        finished.addCallbacks(self._upload_done, self._upload_failed)

    def write(self, data: bytes) -> None:
        """Bytes of the request body, from its producer."""
        if self._upload is None:
            return
        if self._response is None:
            self._deadline.set(inf)
        elif self._deadline.at != inf:
            assert self._attempt is not None
            self._deadline.set(self._seconds() + self._attempt.timeouts.idle)
        if self._chunked:
            data = encode_chunk(data)
        if self._head:
            data, self._head = self._head + data, b""
        self.transport.write(data)

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Part of IConsumer; the transport has the producer already."""

    def unregisterProducer(self) -> None:
        """Part of IConsumer."""

    def pauseProducing(self) -> None:
        """The peer doesn't keep up with the upload."""
        if self._upload is not None:
            assert self._attempt is not None
            if self._response is None:
                self._deadline.set(self._seconds() + self._attempt.timeouts.idle)
            self._upload.pauseProducing()

    def resumeProducing(self) -> None:
        """The peer has taken what was waiting for it."""
        if self._upload is not None:
            if self._response is None:
                self._deadline.set(inf)
            self._upload.resumeProducing()

    def stopProducing(self) -> None:
        """The transport is gone; connectionLost says the rest."""

    def _flush_head(self) -> None:
        head, self._head = self._head, b""
        self.transport.write(head)

    def _upload_done(self, _: None) -> None:
        body, self._upload = self._upload, None
        if body is None or self.transport is None or not self.usable:
            return
        end = b""
        if self._chunked:
            trailers = request_fields(body.trailers)
            end = encode_last_chunk(trailers if body.outgoing is None else body.outgoing(trailers))
        if self._head or end:
            head, self._head = self._head, b""
            self.transport.write(head + end)
        self.transport.unregisterProducer()
        if self._answer is not None:
            self._await_answer()

    def _upload_failed(self, failure: Failure) -> None:
        self._upload = None
        error = failure.value if isinstance(failure.value, GatewayError) else ClientDisconnected()
        self._break(error)

    def _await_answer(self) -> None:
        attempt = self._attempt
        assert attempt is not None
        now = self._seconds()
        if attempt.deadline == inf:
            attempt.deadline = now + attempt.timeouts.total
        self._deadline.set(min(now + attempt.timeouts.first_byte, attempt.deadline))

    # -- receiving -----------------------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        if not self.usable:
            return
        if self._attempt is None:
            # Bytes that nobody asked for would become the next user's answer.
            self._close()
            return
        try:
            if self._response is None:
                self._head_data(data)
            else:
                self._deadline.set(self._seconds() + self._attempt.timeouts.idle)
                self._body_data(data)
        except BadMessage as bad:
            self._break(UpstreamProtocolError(), bad)

    def _head_data(self, data: bytes) -> None:
        attempt = self._attempt
        assert attempt is not None
        if self._buffer:
            data = self._buffer + data
        while True:
            head = self._earlier
            if head is not None and head.method == self._method and data.startswith(head.raw):
                end = len(head.raw)
            else:
                end = find_response_head(data, RESPONSE_LIMITS, self._searched)
                if end < 0:
                    self._buffer = data
                    self._searched = len(data)
                    return
                head = self._earlier = parse_response_head(data[:end], self._method)
            data = data[end:]
            self._searched = 0
            if head.status >= 200:
                break
            if head.status == 101 and attempt.upgrade is not None:
                switch(head, attempt.upgrade.offered)
                # The times of a tunnel are its own affair.
                attempt.timeouts = evolve(attempt.timeouts, idle=inf)
                break
            self._interim += 1
            if head.status == 101 or self._interim > MAX_INTERIM:
                raise BadMessage(502, "unexpected-interim", f"a {head.status} answer that was not asked for")
            if attempt.inform is not None:
                attempt.inform(head.status, response_fields(head.fields, head.options)[0])
            if not self.usable:
                return
            if not data:
                self._buffer = b""
                return
        self._buffer = b""
        self._interim = 0
        attempt.inform = None
        attempt.first_byte = self._seconds()
        attempt.status = head.status
        self._begin_response(head, data, attempt)

    def _begin_response(self, head: ResponseHead, data: bytes, attempt: Attempt) -> None:
        answer, self._answer = self._answer, None
        assert answer is not None
        response = PeerResponse(head, self)
        framing = head.framing
        if framing == NONE or (framing == LENGTH and len(data) >= (head.content_length or 0)):
            # All of it is here, as with most answers: no decoder, no delivery.
            length = 0 if framing == NONE else head.content_length or 0
            response.complete(data[:length] if len(data) != length else data)
            self._keep_alive = head.keep_alive and len(data) == length
            self._message_done(attempt.first_byte)
            answer.callback(response)
            return
        self._keep_alive = head.keep_alive
        self._response = response
        if framing == LENGTH:
            assert head.content_length is not None
            self._decoder = LengthDecoder(head.content_length, 502)
        elif framing == CHUNKED:
            self._decoder = ChunkedDecoder(RESPONSE_LIMITS, 502)
        else:
            self._decoder = CloseDecoder()
        self._deadline.set(attempt.first_byte + attempt.timeouts.idle)
        if data:
            # Before the answer is handed on: what came with the head leaves with it too.
            try:
                self._body_data(data)
            except BadMessage:
                self._answer = answer  # nobody has it yet, so it can still become an error
                raise
        answer.callback(response)
        if not (response.ended or response.delivering):
            self.pause()

    def _body_data(self, data: bytes) -> None:
        response, decoder = self._response, self._decoder
        assert response is not None
        assert decoder is not None
        for piece in decoder.feed(data):
            response.receive(piece)
        if decoder.done and self._response is response:
            self._keep_alive = self._keep_alive and not decoder.rest
            self._response = self._decoder = None
            response.trailers = response_fields(decoder.trailers)[0]
            if self._held:
                # Its reader had enough with the very last of it; the next answer is somebody else's.
                self._held = False
                self.transport.resumeProducing()
            self._message_done(self._seconds())
            response.end()

    def _message_done(self, now: float) -> None:
        """The answer is complete; the request may not be, where the peer answered early."""
        if self._upload is None:
            self._reuse_or_close(now)
        else:
            # RFC 9112 section 9.3: what is left of the request would have to be sent for nothing.
            self._stop_upload()
            self._close()

    def _reuse_or_close(self, now: float) -> None:
        self._attempt = None
        if self._keep_alive and self.usable and not self._last:
            self._deadline.set(now + self._idle_timeout)
            self._owner.released(self)
        else:
            self._close()

    # -- back-pressure, for the response ----------------------------------------------------------------------

    def pause(self) -> None:
        """The reader of the response has enough."""
        if self.transport is not None and self.usable and self._response is not None:
            self._deadline.set(inf)
            self._held = True
            self.transport.pauseProducing()

    def resume(self) -> None:
        """The reader of the response takes more."""
        if self.transport is not None and self.usable and self._response is not None:
            assert self._attempt is not None
            self._deadline.set(self._seconds() + self._attempt.timeouts.idle)
            self._held = False
            self.transport.resumeProducing()

    def stop(self) -> None:
        """The reader of the response is gone: so is this request."""
        if self._response is not None:
            self._break(ClientDisconnected())

    # -- after a 101 -----------------------------------------------------------------------------------------------

    def tunnel(self, body: RequestBody) -> None:
        """Send what comes of ``body``, unframed; its end is that of this direction alone."""
        # Tunnels have bounds of their own: they don't take connections away from requests.
        self._owner.lost(self, Failure(ConnectionDone()))
        self._owner = _NOBODY
        self._upload = body
        self._chunked = False
        self.transport.registerProducer(self, True)
        body.startProducing(self).addCallbacks(self._tunnel_shut, self._upload_failed)

    def _tunnel_shut(self, _: None) -> None:
        self._upload = None
        if self.transport is None or not self.usable:
            return
        self.transport.unregisterProducer()
        if self._tls:
            self.finish()
        else:
            self.transport.loseWriteConnection()

    def finish(self) -> None:
        """End the tunnel once all is written."""
        self._stop_upload()
        self._attempt = None
        self._close()

    # -- the end ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close an idle connection."""
        self._close()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008 (Twisted's signature)
        self._deadline.stop()
        if self.usable:
            self.usable = False
            self._owner.lost(self, reason)
        self._stop_upload()
        response, decoder = self._response, self._decoder
        answer, self._answer = self._answer, None
        self._response = self._decoder = None
        if response is not None:
            assert decoder is not None
            if isinstance(decoder, CloseDecoder) and reason.check(ConnectionDone):
                response.end()
            else:
                response.cut(Failure(self._error or UpstreamReset()))
        elif answer is not None:
            answer.errback(Failure(self._error or self._loss(reason)))

    def _loss(self, reason: Failure) -> UpstreamError:
        attempt = self._attempt
        if attempt is not None and attempt.reused and not self._buffer and not self._interim:
            return StaleConnection()
        if self._buffer:
            return UpstreamProtocolError("The service closed the connection within the head of its answer.")
        return mapped(reason, UpstreamReset())

    def _expired(self) -> None:
        attempt = self._attempt
        if not self.usable:
            if self.transport is not None:
                self.transport.abortConnection()
        elif attempt is None:
            self._close()
        elif self._response is not None:
            self._break(UpstreamTimeout("The service stopped sending its answer.", code="upstream-idle-timeout"))
        elif self._upload is not None and self._upload.received:
            self._break(UpstreamTimeout("The service stopped taking the body.", code="upstream-idle-timeout"))
        elif self._seconds() >= attempt.deadline:
            self._break(UpstreamTimeout("The time for the whole request ran out.", code="upstream-total-timeout"))
        else:
            self._break(
                UpstreamTimeout("The service did not begin to answer in time.", code="upstream-first-byte-timeout")
            )

    def _cancelled(self, _: Deferred[PeerResponse]) -> None:
        self._answer = None
        self._break(ClientDisconnected())

    def _break(self, error: GatewayError, cause: Exception | None = None) -> None:
        """Give up on the request under way; the peer sees a reset, so that it can stop working for it."""
        error.__cause__ = cause
        self._error = error
        self._stop_upload()
        response, answer = self._response, self._answer
        self._response = self._decoder = self._answer = None
        self._close()
        if answer is not None:
            answer.errback(Failure(error))
        elif response is not None:
            response.cut(Failure(error))

    def _stop_upload(self) -> None:
        body, self._upload = self._upload, None
        if body is not None:
            self._head = b""
            if self.transport is not None:
                self.transport.unregisterProducer()
            body.stopProducing()

    def _close(self) -> None:
        if not self.usable:
            return
        self.usable = False
        self._owner.lost(self, Failure(ConnectionDone()))
        if self.transport is not None:
            if self._attempt is None:
                # A TLS peer may never answer the close_notify.
                self._deadline.set(self._seconds() + CLOSE_TIMEOUT)
                self.transport.loseConnection()
            else:
                self.transport.abortConnection()
