"""Streams of events over the whole path in memory: comments in silence, and ends that readers see."""

from __future__ import annotations

import zlib
from time import time
from typing import Any

import pytest
from twisted.internet.task import Clock

from apigw.messages import Exchange
from apigw.pipeline import Stage
from apigw.policy.principal import Principal
from apigw.policy.revocations import Revocation
from apigw.stages.codings import Gzip
from apigw.stages.compression import Compression
from apigw.stages.events import EventStreams, between
from apigw.streams import MAX_WAIT, Streams, token_revoked
from tests.kit import Memory, Pipe, asking
from tests.path.test_exchange import begin

GET = b"GET /events HTTP/1.1\r\nHost: gw\r\nAccept-Encoding: gzip\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n%b\r\n"
CHUNKED = HEAD % b"Transfer-Encoding: chunked\r\n"

EXPIRED = b'event: token-expired\ndata: {"code": "token-expired", "detail": "The token has expired."}\n\n'


class Events(Memory):
    """:param expires: seconds from now on, of the client's token."""

    def __init__(self, heartbeat: float | None = None, expires: float | None = None, *more: Stage) -> None:
        outer = self

        class Enter(Stage):
            def request(self, exchange: Exchange) -> None:
                if expires is not None:
                    exchange.identity = Principal("ann", expires=outer.clock.seconds() + expires)

        super().__init__(stages=(Enter(),))
        self.streams = Streams(self.clock, self.clock.seconds)
        stage = EventStreams(self.streams, self.clock, self.clock.seconds, heartbeat)
        self.route.up = (stage.response, *(one.response for one in more), *self.route.up)

    def open(self, head: bytes = CHUNKED) -> tuple[Pipe, Pipe]:
        client, service = begin(self, GET)
        service.feed(head)
        assert b"200 OK" in client.take()
        return client, service


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_events_pass_as_they_come() -> None:
    memory = Events()
    client, service = memory.open()
    for event in (b"data: 1\n\n", b"data: 2\n\n"):
        service.feed(chunk(event))
        assert client.take() == chunk(event)
    assert memory.streams.active == {("events", "memory"): 1}
    service.feed(b"0\r\n\r\n")
    assert client.take() == b"0\r\n\r\n"
    assert memory.streams.active == {("events", "memory"): 0}
    assert (memory.done[0].complete, memory.done[0].error) == (True, None)


def test_comments_are_sent_in_silence_between_events_alone() -> None:
    memory = Events(10.0)
    client, service = memory.open()
    memory.clock.pump([1.0] * 11)
    assert client.take() == chunk(b":\n\n")
    service.feed(chunk(b"data: half"))
    client.take()
    memory.clock.pump([1.0] * 25)
    assert client.take() == b""
    service.feed(chunk(b"\r\n\r\n"))
    client.take()
    client.producer.pauseProducing()
    memory.clock.pump([1.0] * 11)
    assert client.take() == b""
    client.producer.resumeProducing()
    memory.clock.pump([1.0] * 11)
    assert client.take() == chunk(b":\n\n")
    client.reset()
    assert service.closed == "aborted"
    assert memory.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("tail", "verdict"),
    [
        (b"", True),
        (b"\n", True),
        (b"a\n\n", True),
        (b"\r\n\r\n", True),
        (b"a\r\r", True),
        (b"\n\r\n", True),
        (b"\r\n\n", True),
        (b"a\r\n", False),
        (b"a\n", False),
        (b"a\r", False),
        (b"a", False),
    ],
)
def test_where_an_event_ends(tail: bytes, verdict: bool) -> None:
    assert between(tail) is verdict


@pytest.mark.parametrize("head", [CHUNKED, HEAD % b"Content-Length: 5000\r\n", HEAD % b""])
def test_a_stream_ends_with_its_token(head: bytes) -> None:
    memory = Events(None, 100.0)
    client, service = memory.open(head)
    memory.clock.advance(50.0)
    service.feed(chunk(b":\n\n") if head is CHUNKED else b":\n\n")
    client.take()
    memory.clock.advance(49.0)
    assert client.take() == b""
    memory.clock.advance(1.5)
    assert client.take() == chunk(EXPIRED) + b"0\r\n\r\n"
    assert service.closed == "aborted"
    [done] = memory.done
    assert done.complete
    assert done.error is not None
    assert done.error.code == "token-expired"


