"""Connections of HTTP/2 in memory, under a clock: what takes time, what is paused, and what ends how."""

from __future__ import annotations

import tracemalloc
from functools import partial
from typing import Any

import pytest
from attrs import evolve
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, PingFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.messages import Response
from apigw.policy.http2 import Http2Limits
from apigw.stages.events import EventStreams
from apigw.streams import Streams
from apigw.web.channel import AT_ONCE
from apigw.web.h2 import DRAIN_ROUND, GOODBYE, Http2Connection
from apigw.web.site import ChannelSettings
from tests.kit import Memory, Pipe
from tests.turns import in_one_turn
from tests.wire.frames import LARGEST, PREFACE, Http2Wire, pseudo
from tests.wire.sockets import Cut

SETTINGS = ChannelSettings(
    header_timeout=1.0, body_idle_timeout=2.0, keepalive_timeout=3.0, write_idle_timeout=4.0, http2=Http2Limits()
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class PipeWire:
    """The end of a pipe that a client holds."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self._read = b""

    def send(self, data: bytes) -> None:
        if not self.pipe.closed:
            self.pipe.feed(data)

    def exactly(self, size: int) -> bytes:
        self._read += self.pipe.take()
        if len(self._read) < size:
            raise Cut("that was all")
        data, self._read = self._read[:size], self._read[size:]
        return data


class Talk:
    """A client of a gateway in memory."""

    def __init__(self, memory: Memory | None = None, window: int = LARGEST) -> None:
        self.memory = memory or Memory(settings=SETTINGS)
        self.clock = self.memory.clock
        self.pipe = Pipe(Http2Connection(self.memory.site))
        self.wire = Http2Wire(PipeWire(self.pipe), window)  # type: ignore[arg-type]
        self.frames: list[Frame] = []

    def read(self) -> Http2Wire:
        """All that has come."""
        try:
            while True:
                self.frames.append(self.wire.read())
        except Cut:
            return self.wire

    def ask(self, *arguments: Any, **options: Any) -> tuple[int, Pipe]:
        """:return: the stream, and the service's connection of that request."""
        number = self.wire.ask(*arguments, **options)
        return number, next(dial for dial in self.memory.dials if dial.written.startswith((b"GET", b"POST", b"HEAD")))

    def posts(self, **options: Any) -> tuple[int, Pipe]:
        """Begin a request whose body is to come."""
        number, service = self.ask(b"/a", method=b"POST", body=b"", **options)
        assert service.take().endswith(b"\r\n\r\n")
        return number, service


def data(number: int, size: int) -> DataFrame:
    return DataFrame(number, bytes(size))


# -- bodies of requests ------------------------------------------------------------------------------------------------


def test_what_the_service_does_not_take_is_not_asked_for():
    talk = Talk()
    number, service = talk.posts()
    service.producer.pauseProducing()
    for _ in range(4):
        talk.wire.send(data(number, 16384))
    assert [frame for frame in talk.read().others if isinstance(frame, WindowUpdateFrame)][1:] == []
    talk.clock.advance(60.0)
    service.producer.resumeProducing()
    [update] = [frame for frame in talk.read().others if isinstance(frame, WindowUpdateFrame)][1:]
    assert (update.stream_id, update.window_increment) == (number, 65536)
    talk.wire.body(number, b"", True)
    service.feed(OK)
    assert talk.read().answers[number].body == b"ok"


def test_a_window_that_is_not_kept_ends_the_connection():
    talk = Talk()
    number, service = talk.posts()
    service.producer.pauseProducing()
    for _ in range(5):
        talk.wire.send(data(number, 16384))
    [goaway] = talk.read().goaways
    assert goaway.error_code == 3
    assert service.closed == "aborted"


def test_streams_share_the_window_of_the_connection_and_give_it_back():
    limits = Http2Limits(connection_window=131072)
    talk = Talk(Memory(settings=evolve(SETTINGS, http2=limits)))
    for _ in range(5):
        number, service = talk.posts()
        service.producer.pauseProducing()
        for _ in range(4):
            talk.wire.send(data(number, 16384))
        talk.wire.reset(number)
        assert service.closed
    assert talk.read().goaways == []


def test_a_body_that_stalls_is_answered_408_and_others_go_on():
    talk = Talk()
    slow, _ = talk.posts()
    number, service = talk.ask()
    talk.wire.body(slow, b"some")
    talk.clock.advance(1.9)
    assert talk.read().answers[slow].heads == []
    talk.clock.advance(0.2)
    assert talk.read().answers[slow].status == 408
    assert (talk.wire.answers[slow].reset, talk.wire.goaways) == (0, [])
    service.feed(OK)
    assert talk.read().answers[number].body == b"ok"


def test_a_frame_that_drips_in_is_no_stall():
    talk = Talk()
    number, service = talk.posts()
    frame = data(number, 16000).serialize()
    for at in range(0, 16000, 1000):
        talk.clock.advance(1.5)
        talk.wire.wire.send(frame[at : at + 1000])
    talk.wire.wire.send(frame[16000:])
    assert talk.read().answers[number].heads == []
    assert service.take().endswith(bytes(16000) + b"\r\n")


def test_a_frame_that_drips_in_too_slowly_is_one():
    talk = Talk()
    number, _ = talk.posts()
    frame = data(number, 16000).serialize()
    for at in range(0, 100, 10):
        talk.clock.advance(1.0)
        talk.wire.wire.send(frame[at : at + 10])
    assert talk.read().answers[number].status == 408


def test_time_does_not_run_before_a_client_was_told_to_continue():
    talk = Talk()
    number = talk.wire.ask(b"/a", (b"expect", b"100-continue"), method=b"POST", body=b"")
    [service] = talk.memory.dials
    talk.clock.advance(10.0)
    service.feed(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert talk.read().answers[number].statuses == [100]
    talk.clock.advance(2.1)
    assert talk.read().answers[number].status == 408


@pytest.mark.parametrize("ends", ["data", "trailers"])
def test_a_body_has_the_length_that_was_told(ends):
    talk = Talk()
    number, service = talk.ask(b"/a", (b"content-length", b"10"), method=b"POST", body=b"")
    if ends == "data":
        talk.wire.body(number, b"short", True)
        assert talk.read().goaways[0].error_code == 1
    else:
        talk.wire.body(number, b"short")
        talk.wire.trailers(number, [(b"x", b"y")])
        answer = talk.read().answers[number]
        assert (answer.status, answer.ended) == (400, True)
    assert service.closed == "aborted"


def test_a_body_that_was_told_and_is_not_there():
    talk = Talk()
    number = talk.wire.ask(b"/a", (b"content-length", b"10"))
    answer = talk.read().answers[number]
    assert (answer.status, answer.ended, talk.memory.dials) == (400, True, [])


def test_an_empty_body_is_told_of():
    talk = Talk()
    _, service = talk.ask(b"/a", (b"content-length", b"0"), method=b"POST")
    assert b"Content-Length: 0\r\n" in service.take()


def test_trailers_that_say_where_a_message_ends():
    talk = Talk()
    number, service = talk.posts()
    talk.wire.trailers(number, [(b"content-length", b"1")])
    answer = talk.read().answers[number]
    assert (answer.status, answer.ended, service.closed) == (400, True, "aborted")


@pytest.mark.parametrize("size", [1, 100])
def test_what_was_on_its_way_when_an_upload_was_refused_is_passed_over(size):
    talk = Talk()
    frame = talk.wire.head([*pseudo(method=b"POST"), (b"connection", b"close")], False)
    talk.wire.send(frame)
    for _ in range(655):
        talk.wire.send(data(frame.stream_id, size))
    answer = talk.read().answers[frame.stream_id]
    assert (answer.status, answer.reset) == (400, 1)
    assert talk.wire.goaways == []
    assert sum(isinstance(frame, RstStreamFrame) for frame in talk.frames) == 1
    number, service = talk.ask()
    service.take()
    service.feed(OK)
    assert talk.read().answers[number].body == b"ok"


def test_data_for_what_is_over_comes_to_an_end():
    talk = Talk()
    frame = talk.wire.head([*pseudo(method=b"POST"), (b"connection", b"close")], False)
    talk.wire.send(frame)
    for _ in range(20):
        talk.wire.send(*[data(frame.stream_id, 1000)] * 1000)
    assert talk.read().goaways[-1].additional_data == b"idle-frames"


def test_what_is_malformed_is_answered_and_reset_and_logged():
    talk = Talk()
    frame = talk.wire.head([*pseudo(), (b"connection", b"close")], False)
    talk.wire.send(frame)
    answer = talk.read().answers[frame.stream_id]
    assert (answer.status, answer.ended, answer.reset) == (400, True, 1)
    assert b"connection-field" in answer.body
    [exchange] = talk.memory.done
    assert exchange.complete


# -- answers -----------------------------------------------------------------------------------------------------------


def test_who_takes_little_is_cut_and_the_service_too():
    talk = Talk(window=10)
    number, service = talk.ask()
    service.take()
    service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(100000))
    assert service.paused
    talk.clock.advance(3.9)
    assert talk.read().answers[number].reset is None
    talk.clock.advance(0.2)
    assert (talk.read().answers[number].reset, service.closed) == (8, "aborted")
    [exchange] = talk.memory.done
    assert (exchange.sent, exchange.complete) == (10, False)
    assert talk.memory.site.http2.abuses == {"slow-stream": 1}


def test_who_takes_enough_is_not_cut():
    talk = Talk(window=1000)
    number, service = talk.ask()
    service.take()
    service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(100000))
    for _ in range(10):
        talk.clock.advance(3.0)
        talk.wire.send(WindowUpdateFrame(number, window_increment=1000))
    assert (talk.read().answers[number].reset, len(talk.wire.answers[number].body)) == (None, 11000)


