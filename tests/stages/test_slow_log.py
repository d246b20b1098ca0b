"""What is said of slow requests, and of how many."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import capturedLogs, formatEvent

from apigw.messages import Attempt, Exchange, Response
from apigw.policy.redact import redacted
from apigw.stages.slow_log import MOST, SlowLog, phases
from tests.kit import asking


def attempt(begun: float, first_byte: float, queued: float = 0.0, connect: float = 0.0) -> Attempt:
    made = Attempt(begun)
    made.first_byte, made.queued, made.connect = first_byte, queued, connect
    return made


def exchange(*attempts: Attempt, content: bytes = b"text/plain") -> Exchange:
    """Begun at 0.0."""
    made = asking()
    made.id = b"r-1"
    made.attempts.extend(attempts)
    made.response = Response(200, b"OK", [(b"Content-Type", content)])
    return made


def told(ended: float, *exchanges: Exchange, after: float = 1.0) -> list[Any]:
    stage = SlowLog(after, lambda: ended, redacted)
    with capturedLogs() as events:
        for one in exchanges:
            stage.done(one)
    return list(events)


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ([], [10.0, 0.0, 0.0, 0.0, 0.0]),
        ([attempt(1.0, 6.0, 0.5, 1.5)], [1.0, 0.5, 1.5, 3.0, 4.0]),
        ([attempt(1.0, 0.0, 0.5), attempt(5.0, 8.0, 0.0, 1.0)], [1.0, 0.5, 1.0, 5.5, 2.0]),
        ([attempt(2.0, 0.0)], [2.0, 0.0, 0.0, 8.0, 0.0]),
    ],
)
def test_phases_are_all_of_the_time(attempts: list[Attempt], expected: list[float]) -> None:
    found = phases(exchange(*attempts), 10.0)
    assert list(found.values()) == expected
    assert sum(found.values()) == 10.0


def test_only_what_takes_longer_is_told() -> None:
    assert told(0.999, exchange()) == []
    [event] = told(1.0, exchange(attempt(0.25, 0.75)))
    assert formatEvent(event) == (
        "slow request r-1: GET / of no route took 1000 ms (request 250, queue 0, connect 0, first_byte 500, body 250)"
    )


@pytest.mark.parametrize("content", [b"text/event-stream", b"Text/Event-Stream; charset=utf-8"])
def test_of_streams_the_head_counts(content: bytes) -> None:
    assert told(3600.0, exchange(attempt(0.0, 0.5), content=content)) == []
    [event] = told(3600.0, exchange(attempt(0.0, 2.0), content=content))
    assert event["fields"]["total_ms"] == 2000.0


def test_a_flood_is_counted() -> None:
    now = [5.0]
    stage = SlowLog(1.0, lambda: now[0], redacted)
    with capturedLogs() as events:
        for _ in range(MOST + 7):
            stage.done(exchange())
        now[0] = 6.0
        stage.done(exchange())
        stage.done(exchange())
    assert len(events) == MOST + 2
    assert [event["fields"].get("untold") for event in events[-3:]] == [None, 7, None]
    assert formatEvent(events[-2]).endswith("; 7 more were not told")
