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
from tests.http1.oracles import Message, Reading, h11_requests, our_requests
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


@define
class Got:
    """
    An answer, as a client got it.

    :ivar path: what the service says was asked for, where it says so.
    :ivar complete: its end was there.
    """

    status: int
    path: bytes
    body: bytes
    complete: bool


def read_answers(wire: bytes, methods: list[bytes]) -> list[Got]:
    """
    Read what a client got.

    :param methods: of its requests, in order.
    :return: 1xx included; what follows one that isn't complete can't be read.
    """
    got: list[Got] = []
    left = list(methods)
    while wire:
        assert not got or got[-1].complete
        end = find_response_head(wire, RESPONSE_LIMITS)
        if end < 0:
            got.append(Got(0, b"", wire, False))
            break
        head = parse_response_head(wire[:end], left[0] if left else b"GET")
        wire = wire[end:]
        decoder: ChunkedDecoder | LengthDecoder | CloseDecoder = LengthDecoder(0)
        if head.framing == CHUNKED:
            decoder = ChunkedDecoder(RESPONSE_LIMITS, 502)
        elif head.framing == LENGTH:
            assert head.content_length is not None
            decoder = LengthDecoder(head.content_length, 502)
        elif head.framing == CLOSE:
            decoder = CloseDecoder()
        body = b"".join(decoder.feed(wire))
        wire = decoder.rest
        path = dict(head.fields).get(b"X-Path", b"")
        got.append(Got(head.status, path, body, decoder.done or head.framing == CLOSE))
        if head.status >= 200:
            left = left[1:]
    return got


CHUNKS = (b"5\r\nhello\r\n0\r\n\r\n", b"1;a=b\r\nx\r\n0\r\nX: y\r\n\r\n", b"5\r\nhello\r\n", b"10\r\nhello")
CHUNKED_HEAD = b"Transfer-Encoding: chunked\r\n\r\n"


def arriving(wires: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    """The bytes of a wire as they come in: at once, or in pieces."""
    return st.one_of(wires.map(lambda wire: [wire]), cut(wires))


noise = st.binary(max_size=40)
chunks = damaged(CHUNKS)
streams = st.lists(
    st.one_of(
        st.sampled_from(REQUESTS),
        damaged(REQUESTS),
        chunks.map(b"PUT /c HTTP/1.1\r\nHost: a\r\n".__add__(CHUNKED_HEAD).__add__),
        noise,
    ),
    max_size=4,
).map(b"".join)
responses = st.one_of(
    st.sampled_from(RESPONSES),
    damaged(RESPONSES),
    chunks.map(b"HTTP/1.1 200 OK\r\n".__add__(CHUNKED_HEAD).__add__),
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
    got = read_answers(client.take(), [exchange.request.method for exchange in memory.done])
    final = [answer.status for answer in got if answer.status >= 200]
    assert final == [exchange.response.status for exchange in memory.done if exchange.response and exchange.started]
    assert not got or got[-1].complete or client.closed != "lost"

    # No more went to the service than other readers see, and in their order.
    ours, theirs = our_requests(sent), h11_requests(sent)
    expected = [message.start[1] for message in ours.messages]
    assert len(service.targets) <= len(expected)
    unlike = "no request line received" in theirs.refused or b"HTTP/1.0" in sent
    assert unlike or len(service.targets) <= len(theirs.messages)
    assert len(memory.done) <= len(expected) + 1


# -- many clients, few connections -------------------------------------------------------------------------------------

POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

CLIENTS = 3

steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, CLIENTS - 1), st.sampled_from(("GET", "POST", "HEAD", "chunks"))),
        st.tuples(
            st.just("answer"), st.integers(0, 5), st.sampled_from(("length", "chunks", "close", "half", "poison"))
        ),
        st.tuples(st.just("answer"), st.integers(0, 5), st.sampled_from(("length", "chunks"))),
        st.tuples(st.just("stray"), st.integers(0, 5), st.just("")),
        st.tuples(st.just("service"), st.integers(0, 5), st.sampled_from(("end", "reset"))),
        st.tuples(st.just("client"), st.integers(0, CLIENTS - 1), st.sampled_from(("end", "reset", "shut"))),
        st.tuples(st.just("wait"), st.integers(1, 3), st.just("")),
    ),
    max_size=25,
)


