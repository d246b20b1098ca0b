"""The figures of each second, and those who watch them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from apigw.admin.health import whole
from apigw.admin.live import MARKS, WINDOW, Live
from apigw.admin.states import service_state
from apigw.admin.stream import Stream, Streams
from apigw.dates import HttpDate
from apigw.stages.recording import Recording
from apigw.telemetry.recent import Recent
from apigw.upstream.retries import RetryCounts
from tests.kit import Memory

GET = b"GET /x HTTP/1.1\r\nHost: gw\r\n\r\n"


class Watched:
    """A gateway in memory, with its figures."""

    def __init__(self, peers: int = 1) -> None:
        self.memory = Memory(stages=[Recording(lambda exchange: self.recent.ended(exchange))], peers=peers)
        clock = self.memory.clock
        self.recent = Recent(clock.seconds)
        upstream = self.memory.upstream

        def see() -> dict[str, Any]:
            return whole(service_state(upstream, RetryCounts(), ()))

        self.live = Live(
            self.recent,
            lambda: 0,
            lambda: [(upstream, see)],
            clock,
            clock.seconds,
            lambda: 1000.0 + clock.seconds(),
            {"id": "one", "version": "1", "started": 1000.0},
        )
        self.live.start()

    def ask(self, status: int = 200, takes: float = 0.0) -> None:
        client = self.memory.client()
        client.feed(GET)
        self.memory.clock.advance(takes)
        for dial in self.memory.dials:
            if dial.take():
                dial.feed(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)


class Reader:
    """The far end of a stream. :ivar events: names and data."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.producer: Any = None
        self.reason: Failure | None = None

    def makeConnection(self, producer: Any) -> None:
        assert IPushProducer.providedBy(producer)
        self.producer = producer

    def dataReceived(self, data: bytes) -> None:
        for block in data.decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.split("\n") if line)
            if "event" in lines:
                self.events.append((lines["event"], json.loads(lines["data"])))

    def connectionLost(self, reason: Failure) -> None:
        self.reason = reason


def test_a_second_and_what_it_adds_up_to() -> None:
    watched = Watched()
    watched.ask()
    watched.ask(503)
    watched.ask(404)
    watched.memory.clock.advance(1.0)
    told = watched.live.whole()
    assert [point[:2] for point in told["history"]] == [[3, 1]]
    [route] = told["routes"]
    assert (route["name"], route["requests"], route["failed"], route["refused"], route["total"]) == (
        "memory",
        3,
        1,
        0,
        3,
    )
    [service] = told["services"]
    assert service["series"][-1][:2] == [3, 1]
    assert [record["status"] for record in told["tail"]] == [200, 503, 404]
    assert told["tail"][0]["time"] == 1000.0


def test_percentiles_are_those_of_the_second() -> None:
    watched = Watched()
    watched.ask(takes=0.25)
    watched.memory.clock.advance(0.75)
    assert watched.live.whole()["history"][-1][2:5] == pytest.approx([250.0, 250.0, 250.0], rel=0.025)


def test_what_is_too_old_is_forgotten_but_not_its_sum() -> None:
    watched = Watched()
    watched.ask()
    watched.memory.clock.pump([1.0] * (WINDOW + 2))
    [route] = watched.live.routes()
    assert (route["requests"], route["total"]) == (0, 1)
    [service] = watched.live.whole()["services"]
    history = service["peers"][0]["history"]
    assert set(history) == {"o"}
    assert len(history) <= MARKS


def test_marks_tell_what_became_of_a_peer() -> None:
    watched = Watched(peers=2)
    first, second = watched.memory.peers
    watched.memory.upstream.drain(first)
    second.breaker.force_open()
    watched.memory.clock.pump([1.0] * 5)
    [service] = watched.live.whole()["services"]
    assert [peer["history"] for peer in service["peers"]] == ["d", "x"]


def test_a_stream_begins_with_the_whole_and_goes_on_with_what_is_new() -> None:
    watched = Watched()
    watched.ask()
    watched.memory.clock.advance(1.0)
    reader = Reader()
    Stream(watched.live).deliverBody(reader)  # type: ignore[arg-type]
    assert [(name, len(data["tail"])) for name, data in reader.events] == [("whole", 1)]
    watched.ask(404)
    watched.memory.clock.advance(1.0)
    name, tick = reader.events[-1]
    assert (name, [record["status"] for record in tick["tail"]], tick["point"][:2]) == ("tick", [404], [1, 0])
    watched.memory.clock.advance(1.0)
    assert reader.events[-1][1]["tail"] == []


def test_who_reads_slowly_misses_some_and_gets_the_whole() -> None:
    watched = Watched()
    reader = Reader()
    Stream(watched.live).deliverBody(reader)  # type: ignore[arg-type]
    reader.producer.pauseProducing()
    watched.memory.clock.pump([1.0] * 3)
    assert len(reader.events) == 1
    reader.producer.resumeProducing()
    watched.memory.clock.advance(1.0)
    assert [name for name, _ in reader.events] == ["whole", "whole"]
    watched.memory.clock.advance(1.0)
    assert reader.events[-1][0] == "tick"


def test_it_ends_with_the_gateway_and_with_its_reader() -> None:
    watched = Watched()
    gone, stays = Reader(), Reader()
    for reader in (gone, stays):
        Stream(watched.live).deliverBody(reader)  # type: ignore[arg-type]
    gone.producer.stopProducing()
    assert watched.live.watchers == 1
    watched.live.close()
    assert stays.events[-1] == ("end", {})
    assert stays.reason is not None
    assert stays.reason.check(ResponseDone)
    assert (gone.reason, watched.live.watchers) == (None, 0)
    watched.live.stop()
    assert [call for call in watched.memory.clock.getDelayedCalls() if call.func.__name__ == "turn"] == []


def test_nobody_begins_to_watch_a_gateway_that_ends() -> None:
    watched = Watched()
    watched.live.close()
    memory = Memory(across=Streams(watched.live, HttpDate()))
    client = memory.client()
    client.feed(b"GET /api/live HTTP/1.1\r\nHost: gw\r\n\r\n")
    answer = client.take()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"shutting-down" in answer
    assert watched.live.watchers == 0


def test_there_is_room_for_so_many() -> None:
    watched = Watched()
    for _ in range(32):
        Stream(watched.live).deliverBody(Reader())  # type: ignore[arg-type]
    memory = Memory(across=Streams(watched.live, HttpDate()))
    client = memory.client()
    client.feed(b"GET /api/live HTTP/1.1\r\nHost: gw\r\n\r\n")
    answer = client.take()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"too-many-watch" in answer
