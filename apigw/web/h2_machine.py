"""
h2's state machine, in fewer steps for what happens most: a request and its answer (RFC 9113 section 5.1).

They move the same states as in h2, without its objects for frames, flags and events; whatever is unusual is left to it.
"""

from __future__ import annotations

from typing import Any

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection, _decode_headers
from h2.events import Event, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError
from h2.stream import H2Stream, StreamClosedBy, StreamState

from apigw.messages import Fields
from apigw.policy.hpack import FieldDecoder, FieldEncoder
from apigw.policy.http2 import CONTINUATION, DATA, END_HEADERS, END_STREAM, HEAD, HEADERS

MAX_CLOSED = 1024
"""Streams of which is known how they ended, for frames that were on their way then."""

TIDY = 32
"""Streams that were reset, and are kept with those that are open."""

PADDED, PRIORITY = 0x08, 0x20

_OPEN = ConnectionState.SERVER_OPEN
_ANSWERED = {StreamState.OPEN: StreamState.HALF_CLOSED_LOCAL, StreamState.HALF_CLOSED_REMOTE: StreamState.CLOSED}
"""From the states in which an answer is sent to those that its end leads to."""


class StateMachine(H2Connection):
    """
    Of a server. How many streams are open is for its user to bound, and what fields mean to judge.

    :ivar encoder: see :class:`~apigw.policy.hpack.FieldEncoder`.
    """

    encoder: Any
    decoder: Any

    def __init__(self) -> None:
        self.MAX_CLOSED_STREAMS = MAX_CLOSED
        super().__init__(
            H2Configuration(
                client_side=False,
                header_encoding=None,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.encoder = FieldEncoder()
        self.decoder = FieldDecoder()
        self._tidy_at = TIDY

    def receive_data(self, data: bytes) -> list[Event]:  # type: ignore[override]
        """
        :param data: one frame, or the preface.
        :raises ProtocolError: the connection has to end.
        """
        if data[3] == HEADERS:
            flags = data[4]
            number = int.from_bytes(data[5:HEAD], "big") & 0x7FFFFFFF
            start = HEAD
            if flags & PRIORITY and int.from_bytes(data[HEAD : HEAD + 4], "big") & 0x7FFFFFFF != number:
                start += 5
                flags ^= PRIORITY
            if (
                flags & (END_HEADERS | PADDED | PRIORITY) == END_HEADERS
                and number & 1
                and number > self.highest_inbound_stream_id
                and len(data) >= start
                and self.state_machine.state is _OPEN
                and not self.incoming_buffer._headers_buffer
            ):
                try:
                    return [self._open(number, data[start:], flags & END_STREAM != 0)]
                except ProtocolError as error:
                    self._terminate_connection(error.error_code)
                    raise
        return super().receive_data(data)

    def end(self) -> None:
        """Nothing comes any more. h2's table of what takes which frame leads back to the machine."""
        self._frame_dispatch_table.clear()

    def _open(self, number: int, block: bytes, ended: bool) -> RequestReceived:
        fields: Any = _decode_headers(self.decoder, block)
        streams = self.streams
        if len(streams) >= self._tidy_at:
            self._tidy_at = 2 * self.open_inbound_streams + TIDY  # to count them drops those that are closed
        stream = streams[number] = H2Stream(
            number, self.config, self.local_settings.initial_window_size, self.remote_settings.initial_window_size
        )
        stream.max_outbound_frame_size = self.max_outbound_frame_size
        self.highest_inbound_stream_id = number
        state = stream.state_machine
        state.client, state.headers_received = False, True
        state.state = StreamState.HALF_CLOSED_REMOTE if ended else StreamState.OPEN
        stream._initialize_content_length(fields)
        return RequestReceived(
            stream_id=number, headers=fields, stream_ended=StreamEnded(stream_id=number) if ended else None
        )

    def send_answer(self, number: int, status: int, lines: bytes, last: bool) -> None:
        """
        The head of a final answer.

        :param lines: as :meth:`~apigw.policy.hpack.FieldEncoder.head` takes them.
        :param last: it has no body.
        :raises ProtocolError: the stream is in no state for it.
        """
        stream = self._sends(number)
        if stream is None or stream.state_machine.headers_sent:
            raise ProtocolError(f"stream {number} takes no answer")
        block = self.encoder.head(status, lines)
        most = self.max_outbound_frame_size
        flags = END_STREAM if last else 0
        if len(block) <= most:
            self._put(HEADERS, flags | END_HEADERS, number, block)
        else:
            self._put(HEADERS, flags, number, block[:most])
            for at in range(most, len(block), most):
                self._put(CONTINUATION, END_HEADERS if at + most >= len(block) else 0, number, block[at : at + most])
        stream.state_machine.headers_sent = True
        if last:
            self._answered(number, stream)

    def send_data(self, stream_id: int, data: Any, end_stream: bool = False, pad_length: Any = None) -> None:
        """As in h2."""
        size = len(data)
        stream = self._sends(stream_id)
        if (
            stream is None
            or pad_length is not None
            or size > self.max_outbound_frame_size
            or (size and size > min(self.outbound_flow_control_window, stream.outbound_flow_control_window))
        ):
            super().send_data(stream_id, data, end_stream, pad_length)
            return
        self._put(DATA, END_STREAM if end_stream else 0, stream_id, data)
        window: int = self.outbound_flow_control_window
        self.outbound_flow_control_window = window - size
        stream.outbound_flow_control_window -= size
        if end_stream:
            self._answered(stream_id, stream)

    def send_fields(self, number: int, fields: Fields, last: bool) -> None:
        """An interim answer, or trailers."""
        self.send_headers(number, fields, end_stream=last)

    def _sends(self, number: int) -> H2Stream | None:
        """The stream, where it and the connection are in a state in which answers are sent."""
        stream = self.streams.get(number)
        if stream is None or self.state_machine.state is not _OPEN or stream.state_machine.state not in _ANSWERED:
            return None
        return stream

    def _put(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """One frame (RFC 9113 section 4.1)."""
        out = self._data_to_send
        out += (len(payload) << 48 | kind << 40 | flags << 32 | number).to_bytes(HEAD, "big")
        out += payload

    def _answered(self, number: int, stream: H2Stream) -> None:
        """All is sent; where all has come, too, only how it ended is kept, as h2 does when the next one begins."""
        state = stream.state_machine
        state.state = _ANSWERED[state.state]
        if state.state is StreamState.CLOSED:
            state.stream_closed_by = StreamClosedBy.SEND_END_STREAM
            del self.streams[number]
            self._closed_streams[number] = StreamClosedBy.SEND_END_STREAM
