"""A worker's lines in its supervisor's log."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure

from apigw.workers.log import observer, relay


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", stream)
    return stream


def relayed(line: str) -> list[LogEvent]:
    with capturedLogs() as events:
        relay(3, line)
    return list(events)


def test_an_event_keeps_its_level_and_its_place(written: io.StringIO) -> None:
    observer()({"log_level": LogLevel.warn, "log_namespace": "apigw.x", "log_format": "a {b}", "b": "1\n2"})
    line = written.getvalue().rstrip("\n")
    [event] = relayed(line)
    assert (event["log_level"], event["log_namespace"]) == (LogLevel.warn, "apigw.x")
    assert formatEvent(event) == "worker 3: a 1\n2"


def test_a_failure_keeps_its_traceback(written: io.StringIO) -> None:
    try:
        raise ValueError("why")
    except ValueError:
        event: dict[str, Any] = {"log_level": LogLevel.warn, "log_format": "x", "log_failure": Failure()}
    observer()(event)
    [told] = relayed(written.getvalue().rstrip("\n"))
    assert (formatEvent(told), told["traceback"].splitlines()[-1]) == ("worker 3: x", "builtins.ValueError: why")
    assert told["log_level"] is LogLevel.warn


@pytest.mark.parametrize("line", ["Fatal Python error", "\x1e{", "\x1e{}", "{braces}"])
def test_what_is_no_event_is_told_as_it_is(line: str) -> None:
    [event] = relayed(line)
    assert event["log_level"] is LogLevel.warn
    assert formatEvent(event) == f"worker 3: {line.lstrip(chr(30))}"


def test_a_request_keeps_its_id_and_its_fields(written: io.StringIO) -> None:
    event: dict[str, Any] = {"log_level": LogLevel.warn, "log_format": "x", "request_id": "r-1", "fields": {"ms": 7}}
    observer()(event)
    [told] = relayed(written.getvalue().rstrip("\n"))
    assert (told["request_id"], told["fields"], told["worker"]) == ("r-1", {"ms": 7}, 3)


def test_an_empty_line_is_nothing() -> None:
    assert relayed("") == []