def test_what_is_kept_for_others_too_is_not_copied_for_each_client_that_does_not_read():
    kept = bytes(2**20)
    memory = Memory(settings=SETTINGS, across=lambda exchange: Response(200, b"OK", [], kept))
    talk = Talk(memory, window=0)
    tracemalloc.start()
    try:
        numbers = [talk.wire.ask() for _ in range(50)]
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 2**20
    talk.wire.send(WindowUpdateFrame(0, window_increment=LARGEST - 65535))
    talk.wire.send(WindowUpdateFrame(numbers[0], window_increment=2**20))
    answer = talk.read().answers[numbers[0]]
    assert (answer.body == kept, answer.ended) == (True, True)


def test_a_service_goes_on_once_the_client_has_taken():
    talk = Talk(window=0)
    number, service = talk.ask()
    service.take()
    service.feed(CHUNKED + b"11000\r\n" + bytes(0x11000))
    assert service.paused
    talk.wire.send(WindowUpdateFrame(number, window_increment=0x10000))
    assert not service.paused
    service.feed(b"\r\n0\r\n\r\n")
    talk.wire.send(WindowUpdateFrame(0, window_increment=0x10000))
    talk.wire.send(WindowUpdateFrame(number, window_increment=0x10000))
    answer = talk.read().answers[number]
    assert (len(answer.body), answer.ended) == (0x11000, True)


