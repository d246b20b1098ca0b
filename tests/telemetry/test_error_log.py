"""Lines of the error log: their form, and that no secret is in them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, LogLevel
from twisted.python.failure import Failure

from apigw.telemetry.error_log import MAX_MESSAGE, MAX_TRACEBACK, ErrorLog, record


def event(form: str, **more: Any) -> LogEvent:
    return {"log_level": LogLevel.warn, "log_namespace": "apigw.x", "log_time": 1.25, "log_format": form, **more}


def failure(message: str) -> Failure:
    try:
        raise ValueError(message)
    except ValueError:
        return Failure()


def test_a_line_of_json() -> None:
    line = ErrorLog("json").line(event("a {b}", b="1\n\u00e9", request_id="r", worker=3, fields={"ms": 7}))
    assert line.endswith("}\n")
    assert line.isascii()
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:01.250Z",
        "level": "warn",
        "namespace": "apigw.x",
        "message": "a 1\n\u00e9",
        "request_id": "r",
        "worker": 3,
        "ms": 7,
    }


def test_text_can_be_told_apart() -> None:
    line = ErrorLog("text").line(event("a\nb", log_failure=failure("why")))
    first, *rest = line.splitlines()
    assert first.endswith(" [apigw.x#warn] a")
    assert all(one.startswith("\t") for one in rest)
    assert rest[-1] == "\tbuiltins.ValueError: why"


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_are_replaced_by_name_and_by_form(form: str) -> None:
    made = event(
        "{password} {api_key} {client_secret!r} {url} {fields_sent}",
        password="hunter-1",
        api_key="hunter-2",
        client_secret="hunter-3",
        url="https://u:hunter-4@h/?c=hunter-5",
        fields_sent={"Authorization": "hunter-6", "Cookie": 'a="hunter-7"'},
        log_failure=failure("token: hunter-8"),
    )
    line = ErrorLog(form).line(made)
    assert "hunter" not in line
    assert "https://u:*@h/?*" in line


def test_what_cannot_be_formatted_tells_no_secret_either() -> None:
    line = ErrorLog("json").line(event("{nothing}", password="hunter-1", more={"token": "hunter-2"}))
    assert "Unable to format event" in line
    assert "hunter" not in line


def test_an_event_without_words_says_what_failed() -> None:
    made = record({"log_failure": failure("why"), "log_time": 1.0})
    assert (made["message"], made["level"], made["namespace"]) == ("builtins.ValueError: why", "info", "-")


def test_a_line_has_a_bound_and_keeps_the_error() -> None:
    made = record(event("x" * (2 * MAX_MESSAGE), log_failure=failure("y" * (2 * MAX_TRACEBACK) + "end")))
    assert len(made["message"]) == MAX_MESSAGE
    assert len(made["traceback"]) == MAX_TRACEBACK
    assert made["traceback"].endswith("yend")


def test_it_writes_where_twistd_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ErrorLog("text").observer({"logfile": "-", "nodaemon": 0}) is None
    monkeypatch.setattr(sys, "stdout", out := io.StringIO())
    for options in ({"logfile": "-", "nodaemon": 1}, {"logfile": None, "nodaemon": 1}):
        observer = ErrorLog("json").observer(options)
        assert observer is not None
        observer(event("to standard output"))
    assert [json.loads(line)["message"] for line in out.getvalue().splitlines()] == ["to standard output"] * 2
    monkeypatch.chdir(tmp_path)
    log = ErrorLog("json")
    observer = log.observer({"logfile": "", "nodaemon": 0})
    assert observer is not None
    observer(event("to its file"))
    Path("twistd.log").rename("old.log")
    log.reopen()
    observer(event("to another"))
    assert json.loads(Path("old.log").read_text())["message"] == "to its file"
    assert json.loads(Path("twistd.log").read_text())["message"] == "to another"
    assert log._file is not None
    log._file.close()


def test_two_processes_that_follow_each_other_write_over_no_line(tmp_path: Path) -> None:
    path = tmp_path / "gw.log"
    logs = [ErrorLog("text"), ErrorLog("text")]
    observers = [log.observer({"logfile": str(path)}) for log in logs]
    for number in range(6):
        observer = observers[number % 2]
        assert observer is not None
        observer(event(f"line {number}"))
    for log in logs:
        assert log._file is not None
        log._file.close()
    assert [line[-6:] for line in path.read_text().splitlines()] == [f"line {number}" for number in range(6)]


@pytest.mark.parametrize("form", ["text", "json"])
def test_syslog(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr("twisted.python.syslog.SyslogObserver.syslog", lambda _, __, text: sent.append(text))
    observer = ErrorLog(form).observer({"syslog": 1, "prefix": "gw"})
    assert observer is not None
    observer(event("token={t}", t="hunter-1", log_failure=failure("why")))
    text = "\n".join(sent)
    assert "hunter" not in text
    assert "ValueError: why" in text
    if form == "json":
        assert json.loads(sent[0].partition("] ")[2])["message"] == "token=*"
