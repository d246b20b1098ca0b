"""The error log of a real gateway: text or JSON, and no secrets; and what it says of slow requests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from apigw.config.loader import loads
from tests.examples import ini_examples
from tests.wire.gateway import BOUND, TWISTD, Gateway, environment, run
from tests.wire.scripted import Reply, fetch, scripted
from tests.wire.sockets import Service, Wire, connect
from tests.wire.test_workers import until

STAGE = '''
from twisted.logger import Logger
from apigw.extension import Stage

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl"

class Telling(Stage):
    """Tells what nobody should."""

    log = Logger()

    async def request(self, exchange):
        fields = dict(exchange.request.fields)
        self.log.info("told {fields}", fields=str(fields))
        self.log.info("a {password} for {url}", password="hunter-1", url="redis://gw:hunter-2@h:1/0")
        self.log.debug("more")
        raise ValueError(f"https://u:hunter-3@h/?code=hunter-4 {JWT} api_key=hunter-5")
'''

INI = """\
[gateway]
workers = {workers}
access_log = off
error_log = {form}
log_level = {level}
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:a]
urls = http://127.0.0.1:9
[stage:telling]
use = telling:Telling
[route:a]
path = /
service = a
stages = telling
"""

HEAD = (
    b"GET /a HTTP/1.1\r\nHost: h\r\nX-Request-Id: r-1\r\nAuthorization: Bearer hunter-6-abcdef\r\n"
    b"Cookie: sid=hunter-7; x=hunter-8\r\nX-Api-Key: hunter-9\r\n\r\n"
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "telling.py").write_text(STAGE, "utf-8")
    return tmp_path


class Failing(Gateway):
    """Its stage fails on purpose, which is no trouble."""

    def troubles(self) -> list[str]:
        wanted = ("apigw.core.GatewayCore", "\tTraceback", "ValueError: https://u:*")
        return [line for line in super().troubles() if not any(sign in line for sign in wanted)]


@contextmanager
def gateway(directory: Path, form: str = "json", level: str = "info", workers: int = 1) -> Iterator[Gateway]:
    """One that serves: workers take a while to start."""
    ini = INI.format(form=form, level=level, workers=workers)
    with Failing(directory, ini, environ={"PYTHONPATH": str(directory)}) as running:
        if workers > 1:
            running.wait(lambda: sum(" is ready, process " in line for line in running.output) == workers)
        yield running


def ask(gateway: Gateway) -> str:
    """:return: the id of a request that fails."""
    wire = connect(gateway.port)
    wire.send(HEAD)
    answer = wire.answer()
    wire.close()
    assert answer.status == 500
    return answer.text("x-request-id")


def events(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("workers", [1, 2])
def test_json_lines_without_secrets(directory: Path, workers: int) -> None:
    with gateway(directory, workers=workers) as running:
        number = ask(running)
        running.wait(lambda: any("Traceback" in line for line in running.output))
        told = events(running.output)
        assert all({"time", "level", "namespace", "message"} <= one.keys() for one in told)
        assert any(one["message"].startswith("twistd ") for one in told)
        [fault] = [one for one in told if "traceback" in one]
        assert (fault["level"], fault["request_id"]) == ("critical", number)
        assert fault["message"].removeprefix(f"worker {fault.get('worker')}: ") == f"a failed on request {number}"
        assert fault["traceback"].splitlines()[-1] == "builtins.ValueError: https://u:*@h/?* * api_key=*"
        assert ("worker" in fault) is (workers > 1)
        text = "\n".join(running.output)
        assert "hunter" not in text
        assert "eyJ" not in text
        assert any("a * for redis://gw:*@h:1/0" in one["message"] for one in told)
        assert "more" not in [one["message"][-4:] for one in told]


@pytest.mark.parametrize("workers", [1, 2])
def test_text_without_secrets_and_another_form_by_a_reload(directory: Path, workers: int) -> None:
    with gateway(directory, "text", workers=workers) as running:
        number = ask(running)
        running.wait(lambda: any("ValueError" in line for line in running.output))
        text = "\n".join(running.output)
        assert f"a failed on request {number}\n\tTraceback" in text
        assert "\tbuiltins.ValueError: https://u:*@h/?* * api_key=*" in text
        assert "hunter" not in text

        (directory / "gw.ini").write_text(INI.format(form="json", level="debug", workers=workers), "utf-8")
        before = len(running.output)
        running.signal(signal.SIGHUP)
        running.wait(lambda: any("reloaded in" in line for line in running.output[before:]))
        before = len(running.output)

        def more() -> bool:
            """Whether a request leaves a line of level debug: a worker takes a reload when it is told, not before."""
            ask(running)
            return any(one["level"] == "debug" for one in events(running.output[before:]))

        until(more)
        assert [one for one in events(running.output[before:]) if one["message"].endswith("more")]


@contextmanager
def logging_to(log: Path, level: str) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway that listens on gw.sock, from when it does to its end."""
    directory = log.parent
    ini = INI.format(form="json", level=level, workers=1)
    where = directory / "gw.sock"
    (directory / "gw.ini").write_text(ini.replace("tcp:0:interface=127.0.0.1", f"unix:{where}"), "utf-8")
    process = subprocess.Popen(
        [TWISTD, "-n", "--pidfile=", f"--logfile={log}", "apigw", "--config", "gw.ini"],
        cwd=directory,
        env=environment({"PYTHONPATH": str(directory)}),
        stdin=subprocess.DEVNULL,
    )
    try:
        until(where.exists)
        yield process
    finally:
        process.terminate()
        assert process.wait(BOUND) == 0


