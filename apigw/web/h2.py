"""
One HTTP/2 connection of a client: h2's state machine between the wire and the streams (RFC 9113).

It sees whole frames only, one after the other, and not before they are counted. GOAWAY stays outside of it both ways:
it takes that for the end, while the streams there are go on to theirs.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from h2.events import (
    DataReceived,
    Event,
    RequestReceived,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import NoSuchStreamError, ProtocolError, StreamClosedError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame, PingFrame
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from apigw.deadline import Deadline
from apigw.errors import ClientDisconnected, ShuttingDown
from apigw.http1.errors import BadMessage
from apigw.loop import at_turn_end
from apigw.messages import ClientAddress, Fields
from apigw.policy.client_auth import ClientTls
from apigw.policy.http2 import (
    DATA,
    ENHANCE_YOUR_CALM,
    FRAME_SIZE,
    GOAWAY,
    HEAD,
    NO_ERROR,
    PING,
    REFUSED_STREAM,
    SHARE,
    Excess,
    FrameGuard,
    resets_in,
    without_resets,
)
from apigw.streams import shutting_down
from apigw.web.channel import AT_ONCE, MAX_PIPELINED, MIN_BODY_RATE
from apigw.web.h2_machine import StateMachine
from apigw.web.h2_request import Head, read_head
from apigw.web.h2_stream import Http2Stream
from apigw.web.taken import taken

if TYPE_CHECKING:
    from apigw.web.site import Site

LAST_STREAM = 2**31 - 1

ANOTHER_ROUND = b"drain..."
"""What the PING holds that tells when a client has seen the first GOAWAY (RFC 9113 section 6.8)."""

WORTH = 1024
"""Bytes of an answer that a client made so few by its window, and that may be acknowledged nevertheless."""

WRITE_SIZE = 65536
"""Bytes of answers that are written at once, where there are as many; then it is looked whether the client keeps up."""

RECORD = 16384
"""Bytes of a record of TLS at most (RFC 8446 section 5.1)."""

DRAIN_ROUND = 1.0
"""Seconds after which that isn't waited for any more."""

GOODBYE = 1.0
"""Seconds in which a client may take a last GOAWAY."""


