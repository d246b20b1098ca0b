"""The state machine beside h2's own: whatever frames come, both say and send the same."""

from __future__ import annotations

from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import Event, PriorityUpdated, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from h2.stream import StreamState
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.policy.hpack import FieldDecoder, FieldEncoder
from apigw.web.h2_machine import MAX_CLOSED, TIDY, StateMachine

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LINES = b"Content-Length: 2\r\nConnection: close\r\nX-A: b"
LOWERED = [(b":status", b"200"), (b"content-length", b"2"), (b"x-a", b"b")]
FIELDS = [(b":method", b"GET"), (b":path", b"/a"), (b"a", b"b")]


class Stock(H2Connection):
    """h2 as it comes, set as ours is; with the same coders, which have tests of their own."""

    MAX_CLOSED_STREAMS = MAX_CLOSED

    def __init__(self) -> None:
        off = dict.fromkeys(
            (
                "validate_inbound_headers",
                "normalize_inbound_headers",
                "validate_outbound_headers",
                "normalize_outbound_headers",
            ),
            False,
        )
        super().__init__(H2Configuration(client_side=False, header_encoding=None, **off))
        self.encoder = FieldEncoder()  # type: ignore[assignment]
        self.decoder = FieldDecoder()

    def send_answer(self, number: int, status: int, lines: bytes, last: bool) -> None:
        assert (status, lines) == (200, LINES)
        stream = self.streams.get(number)
        if stream is None or stream.state_machine.headers_sent:
            raise ProtocolError("no answer")
        self.send_headers(number, LOWERED, end_stream=last)

    def send_fields(self, number: int, fields: Any, last: bool) -> None:
        self.send_headers(number, fields, end_stream=last)


def started(machine: Any) -> Any:
    machine.local_settings = Settings(client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: 2**31 - 1})
    machine.initiate_connection()
    machine.receive_data(PREFACE)
    machine.receive_data(SettingsFrame(0).serialize())
    machine.data_to_send()
    return machine


# -- what may happen ---------------------------------------------------------------------------------------------------


def head(number: int, ended: bool, extra: list[str], fields: list[tuple[bytes, bytes]], table: bool) -> list[Frame]:
    """The frames of a head; ``extra`` are flags, and ``split`` for one that goes on in another frame."""
    encoder = Encoder()
    encoder.header_table_size = 4096 if table else 0
    block = encoder.encode(fields)
    frame = HeadersFrame(number, flags=["END_STREAM"] if ended else [])
    last: Frame = frame
    if "split" in extra:
        frame.data, rest = block[:3], block[3:]
        last = ContinuationFrame(number, rest)
    else:
        frame.data = block
    last.flags.add("END_HEADERS")
    if "padded" in extra:
        frame.flags.add("PADDED")
        frame.pad_length = 3
    if "priority" in extra or "of itself" in extra:
        frame.flags.add("PRIORITY")
        frame.depends_on = number if "of itself" in extra else 0
    return [frame] if last is frame else [frame, last]


def data(number: int, size: int, ended: bool) -> list[Frame]:
    return [DataFrame(number, bytes(size), flags=["END_STREAM"] if ended else [])]


NUMBER = st.sampled_from([1, 1, 3, 3, 5, 7, 9, 2])
FIELD_LISTS = st.sampled_from(
    [FIELDS, [*FIELDS, (b"content-length", b"2")], [*FIELDS, (b"content-length", b"x")], [(b"x", b"y" * 50)]]
)
EXTRA = st.lists(st.sampled_from(["split", "padded", "priority", "of itself"]), max_size=1)
COMES = st.one_of(
    st.builds(head, NUMBER, st.booleans(), EXTRA, FIELD_LISTS, st.booleans()),
    st.builds(data, NUMBER, st.sampled_from([0, 1, 2]), st.booleans()),
    st.builds(lambda number: [RstStreamFrame(number, 8)], NUMBER),
    st.builds(lambda number, more: [WindowUpdateFrame(number, more)], NUMBER | st.just(0), st.sampled_from([1, 99])),
    st.builds(lambda number: [PriorityFrame(number)], NUMBER),
    st.just([PingFrame(0, b"12345678")]),
    st.builds(
        lambda window: [SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: window})],
        st.sampled_from([0, 3, 65535]),
    ),
)
SENT = st.tuples(st.sampled_from(["answer", "body", "trailers", "interim", "reset"]), NUMBER, st.booleans())