def test_a_connection_whose_answer_waits_for_the_window_is_read_for_the_next_one():
    talk = Talk(window=0)
    _, service = talk.ask()
    service.take()
    service.feed(CHUNKED + b"1\r\na\r\n")
    service.feed(b"11000\r\n" + bytes(0x11000) + b"\r\n0\r\n\r\n")
    assert not service.paused
    _, again = talk.ask()
    assert again is service


def test_an_answer_that_was_all_there_at_once_is_sent_as_the_window_opens():
    talk = Talk(window=0)
    number, service = talk.ask()
    service.take()
    service.feed(CHUNKED + b"11000\r\n" + bytes(0x11000) + b"\r\n0\r\n\r\n")
    talk.wire.send(WindowUpdateFrame(0, window_increment=0x10000))
    for _ in range(0x11):
        talk.wire.send(WindowUpdateFrame(number, window_increment=0x1000))
    answer = talk.read().answers[number]
    assert (len(answer.body), answer.ended) == (0x11000, True)


def test_nothing_is_read_from_a_client_that_is_full():
    talk = Talk()
    number, service = talk.ask()
    service.take()
    talk.pipe.protocol.pauseProducing()
    assert talk.pipe.paused
    service.feed(CHUNKED + b"1\r\na\r\n")
    assert talk.read().answers[number].body == b""
    talk.pipe.protocol.resumeProducing()
    assert not talk.pipe.paused
    assert talk.read().answers[number].body == b"a"


