"""Requests that ask for another protocol, over the whole path in memory: what passes, what is refused, how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from apigw.messages import Exchange, Timeouts
from apigw.policy.breaker import BreakerPolicy
from apigw.policy.paths import Rewrite
from apigw.policy.websocket import accept, close_frame
from apigw.stages.upgrade import TunnelBounds, Upgrades
from apigw.state.inflight import LocalInFlight
from apigw.streams import Streams
from apigw.upstream.forwarder import Forwarder
from apigw.upstream.upgrading import Either, UpgradingForwarder
from tests.kit import Memory, Pipe

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="

ASK = b"GET /chat HTTP/1.1\r\nHost: gw\r\nConnection: keep-alive, Upgrade\r\nUpgrade: %b\r\n%b\r\n"

WEBSOCKET = ASK % (b"websocket", b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n")

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n%b\r\n"

ACCEPTED = SWITCHED % (b"websocket", b"Sec-WebSocket-Accept: " + accept(KEY) + b"\r\n")

PING, PONG = b"\x89\x84abcd\0\0\0\0", b"\x8a\x04abcd"


class Upgrading(Memory):
    """:ivar streams: the tunnels that are open."""

    def __init__(self, bounds: TunnelBounds | None = None, **options: Any) -> None:
        protocols = (b"websocket", b"tcp")
        super().__init__(**options)
        self.streams = Streams(self.clock, self.clock.seconds)
        stage = Upgrades(
            protocols,
            self.streams,
            LocalInFlight(),
            bounds or TunnelBounds("memory", 10, 10),
            idle=60.0,
            total=600.0,
        )
        forwarders = [
            made(self.upstream.request, Timeouts(), Rewrite("/"), self.clock.seconds, self.date, self.retries)
            for made in (Forwarder, UpgradingForwarder)
        ]
        assert isinstance(forwarders[1], UpgradingForwarder)
        self.route.down = (*self.route.down, stage.request)
        self.route.done = (*self.route.done, stage.done)
        self.route.across = Either(forwarders[0], forwarders[1])

    def tunnel(self, ask: bytes = WEBSOCKET, answer: bytes = ACCEPTED) -> tuple[Pipe, Pipe]:
        """:return: the client and the service, after the heads."""
        client = self.client()
        client.feed(ask)
        service = self.dials[-1]
        service.take()
        service.feed(answer)
        head = client.take()
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n"), head
        assert b"\r\nConnection: Upgrade\r\nUpgrade: " in head
        assert head.endswith(b"\r\n\r\n")
        return client, service

    @property
    def last(self) -> Exchange:
        return self.done[-1]


TCP = ASK % (b"tcp", b""), SWITCHED % (b"tcp", b"")


def test_bytes_pass_both_ways_and_are_counted() -> None:
    memory = Upgrading()
    client = memory.client()
    client.feed(WEBSOCKET)
    [service] = memory.dials
    asked = service.take()
    assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in asked
    assert asked.lower().count(b"upgrade") == 2
    service.feed(ACCEPTED + PONG)
    assert client.take().endswith(b"\r\nUpgrade: websocket\r\n\r\n" + PONG)
    client.feed(PING)
    assert service.take() == PING
    assert memory.done == []
    assert memory.pool.size == 0
    service.end()
    assert client.closed == "lost"
    assert (memory.last.complete, memory.last.error, memory.last.sent) == (True, None, len(PONG))
    assert memory.last.request.body is not None
    assert memory.last.request.body.received == len(PING)
    assert memory.streams.active == {("websocket", "memory"): 0}


@pytest.mark.parametrize("name", [b"h2c", b"H2C, foo", b"websocketx", b"TLS/1.0"])
def test_protocols_that_are_not_allowed_are_passed_over(name: bytes) -> None:
    memory = Upgrading()
    client = memory.client()
    client.feed(ASK % (name, b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"))
    [service] = memory.dials
    asked = service.take().lower()
    assert b"upgrade" not in asked
    assert b"http2-settings" not in asked
    service.feed(SWITCHED % (b"h2c", b""))
    assert client.take().startswith(b"HTTP/1.1 502 ")


def test_only_what_is_allowed_is_offered() -> None:
    memory = Upgrading()
    memory.client().feed(ASK % (b"h2c, TCP", b""))
    assert b"\r\nUpgrade: tcp\r\n" in memory.dials[0].take()


@pytest.mark.parametrize(
    "answer",
    [
        SWITCHED % (b"h2c", b""),
        SWITCHED % (b"tcp, h2c", b""),
        SWITCHED % (b"websocket", b""),
        SWITCHED % (b"tcp", b"Upgrade: tcp\r\n"),
        b"HTTP/1.1 101 x\r\nUpgrade: tcp\r\n\r\n",
        b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.0 101 x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        SWITCHED % (b"tcp", b"Content-Length: 5\r\n"),
    ],
)
def test_other_switches_than_the_one_asked_for_are_errors(answer: bytes) -> None:
    memory = Upgrading()
    client = memory.client()
    client.feed(TCP[0])
    memory.dials[0].feed(answer)
    assert client.take().startswith(b"HTTP/1.1 502 ")
    assert memory.dials[0].closed == "aborted"


@pytest.mark.parametrize("fields", [b"", b"Sec-WebSocket-Accept: AAAA\r\n"])
def test_a_websocket_handshake_is_checked(fields: bytes) -> None:
    memory = Upgrading()
    client = memory.client()
    client.feed(WEBSOCKET)
    memory.dials[0].feed(SWITCHED % (b"websocket", fields))
    assert client.take().startswith(b"HTTP/1.1 502 ")
    assert memory.dials[0].closed == "aborted"


@pytest.mark.parametrize(
    "ask",
    [
        ASK % (b"websocket", b""),
        ASK % (b"websocket", b"Sec-WebSocket-Key: x\r\n"),
        WEBSOCKET.replace(b"Host", b"Sec-WebSocket-Key: %b\r\nHost" % KEY),
        WEBSOCKET.replace(b"GET", b"POST"),
    ],
)
def test_bad_handshakes_are_refused(ask: bytes) -> None:
    memory = Upgrading()
    client = memory.client()
    client.feed(ask)
    assert client.take().startswith(b"HTTP/1.1 400 ")
    assert memory.dials == []


def test_a_request_with_a_body_asks_for_nothing() -> None:
    memory = Upgrading()
    client = memory.client()
    client.feed(TCP[0].replace(b"GET", b"POST").replace(b"Host", b"Content-Length: 1\r\nHost") + b"x")
    assert b"pgrade" not in memory.dials[0].take()


HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: gw\r\n\r\n"


def test_what_follows_the_head_is_for_the_tunnel_alone() -> None:
    memory = Upgrading()
    client = memory.client()
    client.feed(TCP[0] + HIDDEN)
    [service] = memory.dials
    assert b"hidden" not in service.take()
    service.feed(TCP[1])
    assert service.take() == HIDDEN
    service.feed(b"HTTP/1.1 200 OK\r\n\r\n")
    assert client.take().endswith(b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
    assert len(memory.dials) == 1


def test_what_follows_the_head_of_a_declined_upgrade_is_no_request() -> None:
    memory = Upgrading()
    client = memory.client()
    client.feed(TCP[0] + HIDDEN)
    [service] = memory.dials
    service.take()
    service.feed(b"HTTP/1.1 426 no\r\nContent-Length: 0\r\n\r\n")
    answer = client.take()
    assert answer.startswith(b"HTTP/1.1 426 ")
    assert b"\r\nConnection: close\r\n" in answer
    assert client.closed == "lost"
    assert service.take() == b""
    assert len(memory.done) == 1


def test_the_slower_side_sets_the_pace() -> None:
    memory = Upgrading()
    client, service = memory.tunnel(*TCP)
    service.producer.pauseProducing()
    assert client.paused
    service.producer.resumeProducing()
    assert not client.paused
    client.producer.pauseProducing()
    assert service.paused
    client.producer.resumeProducing()
    assert not service.paused


def test_a_client_that_takes_nothing_is_cut() -> None:
    memory = Upgrading()
    client, service = memory.tunnel(*TCP)
    client.producer.pauseProducing()
    for _ in range(4):
        memory.clock.advance(15.0)
        if not client.closed:
            service.feed(b"x")
    memory.clock.advance(15.0)
    assert (client.closed, service.closed) == ("aborted", "aborted")


@pytest.mark.parametrize(
    ("step", "steps", "code"), [(61.0, 1, "tunnel-idle-timeout"), (50.0, 12, "tunnel-total-timeout")]
)
def test_times(step: float, steps: int, code: str) -> None:
    memory = Upgrading()
    client, service = memory.tunnel(*TCP)
    for number in range(steps):
        assert client.closed == ""
        (service if number % 2 else client).feed(b"x")
        memory.clock.pump([step / 10.0] * 10)
    memory.clock.advance(1.0)
    assert (client.closed, service.closed) == ("aborted", "aborted")
    assert memory.last.error is not None
    assert memory.last.error.code == code
    assert memory.clock.getDelayedCalls() == []


def test_directions_end_one_by_one() -> None:
    memory = Upgrading()
    client, service = memory.tunnel(*TCP)
    client.feed(b"all I have")
    client.shut()
    assert service.take() == b"all I have"
    assert service.half_closed
    service.feed(b"and I")
    assert client.take() == b"and I"
    service.end()
    assert client.closed == "lost"
    assert memory.last.complete


def test_a_client_that_closes_in_order_leaves_its_last_bytes() -> None:
    memory = Upgrading()
    client, service = memory.tunnel(*TCP)
    client.feed(b"last")
    client.end()
    assert (service.take(), service.closed) == (b"last", "lost")
    assert (memory.last.complete, memory.last.error) == (True, None)


@pytest.mark.parametrize(("side", "code"), [(0, "client-disconnected"), (1, "upstream-reset")])
def test_a_reset_is_passed_on_as_one(side: int, code: str) -> None:
    memory = Upgrading()
    pipes = memory.tunnel(*TCP)
    pipes[side].reset()
    assert pipes[1 - side].closed == "aborted"
    assert memory.last.error is not None
    assert memory.last.error.code == code
    assert memory.streams.active == {("tunnel", "memory"): 0}
    assert memory.clock.getDelayedCalls() == []


GOODBYE = close_frame(1001, "The gateway is about to stop.")


def unmasked(frame: bytes) -> bytes:
    """A short frame of a client as a server would send it."""
    mask, payload = frame[2:6], frame[6:]
    return bytes((frame[0], frame[1] & 0x7F)) + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def test_a_drain_ends_a_websocket_by_close_frames() -> None:
    memory = Upgrading()
    client, service = memory.tunnel()
    memory.site.drain(30.0)
    assert client.take() == GOODBYE
    assert unmasked(service.take()) == GOODBYE
    service.feed(PONG)
    client.feed(PING)
    assert (client.take(), service.take(), client.closed) == (b"", b"", "")
    client.feed(close_frame(1001, "", b"abcd"))
    assert (client.closed, service.closed) == ("lost", "lost")
    assert memory.last.error is not None
    assert memory.last.error.code == "shutting-down"
    assert memory.last.request.body is not None
    assert (memory.last.request.body.received, memory.last.sent) == (0, 0)
    assert memory.clock.getDelayedCalls() == []


def test_close_frames_wait_for_the_end_of_a_frame() -> None:
    memory = Upgrading()
    client, service = memory.tunnel()
    service.feed(b"\x82\x04ab")
    client.feed(b"\x82\x84")
    memory.site.drain(30.0)
    assert client.take() == b"\x82\x04ab"
    assert service.take() == b"\x82\x84"
    service.feed(b"cd" + PONG)
    assert client.take() == b"cd" + GOODBYE
    client.feed(b"mask1234" + PING)
    sent = service.take()
    assert sent.startswith(b"mask1234")
    assert unmasked(sent[8:]) == GOODBYE
    client.feed(close_frame(1001, "", b"abcd"))
    assert client.closed == "lost"


@pytest.mark.parametrize("begun", [b"", b"\x82\x04ab"])
def test_who_does_not_answer_a_close_frame_is_cut(begun: bytes) -> None:
    memory = Upgrading()
    client, service = memory.tunnel()
    service.feed(begun)
    memory.site.drain(30.0)
    memory.clock.advance(4.9)
    assert client.closed == ""
    memory.clock.advance(0.2)
    assert (client.closed, service.closed) == ("aborted", "aborted")
    assert memory.clock.getDelayedCalls() == []


def test_a_service_that_closes_first_leaves_the_client_its_time() -> None:
    memory = Upgrading()
    client, service = memory.tunnel()
    memory.site.drain(30.0)
    service.feed(close_frame(1001, ""))
    service.end()
    assert client.closed == ""
    client.feed(close_frame(1001, "", b"abcd"))
    assert client.closed == "lost"
    assert memory.last.complete


def test_another_protocol_goes_on_until_the_drain_is_over() -> None:
    memory = Upgrading()
    client, service = memory.tunnel(*TCP)
    memory.site.drain(30.0)
    service.feed(b"x")
    assert client.take() == b"x"
    memory.clock.advance(30.0)
    assert (client.closed, service.closed) == ("aborted", "aborted")


def test_bounds() -> None:
    memory = Upgrading(TunnelBounds("memory", 2, 3))
    first, _ = memory.tunnel(*TCP)
    memory.tunnel(*TCP)
    client = memory.client()
    client.feed(TCP[0])
    assert client.take().startswith(b"HTTP/1.1 429 ")
    first.end()
    memory.tunnel(*TCP)


@pytest.mark.parametrize("side", [0, 1])
def test_who_has_said_goodbye_may_leave_as_it_likes(side: int) -> None:
    memory = Upgrading()
    pipes = memory.tunnel()
    pipes[side].feed(close_frame(1000, "", b"" if side else b"abcd"))
    pipes[side].reset()
    assert pipes[1 - side].closed == "lost"
    assert (memory.last.complete, memory.last.error) == (True, None)


def test_ends_of_tunnels_do_not_count_against_the_peer() -> None:
    memory = Upgrading(breaker=BreakerPolicy(volume=1, consecutive=1))
    for _ in range(3):
        _, service = memory.tunnel(*TCP)
        service.reset()
    assert memory.peers[0].breaker.closed