@implementer(IPushProducer)
class Http2Connection(Protocol):
    """
    :param site: what all connections of a listener share.

    :ivar tls: what the handshake has told of the client; set before it is connected.
    :ivar full: much of what was written is still here.
    :ivar faults: of the client since the last frame, by which streams came to an end.
    """

    transport: Any
    tls: ClientTls | None = None

    def __init__(self, site: Site) -> None:
        self.site = site
        self.full = False
        self._settings = site.settings
        self._limits = limits = site.settings.http2
        self._most = 2 * site.settings.head_limits.size
        self._guard = FrameGuard(limits, self._most, site.seconds)
        self._machine = StateMachine()
        self._deadline = Deadline(site.clock, self._expired, site.settings.timer_period, site.seconds)
        self._streams: dict[int, Http2Stream] = {}
        self._waiting: dict[int, Http2Stream] = {}
        self._known: tuple[object, dict[object, Any]] = (None, {})
        self._fields: Fields | None = None
        self._head: Head
        self._since = site.seconds()
        self._busy = False
        self._gone = False
        self._ending = False
        self._refused = False
        self._draining = False
        self._drained_at = inf
        self._last = LAST_STREAM
        self.faults = 0
        self._taken = -1
        self._out = bytearray()
        self._begun = 0
        self._held = False
        self._later: IDelayedCall | None = None
        self._paused = False

    # -- the connection ------------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        transport, site = self.transport, self.site
        site.opened(self)
        site.http2.connections += 1
        peer = transport.getPeer()
        transport.registerProducer(self, True)
        self.client = ClientAddress(getattr(peer, "host", ""), getattr(peer, "port", 0), site.scheme, self.tls)
        self._greet()
        self._arm()
        if site.draining:
            self.close_when_idle()

    def _greet(self) -> None:
        machine, limits = self._machine, self._limits
        values = {
            SettingCodes.MAX_CONCURRENT_STREAMS: limits.max_streams,
            SettingCodes.MAX_HEADER_LIST_SIZE: self._settings.head_limits.size,
            SettingCodes.INITIAL_WINDOW_SIZE: limits.window,
            SettingCodes.MAX_FRAME_SIZE: FRAME_SIZE,
        }
        machine.local_settings = Settings(client=False, initial_values=values)
        machine.initiate_connection()
        machine.increment_flow_control_window(max(1, limits.connection_window - 65535))
        # What it refuses of these would end the connection; here it is one stream that is refused.
        machine.local_settings = Settings(
            client=False, initial_values={**values, SettingCodes.MAX_CONCURRENT_STREAMS: LAST_STREAM}
        )
        machine.decoder.max_header_list_size = self._most
        machine.max_inbound_frame_size = FRAME_SIZE
        self._write_out()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008 (Twisted's signature)
        self._gone = True
        self._deadline.stop()
        later, self._later = self._later, None
        if later is not None:
            later.cancel()
        for stream in list(self._streams.values()):
            stream.gone(ClientDisconnected())
        self._machine.end()
        self.site.closed(self)

    @property
    def idle(self) -> bool:
        """Never, for it can be told at any time that no more requests are taken."""
        return False

    def close_when_idle(self) -> None:
        """The gateway is about to stop: take no more requests, and end with the answers under way."""
        if self._ending or self._gone:
            return
        if not self._draining:
            self._draining = True
            # Twice, for requests may be on their way (RFC 9113 section 6.8).
            self._write(GoAwayFrame(0, last_stream_id=LAST_STREAM, error_code=NO_ERROR).serialize())
            self._write(PingFrame(0, opaque_data=ANOTHER_ROUND).serialize())
            self._drained_at = self.site.seconds() + DRAIN_ROUND
        for stream in list(self._streams.values()):
            stream.end_soon(shutting_down())
        self._arm()

    def _refuse_more(self) -> None:
        """The client knows by now that it should open no more streams."""
        if self._last == LAST_STREAM:
            self._last = self._machine.highest_inbound_stream_id
            self._write(GoAwayFrame(0, last_stream_id=self._last, error_code=NO_ERROR).serialize())

    def drop(self) -> None:
        """The gateway stops: end now, whatever is under way."""
        self._ending = True
        for stream in list(self._streams.values()):
            stream.gone(ShuttingDown())
        self._drop()

    # -- reading -------------------------------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        if self._ending or self._gone:
            return
        guard = self._guard
        if self._held:
            if guard.keep(data) > MAX_PIPELINED and not self._paused:
                self._paused = True
                self.transport.pauseProducing()
            return
        began = not guard.awaits_head
        self._busy = True
        self._begun = 0
        try:
            for kind, frame in guard.feed(data):
                began = True
                self._read(kind, frame)
                if self._closed():
                    return
                if self._begun == AT_ONCE:
                    self._held = True
                    self._later = self.site.clock.callLater(0.0, self._go_on)
                    break
        except Excess as excess:
            self._abort(excess.code, excess.reason)
            return
        except ProtocolError as wrong:
            self._abort(None, "header-list" if wrong.error_code == ENHANCE_YOUR_CALM else "protocol")
            return
        finally:
            self._busy = False
        if began and guard.awaits_head:
            self._since = self.site.seconds()
        number, partial = guard.partial_data
        if number in self._streams:
            self._streams[number].dripped(partial)
        self._send()
        self._arm()

    def _go_on(self) -> None:
        """It's this client's turn again."""
        self._later = None
        if self.full or self._closed():
            return
        self._held = False
        self.dataReceived(b"")
        if self._paused and not (self._held or self.full or self._closed()):
            self._paused = False
            self.transport.resumeProducing()

    def _read(self, kind: int, frame: bytes) -> None:
        """:raises Excess: :raises ProtocolError: the connection has to end."""
        if kind == GOAWAY:
            self._draining = True
            self._last = 0
            return
        if kind == PING and frame[HEAD:] == ANOTHER_ROUND and self._draining:
            self._refuse_more()
        machine = self._machine
        self._write_out()
        events = machine.receive_data(frame)
        answers = machine.data_to_send()
        if answers:
            if kind == DATA and int.from_bytes(frame[5:HEAD], "big") not in self._streams:
                # It was on its way when its stream was reset, of which the client was told (RFC 9113 section 5.4.2).
                answers = without_resets(answers)
                self._guard.idle_frames.spend(self.site.seconds(), SHARE)
            for _ in range(resets_in(answers)):
                self._guard.resets.spend(self.site.seconds())
            self._write(answers)
        for event in events:
            self._take(event)
        faults, self.faults = self.faults, 0
        for _ in range(faults):
            self._guard.resets.spend(self.site.seconds())

    def _take(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            stream = self._streams.get(event.stream_id)
            if stream is None:
                self.acknowledge(event.stream_id, event.flow_controlled_length)
            else:
                if not event.data and event.flow_controlled_length:
                    self._guard.idle_frames.spend(self.site.seconds())
                stream.received(event.data, event.flow_controlled_length)
                if event.stream_ended is not None:
                    stream.finished([])
        elif isinstance(event, RequestReceived):
            self._begin(event)
        elif isinstance(event, StreamReset):
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                stream.gone(ClientDisconnected())
        elif isinstance(event, TrailersReceived):
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                stream.finished(event.headers)

    def _begin(self, event: RequestReceived) -> None:
        number = event.stream_id
        if number > self._last or len(self._streams) >= self._limits.max_streams:
            self.reset(number, REFUSED_STREAM, not self._draining)
            return
        self.site.http2.requests += 1
        self._begun += 1
        stream = self._streams[number] = Http2Stream(self, number, event.stream_ended is not None)
        try:
            head = self._read_head(event.headers)
            if stream.ended and head.content_length:
                raise BadMessage(400, "bad-content-length", "The body is not as long as Content-Length says.")
            if not stream.ended and head.method == b"TRACE":
                raise BadMessage(400, "unexpected-body", "A request with this method has no body.")
        except BadMessage as bad:
            stream.refuse(bad)
        else:
            stream.begin(head, self._notes(head, stream.ended))

    def _read_head(self, fields: Any) -> Head:
        """
        The decoder gives the same list for the same block, which isn't read again.

        :raises BadMessage: it is no head of a request.
        """
        if fields is not self._fields:
            self._head = read_head(fields, self._settings.head_limits)
            self._fields = fields
        return self._head

    def _notes(self, head: Head, ended: bool) -> dict[object, Any]:
        """The same for requests that have the same fields."""
        key = (ended, head.authority, head.fields)
        if key != self._known[0]:
            self._known = key, {}
        return self._known[1]

    # -- for streams ---------------------------------------------------------------------------------------------------

    def acknowledge(self, number: int, size: int) -> None:
        """So many bytes of a body are dealt with; the client may send as many more."""
        if size and not self._closed():
            self._machine.acknowledge_received_data(size, number)
            self.write_soon()

    def send_head(self, number: int, status: int, lines: bytes, last: bool) -> None:
        """The head of an answer; it leaves with what is flushed next, or by :meth:`write_soon`."""
        if not self._closed():
            self._machine.send_answer(number, status, lines, last)

    def send_fields(self, number: int, fields: Fields, last: bool) -> None:
        """An interim answer, or trailers; they leave as a head does."""
        if not self._closed():
            self._machine.send_fields(number, fields, last)

    def send_body(self, number: int, data: bytes, last: bool) -> None:
        """For :meth:`Http2Stream.send_some`, within :meth:`flush`, which writes it."""
        self._machine.send_data(number, data, end_stream=last)

    def reset(self, number: int, code: int, fault: bool) -> None:
        """
        End a stream at once, both ways.

        :param fault: it is the client's.
        """
        if self._closed():
            return
        self.faults += fault
        try:
            self._machine.reset_stream(number, code)
        except (StreamClosedError, NoSuchStreamError):
            return
        self.write_soon()

    def write_soon(self) -> None:
        """Write what was sent: now, or once all is dealt with that has come."""
        if not self._busy:
            self._write_out()

    def flush(self, stream: Http2Stream) -> None:
        """A stream has something to send."""
        self._waiting[stream.number] = stream
        if not self._busy:
            self._send()
            self._arm()

    def forget(self, stream: Http2Stream) -> None:
        """It is over."""
        self._streams.pop(stream.number, None)
        self._waiting.pop(stream.number, None)
        if not self._streams:
            self._since = self.site.seconds()
            if not self._busy:
                self._arm()

    def count_abort(self, reason: str) -> None:
        self.site.http2.abuses[reason] += 1

    # -- writing -------------------------------------------------------------------------------------------------------

    def _closed(self) -> bool:
        return self._gone or self._ending

    def _send(self) -> None:
        """One frame of each stream in turn, as long as the client takes them."""
        machine, waiting = self._machine, self._waiting
        self._busy = moved = True
        unwritten = 0
        while moved and waiting:
            moved = False
            for number, stream in list(waiting.items()):
                if self.full or self._closed():
                    break
                if not stream.wants:
                    waiting.pop(number, None)
                    continue
                room = min(machine.local_flow_control_window(number), machine.max_outbound_frame_size, FRAME_SIZE)
                sent = stream.send_some(room)
                moved = moved or sent >= 0
                if 0 <= sent < room or sent >= WORTH:
                    self._guard.idle_frames.grant(2.0)
                unwritten += sent
                if unwritten >= WRITE_SIZE:
                    unwritten = 0
                    self._write_out()
        self._busy = False
        self._write_out()

    def _write_out(self) -> None:
        data = self._machine.data_to_send()
        if data:
            self._write(data)

    def _write(self, data: bytes) -> None:
        """Little waits for what else there is at the end of the loop's turn: one write, and one record of TLS."""
        if self._gone:
            return
        out = self._out
        first = not out
        if first and len(data) >= RECORD:
            self.transport.write(data)
            return
        out += data
        if len(out) >= RECORD:
            self._leave()
        elif first:
            at_turn_end(self._leave)

    def _leave(self) -> None:
        """What was written goes to the transport."""
        out = self._out
        if out and not self._gone:
            data = bytes(out)
            out.clear()
            self.transport.write(data)

    # -- from the transport, as its producer ---------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Much of what was written is still here: write no more, and take no more that would have to be answered."""
        if self._ending or self._gone:
            return
        self.full = True
        self.transport.pauseProducing()
        self._await_taking()

    def resumeProducing(self) -> None:
        """The client has read what there was."""
        if not self.full or self._gone:
            return
        self.full = False
        self._deadline.set(inf)
        self._since = self.site.seconds()
        if not self._ending:
            if self._held:
                self._paused = True
                if self._later is None:
                    self._later = self.site.clock.callLater(0.0, self._go_on)
            else:
                self._paused = False
                self.transport.resumeProducing()
            if not self._busy:
                self._send()
                self._arm()

    def stopProducing(self) -> None:
        """The transport is gone; connectionLost says the rest."""

    # -- time ----------------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Wait for whatever may not take for ever."""
        if self._ending or self._gone or self.full:
            return
        settings, now = self._settings, self.site.seconds()
        if self._draining and not self._streams and self._last != LAST_STREAM:
            self._end()
        elif self._draining and self._last == LAST_STREAM:
            self._deadline.set(self._drained_at)
        elif self._guard.awaits_head:
            self._deadline.set(self._since + settings.header_timeout)
        elif not self._streams:
            self._deadline.set(max(now, self._since + settings.keepalive_timeout))
        else:
            self._deadline.set(inf)

    def _expired(self) -> None:
        if self._gone:
            return
        if self._refused:
            self._drop()
        elif self.full or self._ending:
            if not self._takes():
                self.count_abort("slow-connection")
                self._drop()
        elif self._draining and self._last == LAST_STREAM:
            self._refuse_more()
            self._arm()
        elif self._guard.awaits_head:
            self._abort(NO_ERROR, "slow-head")
        elif not self._streams:
            self._write(GoAwayFrame(0, last_stream_id=self._machine.highest_inbound_stream_id).serialize())
            self._end()

    def _await_taking(self) -> None:
        self._taken = -1
        self._deadline.set(self.site.seconds() + self._settings.write_idle_timeout / 2.0)

    def _takes(self) -> bool:
        """As :class:`~apigw.web.channel.Channel` has it: at half of the time, and at the end of it."""
        half = self._settings.write_idle_timeout / 2.0
        before, self._taken = self._taken, taken(getattr(self.transport, "socket", None))
        if before >= 0 and self._taken < before + MIN_BODY_RATE * half:
            return False
        self._deadline.set(self.site.seconds() + half)
        return True

    # -- ending --------------------------------------------------------------------------------------------------------

    def _abort(self, code: int | None, reason: str) -> None:
        """
        The client has broken the rules: say so, and close.

        :param code: for GOAWAY; None where the state machine has made one.
        """
        self.count_abort(reason)
        self._write_out()
        if code is not None:
            last = self._machine.highest_inbound_stream_id
            self._write(GoAwayFrame(0, last, code, reason.encode()).serialize())
        self._leave()
        self._ending = self._refused = True
        for stream in list(self._streams.values()):
            stream.gone(ClientDisconnected())
        self._deadline.set(self.site.seconds() + GOODBYE)
        self.transport.unregisterProducer()
        self.transport.resumeProducing()
        close_half = getattr(self.transport, "loseWriteConnection", self.transport.loseConnection)
        close_half()

    def _end(self) -> None:
        """Close once all is written; a client that doesn't read it is cut off in time."""
        self._leave()
        self._ending = True
        self._await_taking()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _drop(self) -> None:
        if not self._gone:
            self._leave()
            self.transport.abortConnection()
