"""Peers that an operator takes out."""

from __future__ import annotations

from apigw.policy.breaker import BreakerPolicy
from tests.kit import Memory

GET = b"GET / HTTP/1.1\r\nHost: gw\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def ask(memory: Memory) -> bytes:
    """:return: the first line of the answer to one request."""
    client = memory.client()
    client.feed(GET)
    for dial in memory.dials:
        if not dial.closed and dial.take():
            dial.feed(OK)
    return client.take().partition(b"\r\n")[0]


def test_no_request_goes_to_it_while_others_are_there() -> None:
    memory = Memory(peers=2)
    memory.upstream.drain(memory.peers[0])
    for _ in range(4):
        assert ask(memory) == b"HTTP/1.1 200 OK"
    assert set(memory.dialled) == {1}
    memory.upstream.restore(memory.peers[0])
    for _ in range(4):
        ask(memory)
    assert set(memory.dialled) == {0, 1}


def test_not_even_where_nobody_else_is_left() -> None:
    memory = Memory(peers=3)
    for peer in memory.peers:
        memory.upstream.drain(peer)
    assert ask(memory) == b"HTTP/1.1 503 Service Unavailable"
    assert memory.dials == []


def test_what_is_under_way_ends_as_it_would() -> None:
    memory = Memory()
    client = memory.client()
    client.feed(GET)
    memory.upstream.drain(memory.peers[0])
    assert memory.peers[0].candidate.active == 1
    memory.dials[0].feed(OK)
    assert client.take().startswith(b"HTTP/1.1 200 OK")
    assert memory.peers[0].candidate.active == 0


def test_a_health_that_changes_doesnt_bring_it_back() -> None:
    memory = Memory(peers=2)
    memory.upstream.drain(memory.peers[0])
    memory.upstream.fitness_changed(memory.peers[0])
    memory.upstream.replace(memory.peers)
    for _ in range(4):
        ask(memory)
    assert set(memory.dialled) == {1}


def test_one_whose_breaker_is_open_is_probed_when_it_is_back() -> None:
    memory = Memory(breaker=BreakerPolicy(volume=1, open_for=5.0, closes_after=1))
    client = memory.client()
    client.feed(GET)
    memory.dials[0].reset()
    peer = memory.peers[0]
    assert peer.breaker.state == "open"
    memory.upstream.drain(peer)
    memory.clock.advance(6.0)
    assert ask(memory) == b"HTTP/1.1 503 Service Unavailable"
    memory.upstream.restore(peer)
    assert ask(memory) == b"HTTP/1.1 200 OK"
    assert peer.breaker.state == "closed"