def test_a_client_that_is_full_for_too_long_is_cut():
    talk = Talk()
    _, service = talk.ask()
    talk.pipe.protocol.pauseProducing()
    talk.clock.advance(2.1)
    assert talk.pipe.closed == ""
    talk.clock.advance(2.1)
    assert (talk.pipe.closed, service.closed) == ("aborted", "aborted")


def test_small_answers_may_be_acknowledged_each():
    """As many clients do: a WINDOW_UPDATE for the stream and one for the connection after each frame."""
    talk = Talk(window=65535)
    number, service = talk.ask()
    service.take()
    service.feed(CHUNKED)
    for _ in range(3000):
        service.feed(b"1\r\na\r\n")
        talk.wire.send(WindowUpdateFrame(number, window_increment=1), WindowUpdateFrame(0, window_increment=1))
    assert len(talk.read().answers[number].body) == 3000
    assert talk.wire.goaways == []


def test_streams_take_turns():
    talk = Talk(window=65535)
    services = []
    for _ in range(3):
        _, service = talk.ask()
        service.take()
        services.append(service)
    talk.pipe.protocol.pauseProducing()
    for service in services:
        service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + bytes(40000))
    talk.pipe.protocol.resumeProducing()
    order = []
    for _ in range(20):
        try:
            frame = talk.wire.read()
        except Cut:
            break
        if isinstance(frame, DataFrame):
            order.append(frame.stream_id)
    assert order[:3] == [1, 3, 5]


# -- the connection ----------------------------------------------------------------------------------------------------


def test_fields_are_looked_at_once_where_they_are_the_same():
    talk = Talk()
    for path in (b"/a", b"/b"):
        number, service = talk.ask(path, (b"x-a", b"b"))
        service.take()
        service.feed(OK)
        assert talk.read().answers[number].body == b"ok"
    talk.ask(b"/c", (b"x-a", b"c"))
    talk.wire.reset(5)
    notes = [exchange.request.notes for exchange in talk.memory.done]
    assert notes[0] is notes[1]
    assert notes[1] is not notes[2]


def test_an_idle_connection_is_closed_in_order():
    talk = Talk()
    number, service = talk.ask()
    talk.clock.advance(10.0)
    service.feed(OK)
    assert talk.read().answers[number].body == b"ok"
    talk.clock.advance(2.9)
    talk.wire.send(PingFrame(0, opaque_data=bytes(8)))
    assert talk.pipe.closed == ""
    talk.clock.advance(0.2)
    [goaway] = talk.read().goaways
    assert (goaway.error_code, goaway.last_stream_id, talk.pipe.closed) == (0, 1, "lost")


def test_who_breaks_a_rule_may_read_why_and_is_cut_then():
    talk = Talk()
    _, service = talk.ask()
    talk.wire.wire.send(bytes(9))
    assert talk.read().goaways[-1].error_code == 1
    assert (talk.pipe.half_closed, talk.pipe.closed, service.closed) == (True, "", "aborted")
    talk.pipe.feed(b"more")
    talk.clock.advance(GOODBYE)
    assert talk.pipe.closed == "aborted"
    assert talk.memory.site.http2.abuses == {"protocol": 1}


def test_a_client_that_goes_takes_its_requests_with_it():
    talk = Talk()
    services = [talk.ask()[1]]
    services[0].take()
    services.append(talk.posts()[1])
    talk.pipe.end()
    assert [service.closed for service in services] == ["aborted", "aborted"]
    assert [exchange.error.code for exchange in talk.memory.done if exchange.error] == ["client-disconnected"] * 2