def test_a_file_of_twistd_and_its_rotation(directory: Path) -> None:
    log, old = directory / "gw.log", directory / "old.log"
    with logging_to(log, "info") as process:
        until(lambda: "[listener:public]" in log.read_text("utf-8"))
        before = events(log.read_text("utf-8").splitlines())
        log.rename(old)
        os.kill(process.pid, signal.SIGUSR1)
        until(log.exists)
    assert events(log.read_text("utf-8").splitlines())[-1]["message"] == "Server Shut Down."
    assert events(old.read_text("utf-8").splitlines()) == before


def test_a_level_holds_from_the_start_on(directory: Path) -> None:
    log = directory / "gw.log"
    with logging_to(log, "error"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(directory / "gw.sock"))
        wire = Wire(client)
        wire.send(HEAD)
        assert wire.answer().status == 500
        until(lambda: "Traceback" in log.read_text("utf-8"))
    told = events(log.read_text("utf-8").splitlines())
    assert [one["level"] for one in told if one["namespace"].startswith(("apigw", "telling"))] == ["critical"]


def test_a_log_that_cannot_be_opened_is_told(directory: Path) -> None:
    (directory / "gw.ini").write_text(INI.format(form="json", level="info", workers=1), "utf-8")
    ended = run(
        "-n",
        "--pidfile=",
        "--logfile=none/gw.log",
        "apigw",
        "--config",
        "gw.ini",
        cwd=directory,
        environ={"PYTHONPATH": str(directory)},
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("--logfile: can't open ")
    assert "No such file or directory" in ended.stderr


# -- slow requests -----------------------------------------------------------------------------------------------------

SLOW = """\
[gateway]
access_log = off
error_log = json
slow_log = {after}
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:a]
urls = http://127.0.0.1:{port}
[route:a]
path = /
service = a
"""


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


def slow(running: Gateway) -> list[dict[str, Any]]:
    return [one for one in events(running.output) if one["namespace"] == "apigw.slow"]


def after_a_while(_: object) -> Reply:
    """An answer that takes more than a millisecond."""
    begun = time.monotonic()
    while time.monotonic() < begun + 0.002:
        pass
    return Reply(200, b"x" * 10)


def test_a_slow_request_says_where_its_time_went(tmp_path: Path) -> None:
    with (
        scripted(after_a_while) as service,
        Gateway(tmp_path, SLOW.format(after="1ms", port=service.port)) as running,
    ):
        answer = fetch(running.port, "/a?token=hunter-1&page=2")
        running.wait(lambda: slow(running))
        [told] = slow(running)
        assert (told["level"], told["request_id"]) == ("warn", answer.text("x-request-id"))
        assert (told["method"], told["path"]) == ("GET", "/a?token=*&page=*")
        assert (told["route"], told["service"], told["peer"]) == ("a", "a", f"127.0.0.1:{service.port}")
        assert (told["status"], told["attempts"]) == (200, 1)
        assert list(told["slow"]) == ["request", "queue", "connect", "first_byte", "body"]
        assert sum(told["slow"].values()) == pytest.approx(told["total_ms"], abs=0.01)
        assert told["slow"]["connect"] > 0.0
        assert told["message"].startswith(f"slow request {told['request_id']}: GET /a?token=*&page=* of a took ")


def test_what_is_not_slow_is_not_told(tmp_path: Path) -> None:
    with (
        scripted(lambda _: Reply(200, b"x")) as service,
        Gateway(tmp_path, SLOW.format(after="1h", port=service.port)) as running,
    ):
        assert fetch(running.port, "/a").status == 200
        running.stop()
        assert slow(running) == []


def test_the_example_can_be_read(tmp_path: Path) -> None:
    [ini] = ini_examples("operations/logs.md")
    config = loads(ini.replace("/var/log/apigw", str(tmp_path)), "gw.ini", {})
    gateway = config.gateway
    assert (gateway.error_log, gateway.log_level, gateway.slow_log) == ("json", "info", 1.0)
