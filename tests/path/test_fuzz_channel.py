"""Whatever bytes clients and services send: no failure of the gateway's own, no hang, no request out of nothing."""

from __future__ import annotations

from attrs import define
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.logger import LogLevel, capturedLogs, formatEvent

from apigw.http1.body import ChunkedDecoder, CloseDecoder, LengthDecoder
from apigw.http1.response import CHUNKED, CLOSE, LENGTH, find_response_head, parse_response_head
from apigw.messages import Timeouts
from apigw.stages.body_limit import BodyLimit
from apigw.upstream.connection import RESPONSE_LIMITS
from apigw.upstream.pool import PoolSettings
from apigw.web.site import ChannelSettings
from tests.http1.oracles import Reading, h11_requests, our_requests
from tests.http1.strategies import REQUESTS, RESPONSES, cut, damaged
from tests.kit import Memory, Pipe

SECONDS = 60
"""After which all timers together have run out."""

PATIENCE = ChannelSettings(header_timeout=2, body_idle_timeout=3, keepalive_timeout=4, write_idle_timeout=5)
TIMEOUTS = Timeouts(first_byte=3, idle=4, total=5)
CAP = 1000


@define
class Answer:
    """
    What the service does with one request.

    :ivar pieces: sent one by one.
    :ivar early: as soon as the head is there, else once all of the request is.
    :ivar then: what becomes of the connection.
    """

    pieces: list[bytes]
    early: bool
    then: str


class Service:
    """
    Answers the requests of all connections, each with the next one of ``answers``, then with none.

    :ivar targets: of the requests, in the order in which they came.
    """

    def __init__(self, memory: Memory, answers: list[Answer]) -> None:
        self._memory = memory
        self._answers = answers
        self._seen: list[bytes] = []
        self._begun: list[int] = []
        self._answered: list[int] = []
        self.targets: list[bytes] = []

    def turn(self) -> None:
        """Look at what came, and answer what is due."""
        for number, pipe in enumerate(self._memory.dials):
            if number == len(self._seen):
                self._seen.append(b"")
                self._begun.append(0)
                self._answered.append(0)
            self._seen[number] += pipe.take()
            reading = h11_requests(self._seen[number])
            assert not reading.refused, (reading.refused, self._seen[number])
            self.targets += [message.start[1] for message in reading.messages[self._begun[number] :]]
            self._begun[number] = len(reading.messages)
            self._answer(number, pipe, reading)

    def _answer(self, number: int, pipe: Pipe, reading: Reading) -> None:
        answered = self._answered[number]
        if pipe.closed or answered >= len(reading.messages) or not self._answers:
            return
        if not (self._answers[0].early or reading.messages[answered].complete):
            return
        answer = self._answers.pop(0)
        self._answered[number] += 1
        for piece in answer.pieces:
            if pipe.closed:
                return
            pipe.feed(piece)
        if answer.then == "end":
            pipe.end()
        elif answer.then == "reset":
            pipe.reset()


def complete_answers(wire: bytes, methods: list[bytes]) -> tuple[list[int], bool]:
    """
    Read what a client got.

    :param methods: of its requests, in order.
    :return: statuses, 1xx included, and whether the last of them is complete.
    """
    statuses: list[int] = []
    whole = True
    left = list(methods)
    while wire:
        assert whole
        method = left[0] if left else b"GET"
        end = find_response_head(wire, RESPONSE_LIMITS)
        if end < 0:
            return statuses, False
        head = parse_response_head(wire[:end], method)
        wire = wire[end:]
        statuses.append(head.status)
        if head.status < 200:
            continue
        left = left[1:]
        decoder: ChunkedDecoder | LengthDecoder | CloseDecoder = LengthDecoder(0)
        if head.framing == CHUNKED:
            decoder = ChunkedDecoder(RESPONSE_LIMITS, 502)
        elif head.framing == LENGTH:
            assert head.content_length is not None
            decoder = LengthDecoder(head.content_length, 502)
        elif head.framing == CLOSE:
            decoder = CloseDecoder()
        decoder.feed(wire)
        wire = decoder.rest
        whole = decoder.done or head.framing == CLOSE
    return statuses, whole