def test_an_event_that_has_begun_is_finished_first() -> None:
    memory = Events(None, 10.0)
    client, service = memory.open()
    service.feed(chunk(b"data: half"))
    client.take()
    memory.clock.advance(11.0)
    assert client.take() == b""
    service.feed(chunk(b" and half\n\n"))
    assert client.take() == chunk(b" and half\n\n") + chunk(EXPIRED) + b"0\r\n\r\n"


def test_but_not_for_ever() -> None:
    memory = Events(None, 10.0)
    client, service = memory.open()
    service.feed(chunk(b"data: half"))
    client.take()
    memory.clock.advance(10.0)
    memory.clock.advance(5.0)
    assert client.take() == b"0\r\n\r\n"
    assert service.closed == "aborted"
    assert memory.streams.active == {("events", "memory"): 0}


def test_what_the_service_has_encoded_is_cut() -> None:
    memory = Events(1.0, 10.0)
    client, service = memory.open(HEAD % b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n")
    memory.clock.pump([1.0] * 9)
    assert client.take() == b""
    memory.clock.advance(2.0)
    assert (client.closed, service.closed) == ("aborted", "aborted")


def test_a_drain_ends_streams_so_that_readers_come_again() -> None:
    memory = Events()
    client, _ = memory.open()
    memory.site.drain(30.0)
    assert b"event: shutting-down\n" in client.take()
    assert client.closed == "lost"


def test_a_stream_that_begins_during_a_drain_ends_at_once() -> None:
    memory = Events()
    client, service = begin(memory, GET)
    memory.site.drain(30.0)
    service.feed(CHUNKED)
    assert b"event: shutting-down\n" in client.take()
    assert client.closed == "lost"


def test_revocation() -> None:
    memory = Events(None, 1000.0)
    client, _ = memory.open()
    memory.streams.revoked(Revocation("sub", "bob", 2000.0))
    assert client.take() == b""
    memory.streams.revoked(Revocation("sub", "ann", 2000.0))
    assert b"event: token-revoked\n" in client.take()


def test_comments_and_ends_come_through_compression() -> None:
    memory = Events(10.0, 15.0, Compression({"gzip": Gzip}, ["text/*"], 1000))
    client, service = memory.open()
    service.feed(chunk(b"data: 1\n\n"))
    memory.clock.pump([1.0] * 16)
    data, rest = b"", client.take()
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        data, rest = data + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    decode = zlib.decompressobj(31)
    assert decode.decompress(data) == b"data: 1\n\n:\n\n" + EXPIRED
    assert decode.eof


def test_bodies_that_are_no_events_are_left_alone() -> None:
    memory = Events(1.0)
    client, service = begin(memory, GET)
    service.feed(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n")
    memory.clock.pump([1.0] * 5)
    assert b":\n" not in client.take().partition(b"\r\n\r\n")[2]
    assert memory.streams.active == {}


class Note:
    """A stream that only notes its end."""

    def __init__(self, who: Principal | None) -> None:
        self.exchange = asking()
        self.exchange.identity = who
        self.ended: list[str] = []

    def end(self, why: Any) -> None:
        self.ended.append(why.code)


def test_tokens_that_expired_meanwhile_and_those_of_next_year() -> None:
    clock = Clock()
    start = time()
    streams = Streams(clock, lambda: start + clock.seconds(), lambda who: who.user == "gone")
    late, far, gone, guest = (
        Note(who)
        for who in (
            Principal("a", expires=start - 1.0),
            Principal("b", expires=start + 3 * MAX_WAIT),
            Principal("gone"),
            None,
        )
    )
    for stream in (late, far, gone, guest):
        streams.opening(stream, "tunnel")
        assert stream.exchange.stream is stream
    assert late.ended == gone.ended == []
    clock.advance(0.0)
    assert (late.ended, gone.ended, far.ended) == (["token-expired"], [token_revoked().code], [])
    for _ in range(3):
        assert far.ended == []
        clock.advance(MAX_WAIT)
    assert (far.ended, guest.ended) == (["token-expired"], [])
    for stream in (late, far, gone, guest):
        streams.over(stream, "tunnel")
    assert clock.getDelayedCalls() == []