class Crowd:
    """Clients that ask for paths of their own, and a service whose answers say which path was asked for."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.clients = [memory.client() for _ in range(CLIENTS)]
        self.asked: list[list[bytes]] = [[] for _ in self.clients]
        self._seen: dict[Pipe, bytes] = {}
        self._answered: dict[Pipe, int] = {}
        self._halves: set[Pipe] = set()
        self._shut: set[int] = set()

    def ask(self, number: int, what: str) -> None:
        client = self.clients[number]
        if client.closed or number in self._shut:
            return
        path = b"/%d/%d" % (number, len(self.asked[number]))
        self.asked[number].append(path)
        method = "POST" if what == "chunks" else what
        framing = {
            "POST": b"Content-Length: 2\r\n\r\nhi",
            "chunks": b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        }
        client.feed(b"%b %b HTTP/1.1\r\nHost: h\r\n" % (method.encode(), path) + framing.get(what, b"\r\n"))

    def _pipe(self, number: int) -> Pipe | None:
        there = [pipe for pipe in self._memory.dials if not pipe.closed]
        return there[number % len(there)] if there else None

    def _due(self, pipe: Pipe) -> list[Message]:
        """The requests on a connection that are not answered."""
        seen = self._seen[pipe] = self._seen.get(pipe, b"") + pipe.take()
        return h11_requests(seen).messages[self._answered.get(pipe, 0) :]

    def answer(self, number: int, how: str) -> None:
        pipe = self._pipe(number)
        if pipe is None:
            return
        due = self._due(pipe)
        if not due or not due[0].complete:
            return
        self._answered[pipe] = self._answered.get(pipe, 0) + 1
        method, path = due[0].start
        assert isinstance(path, bytes)
        body = b"" if method == b"HEAD" else path
        length = b"HTTP/1.1 200 OK\r\nX-Path: %b\r\nContent-Length: %d\r\n\r\n" % (path, len(path))
        if how == "chunks":
            pipe.feed(b"HTTP/1.1 200 OK\r\nX-Path: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % path)
            if body and not pipe.closed:
                pipe.feed(b"1\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:1], len(body) - 1, body[1:]))
        elif how == "half":
            self._halves.add(pipe)
            pipe.feed(length + body[:1])
        elif how == "poison":
            pipe.feed(length + body + POISON)
        else:
            pipe.feed(length + body)
        if how == "close" and not pipe.closed:
            pipe.end()

    def stray(self, number: int, _: str) -> None:
        pipe = self._pipe(number)
        if pipe is not None and not self._due(pipe) and pipe not in self._halves:
            pipe.feed(POISON)

    def service(self, number: int, how: str) -> None:
        pipe = self._pipe(number)
        if pipe is not None:
            getattr(pipe, how)()

    def client(self, number: int, how: str) -> None:
        client = self.clients[number]
        if not client.closed and number not in self._shut:
            self._shut.add(number)
            getattr(client, how)()

    def wait(self, seconds: int, _: str) -> None:
        self._memory.clock.pump([0.5] * seconds)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps, connections=st.integers(1, 3))
def test_nobody_gets_the_answer_to_another(steps: list[tuple[str, int, str]], connections: int) -> None:
    with capturedLogs() as logged:
        memory = Memory(
            settings=PATIENCE,
            timeouts=TIMEOUTS,
            pool=PoolSettings(max_connections=connections, idle_timeout=6, timer_period=3),
            max_queue=5,
        )
        crowd = Crowd(memory)
        for what, number, how in steps:
            getattr(crowd, what)(number, how)
        memory.clock.pump([1] * SECONDS)
        for pipe in memory.dials:
            pipe.end()
        memory.clock.advance(1)
    assert [formatEvent(event) for event in logged if event["log_level"] >= LogLevel.warn] == []
    assert memory.clock.getDelayedCalls() == []
    assert memory.pool.size == 0
    for client, asked in zip(crowd.clients, crowd.asked, strict=True):
        assert client.closed
        own = [exchange for exchange in memory.done if exchange.request.target in asked]
        assert [exchange.request.target for exchange in own] == asked[: len(own)]
        got = read_answers(client.take(), [exchange.request.method for exchange in own])
        final = [answer for answer in got if answer.status >= 200]
        assert len(final) <= len(own)
        for answer, path in zip(final, asked, strict=False):
            assert answer.status >= 500 or answer.path == path
            assert answer.status >= 500 or path.startswith(answer.body)
            assert answer.complete or answer is final[-1]


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