# -- the end of the gateway --------------------------------------------------------------------------------------------


def test_a_drain_waits_for_a_round_trip_and_then_for_answers():
    talk = Talk()
    number, service = talk.ask()
    drained: list[None] = []
    talk.memory.site.drain(30.0).addCallback(drained.append)
    assert [goaway.last_stream_id for goaway in talk.read().goaways] == [LARGEST]
    service.take()
    late, other = talk.ask(b"/late")
    talk.clock.advance(DRAIN_ROUND)
    assert [goaway.last_stream_id for goaway in talk.read().goaways] == [LARGEST, late]
    refused = talk.wire.ask()
    assert talk.read().answers[refused].reset == 7
    other.feed(OK)
    service.feed(OK)
    assert [talk.read().answers[one].body for one in (number, late)] == [b"ok", b"ok"]
    assert (talk.pipe.closed, drained) == ("lost", [None])


def test_a_drain_of_a_connection_without_requests():
    talk = Talk()
    drained: list[None] = []
    talk.memory.site.drain(30.0).addCallback(drained.append)
    [ping] = [frame for frame in talk.read().others if isinstance(frame, PingFrame)]
    talk.wire.send(PingFrame(0, opaque_data=ping.opaque_data, flags=["ACK"]))
    assert (talk.pipe.closed, drained) == ("lost", [None])


def test_who_comes_during_a_drain_is_sent_away():
    memory = Memory(settings=SETTINGS)
    memory.site.draining = True
    talk = Talk(memory)
    assert talk.read().goaways
    talk.clock.advance(DRAIN_ROUND)
    assert talk.pipe.closed == "lost"


def test_a_drain_that_takes_too_long_cuts():
    talk = Talk()
    _, service = talk.ask()
    talk.memory.site.drain(5.0)
    talk.clock.advance(5.0)
    assert (talk.pipe.closed, service.closed) == ("aborted", "aborted")
    [exchange] = talk.memory.done
    assert exchange.error is not None
    assert exchange.error.code == "shutting-down"


def test_streams_of_events_are_told_to_end():
    talk = Talk(event_streams(Memory(settings=SETTINGS)))
    number, service = talk.ask()
    service.feed(EVENTS)
    talk.memory.site.drain(30.0)
    answer = talk.read().answers[number]
    assert answer.body.startswith(b"event: shutting-down\n")
    assert answer.ended
    talk.clock.advance(DRAIN_ROUND)
    assert talk.pipe.closed == "lost"


def event_streams(memory: Memory) -> Memory:
    """Let answers be streams of events."""
    streams = Streams(memory.clock, memory.clock.seconds)
    memory.route.up = (EventStreams(streams, memory.clock, memory.clock.seconds).response, *memory.route.up)
    return memory


def test_a_stream_of_events_that_begins_during_a_drain_ends_at_once():
    talk = Talk(event_streams(Memory(settings=SETTINGS)))
    number, service = talk.ask()
    talk.memory.site.drain(30.0)
    service.feed(EVENTS)
    answer = talk.read().answers[number]
    assert answer.body.startswith(b"event: shutting-down\n")
    assert answer.ended
    talk.clock.advance(DRAIN_ROUND)
    assert talk.pipe.closed == "lost"


def test_a_stream_of_events_ends_at_a_drain_for_a_client_that_has_said_goodbye():
    talk = Talk(event_streams(Memory(settings=SETTINGS)))
    number, service = talk.ask()
    service.feed(EVENTS)
    talk.wire.send(GoAwayFrame(0, last_stream_id=0))
    talk.memory.site.drain(30.0)
    answer = talk.read().answers[number]
    assert answer.body.startswith(b"event: shutting-down\n")
    assert answer.ended
    assert talk.pipe.closed == "lost"


