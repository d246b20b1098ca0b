"""Spans on their way to collectors that take them, refuse them, fail, hang, or aren't there."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from time import monotonic

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from apigw.telemetry.exporter import BATCH, LAST, QUEUE, SpanExporter
from apigw.telemetry.span_counts import SpanCounts
from tests.wire.gateway import BOUND
from tests.wire.scripted import Reply, Scripted, scripted

SPAN = {"name": "GET users"}


class Collector:
    """:ivar statuses: that it answers, one after the other; 200 from then on."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.service: Scripted

    def say(self, _: object) -> Reply:
        return Reply(self.statuses.pop(0) if self.statuses else 200, b"{}")

    def bodies(self) -> list[dict]:
        return [json.loads(asked.body) for asked in self.service.asked]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    with scripted(made.say) as made.service:
        yield made


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a collector that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def exporter(port: int, clock: object = reactor) -> tuple[SpanExporter, SpanCounts]:
    counts = SpanCounts()
    resource = {"service.name": "edge", "service.version": "1"}
    return SpanExporter(f"http://127.0.0.1:{port}/v1/traces", {"X-Who": "me"}, resource, counts, clock), counts


async def until(condition: Callable[[], object]) -> None:
    end = monotonic() + BOUND
    while not condition():
        assert monotonic() < end, "waited in vain"
        await deferLater(reactor, 0.005)


@pytest_twisted.ensureDeferred
async def test_the_end_sends_what_is_left(collector: Collector) -> None:
    sender, counts = exporter(collector.service.port)
    sender.add(2, [SPAN, SPAN])
    await sender.stop()
    assert (counts.sent, counts.dropped) == (2, 0)
    [body] = collector.bodies()
    [resource] = body["resourceSpans"]
    assert {"key": "service.name", "value": {"stringValue": "edge"}} in resource["resource"]["attributes"]
    [scope] = resource["scopeSpans"]
    assert scope == {"scope": {"name": "apigw", "version": "1"}, "spans": [SPAN, SPAN]}
    assert collector.service.asked[0].fields["x-who"] == "me"


@pytest_twisted.ensureDeferred
async def test_a_full_batch_goes_at_once(collector: Collector) -> None:
    sender, counts = exporter(collector.service.port)
    sender.add(BATCH + 1, [SPAN] * (BATCH + 1))
    await until(lambda: counts.sent == BATCH + 1)
    assert [len(body["resourceSpans"][0]["scopeSpans"][0]["spans"]) for body in collector.bodies()] == [BATCH, 1]
    await sender.stop()


@pytest_twisted.ensureDeferred
async def test_what_is_refused_is_not_sent_again(collector: Collector) -> None:
    collector.statuses = [400]
    sender, counts = exporter(collector.service.port)
    sender.add(1, [SPAN])
    await sender.stop()
    assert (counts.sent, counts.dropped, len(collector.service.asked)) == (0, 1, 1)


@pytest_twisted.ensureDeferred
async def test_what_failed_is_sent_again(collector: Collector) -> None:
    collector.statuses = [503]
    sender, counts = exporter(collector.service.port)
    sender.add(BATCH, [SPAN] * BATCH)
    await until(lambda: collector.service.asked and not collector.statuses)
    sender.add(1, [SPAN])
    await until(lambda: counts.sent == BATCH + 1)
    assert counts.dropped == 0
    await sender.stop()


@pytest_twisted.ensureDeferred
async def test_a_silent_collector_holds_up_the_end_for_a_second(silent: int) -> None:
    sender, counts = exporter(silent)
    sender.add(BATCH, [SPAN] * BATCH)  # on their way, and without an answer
    sender.add(1, [SPAN])
    begun = monotonic()
    await sender.stop()
    assert monotonic() - begun < LAST + 1.0
    assert (counts.sent, counts.dropped) == (0, BATCH + 1)


@pytest_twisted.ensureDeferred
async def test_the_log_says_once_that_a_collector_is_silent(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apigw.telemetry.exporter.TIMEOUT", 0.05)
    monkeypatch.setattr("apigw.telemetry.exporter.PAUSES", (0.01, 0.01))
    told: list[LogEvent] = []
    globalLogPublisher.addObserver(told.append)
    try:
        sender, _ = exporter(silent)
        sender.add(BATCH, [SPAN] * BATCH)
        await until(lambda: told)
        await sender.stop()
    finally:
        globalLogPublisher.removeObserver(told.append)
    [line] = [formatEvent(event) for event in told if event["log_namespace"].startswith("apigw.")]
    assert line == f"spans can't be sent to http://127.0.0.1:{silent}/v1/traces: no answer within 0.05 s"


@pytest_twisted.ensureDeferred
async def test_a_collector_that_is_not_there_holds_up_nothing() -> None:
    sender, counts = exporter(1)
    sender.add(1, [SPAN])
    await sender.stop()
    assert (counts.sent, counts.dropped) == (0, 1)


@pytest_twisted.ensureDeferred
async def test_what_finds_no_room_is_dropped_and_counted(silent: int) -> None:
    sender, counts = exporter(silent)
    for _ in range(QUEUE + BATCH + 10):
        sender.add(1, [SPAN])
    assert counts.dropped == 10
    await sender.stop()
    assert (counts.sent, counts.dropped) == (0, QUEUE + BATCH + 10)


def test_few_wait_for_others() -> None:
    clock = Clock()
    sender, counts = exporter(1, clock)
    for _ in range(3):
        sender.add(1, [SPAN])
    [call] = clock.getDelayedCalls()
    assert call.getTime() == 2.0
    call.cancel()
    assert counts.dropped == 0