def send(machine: Any, what: str, number: int, last: bool) -> bool:
    """Send it if the path could; whether it could."""
    stream = machine.streams.get(number)
    if stream is None or stream.state_machine.state not in (StreamState.OPEN, StreamState.HALF_CLOSED_REMOTE):
        return False
    if bool(stream.state_machine.headers_sent) != (what in ("body", "trailers")) and what != "reset":
        return False
    if what == "answer":
        machine.send_answer(number, 200, LINES, last)
    elif what == "body":
        size = min(5, machine.local_flow_control_window(number))
        machine.send_data(number, bytes(max(0, size)), end_stream=last)
    elif what == "trailers":
        machine.send_fields(number, [(b"t", b"u")], True)
    elif what == "interim":
        machine.send_fields(number, [(b":status", b"103")], False)
    else:
        machine.reset_stream(number, 8)
    return True


def told(event: Event) -> Any:
    if isinstance(event, RequestReceived):
        return "request", event.stream_id, list(event.headers), event.stream_ended is not None
    return repr(event)


def receive(machine: Any, frames: list[Frame]) -> Any:
    """What is said of them, but for what nobody asks: priorities, and the end of a head that has told that itself."""
    events: list[Event] = []
    for frame in frames:
        events += machine.receive_data(frame.serialize())
    if any(isinstance(event, RequestReceived) for event in events):
        events = [event for event in events if not isinstance(event, StreamEnded)]
    return [told(event) for event in events if not isinstance(event, PriorityUpdated)]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(COMES, SENT), max_size=30))
def test_it_does_as_h2_does(steps: list[Any]) -> None:
    machines = started(StateMachine()), started(Stock())
    for step in steps:
        if isinstance(step, tuple):
            first, second = (send(machine, *step) for machine in machines)
        else:
            first, second = (outcome(machine, step) for machine in machines)
        assert first == second
        mine, stock = (machine.data_to_send() for machine in machines)
        assert mine == stock
        if isinstance(first, ErrorCodes):
            break
    mine, stock = machines
    assert mine.outbound_flow_control_window == stock.outbound_flow_control_window
    assert mine.open_inbound_streams == stock.open_inbound_streams
    for number in (1, 3, 5, 7, 9):
        assert mine._stream_closed_by(number) == stock._stream_closed_by(number)


def outcome(machine: Any, frames: list[Frame]) -> Any:
    try:
        return receive(machine, frames)
    except ProtocolError as error:
        return error.error_code


# -- what h2 does otherwise, or not at all -----------------------------------------------------------------------------


def test_a_head_that_is_larger_than_a_frame_goes_on_in_others() -> None:
    machine = started(StateMachine())
    machine.receive_data(head(1, True, [], FIELDS, True)[0].serialize())
    machine.send_answer(1, 200, b"X-A: " + b"a" * 40000, False)
    kinds = []
    out = memoryview(machine.data_to_send())
    while out:
        frame, size = Frame.parse_frame_header(out[:9])
        kinds.append((type(frame), sorted(frame.flags)))
        out = out[9 + size :]
    assert kinds == [(HeadersFrame, []), (ContinuationFrame, []), (ContinuationFrame, ["END_HEADERS"])]


def test_an_answer_to_nobody_is_refused() -> None:
    machine = started(StateMachine())
    with pytest.raises(ProtocolError):
        machine.send_answer(1, 200, LINES, True)
    machine.receive_data(head(1, True, [], FIELDS, True)[0].serialize())
    machine.send_answer(1, 200, LINES, True)
    with pytest.raises(ProtocolError):
        machine.send_answer(1, 200, LINES, True)


def test_streams_that_are_over_are_not_kept() -> None:
    machine = started(StateMachine())
    for number in range(1, 4001, 2):
        machine.receive_data(head(number, True, [], FIELDS, False)[0].serialize())
        if number % 4 == 1:
            machine.reset_stream(number, 8)
        else:
            machine.send_answer(number, 200, LINES, False)
            machine.send_data(number, b"", end_stream=True)
    assert len(machine.streams) <= TIDY
    assert len(machine._closed_streams) <= MAX_CLOSED


def test_many_open_streams_are_kept() -> None:
    machine = started(StateMachine())
    for number in range(1, 401, 2):
        machine.receive_data(head(number, True, [], FIELDS, False)[0].serialize())
    assert machine.open_inbound_streams == 200