def test_a_stream_of_events_that_is_not_read_holds_a_drain_up_to_its_deadline():
    talk = Talk(event_streams(Memory(settings=SETTINGS)), window=0)
    _, service = talk.ask()
    service.feed(EVENTS + b"9\r\ndata: 1\n\n\r\n")
    drained: list[None] = []
    talk.memory.site.drain(3.0).addCallback(drained.append)
    talk.clock.advance(2.9)
    assert (talk.pipe.closed, drained) == ("", [])
    talk.clock.advance(0.1)
    assert (talk.pipe.closed, drained, service.closed) == ("aborted", [None], "aborted")


def test_a_client_that_says_goodbye_may_open_no_more():
    talk = Talk()
    number, service = talk.ask()
    talk.wire.send(GoAwayFrame(0, last_stream_id=0))
    refused = talk.wire.ask()
    assert talk.read().answers[refused].reset == 7
    service.feed(OK)
    assert talk.read().answers[number].body == b"ok"
    assert talk.pipe.closed == "lost"


# -- whatever comes ----------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 11), st.integers(0, 255), st.integers(0, 7), st.binary(max_size=40), st.booleans()),
        max_size=12,
    )
)
def test_no_frames_do_more_than_end_the_connection(frames):
    talk = Talk()
    block = talk.wire.encoder.encode(pseudo())
    for kind, flags, stream, payload, request in frames:
        if talk.pipe.closed:
            break
        body = block if request and kind == 1 else payload
        if request and kind == 1:
            flags &= 0x05
        talk.pipe.feed(len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body)
        for dial in talk.memory.dials:
            if not dial.closed and b"\r\n\r\n" in dial.take():
                dial.feed(OK)
        talk.clock.advance(0.1)
    if not talk.pipe.closed:
        talk.pipe.end()
    talk.clock.advance(100.0)
    assert not [call for call in talk.clock.getDelayedCalls() if "Http2" in repr(call.func)]


def test_a_preface_byte_by_byte():
    memory = Memory(settings=SETTINGS)
    pipe = Pipe(Http2Connection(memory.site))
    for byte in PREFACE + SettingsFrame(0).serialize():
        pipe.feed(bytes([byte]))
    assert pipe.closed == ""
    memory.clock.advance(1.1)
    assert pipe.closed == ""


# -- what leaves together ----------------------------------------------------------------------------------------------


def test_answers_of_one_turn_of_the_loop_leave_in_one_write():
    talk = Talk()
    first, one = talk.ask(b"/a")
    one.take()
    second, two = talk.ask(b"/b")
    talk.read()
    seen = []

    def answered(service: Pipe) -> None:
        service.feed(OK)
        seen.append(talk.pipe.written)

    in_one_turn(lambda: answered(one), lambda: answered(two))
    assert seen == [b"", b""]
    answers = talk.read().answers
    assert (answers[first].body, answers[second].body) == (b"ok", b"ok")


def test_much_of_an_answer_does_not_wait_for_the_end_of_the_turn():
    talk = Talk()
    _, service = talk.ask(b"/a")
    talk.read()
    seen = []

    def answered() -> None:
        service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(50000))
        seen.append(len(talk.pipe.written))

    in_one_turn(answered)
    assert seen[0] > 50000


def test_what_waits_for_the_end_of_the_turn_is_less_than_a_record():
    talk = Talk()
    services = []
    for number in range(6):
        services.append(talk.ask(b"/%d" % number)[1])
        services[-1].take()
    talk.read()
    left = []

    def answered(service: Pipe) -> None:
        service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + bytes(5000))
        left.append(len(talk.pipe.written))

    in_one_turn(*[partial(answered, service) for service in services])
    assert left[2] == 0
    assert left[3] > 4 * 5000
    assert left[5] == left[3]
    assert [len(answer.body) for answer in talk.read().answers.values()] == [5000] * 6


def test_what_was_answered_before_a_connection_is_dropped_has_left():
    talk = Talk()
    number, service = talk.ask(b"/a")

    def answered() -> None:
        service.feed(OK)
        talk.memory.site.abort()

    in_one_turn(answered)
    assert talk.pipe.closed == "aborted"
    assert talk.read().answers[number].body == b"ok"