CHUNKS = (b"5\r\nhello\r\n0\r\n\r\n", b"1;a=b\r\nx\r\n0\r\nX: y\r\n\r\n", b"5\r\nhello\r\n", b"10\r\nhello")
SWITCHED = b"Transfer-Encoding: chunked\r\n\r\n"


def arriving(wires: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    """The bytes of a wire as they come in: at once, or in pieces."""
    return st.one_of(wires.map(lambda wire: [wire]), cut(wires))


noise = st.binary(max_size=40)
chunks = damaged(CHUNKS)
streams = st.lists(
    st.one_of(
        st.sampled_from(REQUESTS),
        damaged(REQUESTS),
        chunks.map(b"PUT /c HTTP/1.1\r\nHost: a\r\n".__add__(SWITCHED).__add__),
        noise,
    ),
    max_size=4,
).map(b"".join)
responses = st.one_of(
    st.sampled_from(RESPONSES),
    damaged(RESPONSES),
    chunks.map(b"HTTP/1.1 200 OK\r\n".__add__(SWITCHED).__add__),
    noise,
)
answers = st.lists(
    st.builds(
        Answer,
        arriving(responses),
        st.booleans(),
        st.sampled_from(("stay", "stay", "end", "reset")),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    pieces=arriving(streams),
    answers=answers,
    leave=st.sampled_from(("stay", "stay", "shut", "end", "reset")),
    slow=st.lists(st.booleans(), max_size=6),
    connections=st.integers(1, 3),
)
def test_nothing_breaks_the_path(
    pieces: list[bytes], answers: list[Answer], leave: str, slow: list[bool], connections: int
) -> None:
    with capturedLogs() as logged:
        memory = Memory(
            settings=PATIENCE,
            timeouts=TIMEOUTS,
            pool=PoolSettings(max_connections=connections, idle_timeout=6, timer_period=3),
            stages=[BodyLimit(CAP)],
        )
        service = Service(memory, answers)
        client = memory.client()
        sent = b""
        for piece in pieces:
            service.turn()
            if client.closed or client.paused:
                break
            client.feed(piece)
            sent += piece
            if slow and slow.pop() and client.producer is not None:
                client.producer.pauseProducing()
                service.turn()
                if client.producer is not None:
                    client.producer.resumeProducing()
        service.turn()
        if not client.closed and leave != "stay":
            getattr(client, leave)()
        for _ in range(SECONDS):
            memory.clock.advance(1)
            service.turn()
        assert client.closed
        for pipe in memory.dials:
            pipe.end()
        memory.clock.advance(1)

    assert [formatEvent(event) for event in logged if event["log_level"] >= LogLevel.warn] == []
    assert memory.clock.getDelayedCalls() == []
    assert memory.pool.size == 0
    assert [exchange.error for exchange in memory.done if exchange.error and exchange.error.status == 500] == []

    # Each exchange has ended once, and each answer is that of the request in its place.
    ids = [exchange.id for exchange in memory.done]
    assert len(ids) == len(set(ids))
    got = client.take()
    statuses, whole = complete_answers(got, [exchange.request.method for exchange in memory.done])
    final = [status for status in statuses if status >= 200]
    assert final == [exchange.response.status for exchange in memory.done if exchange.response and exchange.started]
    assert whole or client.closed != "lost"

    # No more went to the service than other readers see, and in their order.
    ours, theirs = our_requests(sent), h11_requests(sent)
    expected = [message.start[1] for message in ours.messages]
    assert len(service.targets) <= len(expected)
    unlike = "no request line received" in theirs.refused or b"HTTP/1.0" in sent
    assert unlike or len(service.targets) <= len(theirs.messages)
    assert len(memory.done) <= len(expected) + 1


# -- what it has found -------------------------------------------------------------------------------------------------


def test_an_answer_that_stops_is_cut_though_an_upload_went_on_after_it_had_begun() -> None:
    memory = Memory(timeouts=TIMEOUTS)
    client = memory.client()
    client.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na")
    memory.dials[0].feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
    client.feed(b"b")
    memory.clock.pump([1] * 5)
    assert client.closed == "aborted"


def test_an_answer_whose_body_breaks_in_the_read_that_brought_its_head_is_a_502() -> None:
    memory = Memory(timeouts=TIMEOUTS)
    client = memory.client()
    client.feed(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    memory.dials[0].feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert client.take().startswith(b"HTTP/1.1 502 ")
