"""Requests under way at once, over the whole path in memory."""

from __future__ import annotations

import pytest

from apigw.stages.concurrency import Bounds, Concurrency
from apigw.state.inflight import LocalInFlight
from tests.kit import Memory, Pipe
from tests.path.test_limits import Says

OK = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi"


class Gate:
    def __init__(self, bounds: Bounds) -> None:
        self.counts = LocalInFlight()
        self.memory = Memory(stages=[Says(), Concurrency(self.counts, bounds)])

    def ask(self, who: str = "ann", ip: str = "192.0.2.1") -> Pipe:
        client = self.memory.client()
        client.feed(f"GET / HTTP/1.1\r\nHost: h\r\nFrom: {ip}\r\nWho: {who}\r\n\r\n".encode())
        return client


def refused(client: Pipe) -> bool:
    return client.written.startswith(b"HTTP/1.1 429 ")


def test_one_more_is_refused_until_one_is_over() -> None:
    gate = Gate(Bounds("r", user=2))
    first, second, third = (gate.ask() for _ in range(3))
    assert refused(third)
    assert b'"code": "concurrency-limited"' in third.written
    assert b"\r\nRetry-After: 1\r\n" in third.written
    assert not refused(gate.ask("bob"))
    gate.memory.dials[0].feed(OK)
    assert first.take().endswith(b"hi")
    assert not refused(gate.ask())
    assert not refused(second)
    assert refused(gate.ask())


@pytest.mark.parametrize("how", ["client gone", "service gone", "timeout", "answer cut", "client gone amid the answer"])
def test_it_is_over_however_it_ends(how: str) -> None:
    gate = Gate(Bounds("r", 1, 1, 1, 1))
    client = gate.ask("acme")
    assert len(gate.counts) == 4
    service = gate.memory.dials[0]
    if how == "client gone":
        client.reset()
    elif how == "service gone":
        service.reset()
    elif how == "timeout":
        gate.memory.clock.advance(31.0)
    else:
        service.feed(OK[:-1])
        assert len(gate.counts) == 4, "until the last byte"
        (service if how == "answer cut" else client).reset()
    assert len(gate.counts) == 0


def test_by_address_consumer_and_route() -> None:
    gate = Gate(Bounds("r", ip=1, consumer=1, route=3))
    assert not refused(gate.ask("acme", "192.0.2.1"))
    assert refused(gate.ask("acme", "192.0.2.2"))
    assert refused(gate.ask("bob", "192.0.2.1"))
    assert not refused(gate.ask("bob", "192.0.2.2"))
    assert not refused(gate.ask("cid", "192.0.2.3"))
    answer = gate.ask("dan", "192.0.2.4")
    assert refused(answer)
    assert b"of this route" in answer.written


def test_report_only_lets_pass_and_says_so() -> None:
    gate = Gate(Bounds("r", user=1, enforce=False))
    for _ in range(3):
        assert not refused(gate.ask())
    for dial in gate.memory.dials:
        dial.feed(OK)
    assert [exchange.would_refuse for exchange in gate.memory.done] == ["", *["concurrency-limited"] * 2]
    assert len(gate.counts) == 0