def test_a_connection_may_be_gone_at_the_end_of_the_turn():
    talk = Talk()
    _, service = talk.ask(b"/a")
    talk.read()

    def answered() -> None:
        service.feed(OK)
        talk.pipe.reset()

    in_one_turn(answered)
    assert talk.pipe.written == b""


# -- many requests at once ---------------------------------------------------------------------------------------------


def many(talk: Talk, times: int, resets: bool = False, size: int = 0) -> bytes:
    """
    :param resets: each as soon as it is sent.
    :param size: bytes of a field that is never the same.
    """
    frames = []
    for number in range(times):
        more = [(b"x", b"%0*d" % (size, number))] if size else []
        head = talk.wire.head(pseudo(b"/a") + more)
        frames += [head, RstStreamFrame(head.stream_id, error_code=8)] if resets else [head]
    return b"".join(frame.serialize() for frame in frames)


def begun(talk: Talk) -> int:
    return talk.memory.site.http2.requests


@pytest.mark.parametrize("resets", [False, True])
def test_many_requests_at_once_leave_others_their_turn(resets: bool) -> None:
    talk = Talk()
    talk.pipe.feed(many(talk, 60, resets))
    seen = []

    def turn_of_others() -> None:
        seen.append(begun(talk))
        if seen[-1] < 60:
            talk.clock.callLater(0.0, turn_of_others)

    turn_of_others()
    talk.clock.advance(0.0)
    assert seen == [AT_ONCE, 2 * AT_ONCE, 3 * AT_ONCE, 60]
    assert len(talk.memory.done) == (60 if resets else 0)


def test_what_comes_meanwhile_waits_for_its_turn() -> None:
    talk = Talk()
    talk.memory.refuse_dials = ConnectionRefusedError()
    talk.pipe.feed(many(talk, 20))
    data = many(talk, 20)
    for at in range(0, len(data), 50):
        talk.pipe.feed(data[at : at + 50])
    assert begun(talk) == AT_ONCE
    talk.clock.advance(0.0)
    answers = talk.read().answers
    assert len(answers) == 40
    assert all(answer.ended for answer in answers.values())
    assert not talk.pipe.paused


def test_who_sends_much_meanwhile_is_paused_until_it_is_dealt_with() -> None:
    talk = Talk()
    talk.pipe.feed(many(talk, 20))
    talk.pipe.feed(many(talk, 40, size=3000))
    assert talk.pipe.paused
    talk.clock.advance(0.0)
    assert begun(talk) == 60
    assert not talk.pipe.paused


@pytest.mark.parametrize("first", ["room", "turn"])
def test_who_does_not_read_has_no_turn(first: str) -> None:
    talk = Talk()
    talk.pipe.feed(many(talk, 40))
    talk.pipe.producer.pauseProducing()
    if first == "turn":
        talk.clock.advance(0.0)
        assert begun(talk) == AT_ONCE
    talk.pipe.producer.resumeProducing()
    assert talk.pipe.paused
    talk.clock.advance(0.0)
    assert begun(talk) == 40
    assert not talk.pipe.paused


def test_who_leaves_amid_many_requests_leaves_nothing() -> None:
    talk = Talk()
    talk.pipe.feed(many(talk, 60))
    talk.pipe.reset()
    talk.clock.advance(0.0)
    assert begun(talk) == AT_ONCE
    assert len(talk.memory.done) == AT_ONCE


# -- heads that come again ---------------------------------------------------------------------------------------------


def test_each_request_is_the_one_that_was_asked_whatever_came_before():
    talk = Talk()
    asked = [b"/a", b"/a", b"/a", b"/b", b"/a", b"/a", b"/b", b"/b"]
    for number, path in enumerate(asked):
        stream, service = talk.ask(path, (b"x-user", b"%d" % (number // 3)))
        request = service.take()
        assert request.startswith(b"GET %b HTTP/1.1\r\n" % path)
        assert b"\r\nx-user: %d\r\n" % (number // 3) in request
        service.feed(OK)
        assert talk.read().answers[stream].body == b"ok"
