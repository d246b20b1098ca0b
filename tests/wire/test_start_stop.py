"""How the gateway starts, how it says that it can't, and how it ends."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from apigw.web.site import QUIET
from tests.wire.conftest import INI
from tests.wire.gateway import BOUND, Gateway, run
from tests.wire.sockets import Cut, Service, connect

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

LIKE_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""For root, who reads everything."""


def soon(true: Callable[[], object]) -> None:
    """Wait for what another process does to a file."""
    ends = time.monotonic() + BOUND
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.002)


def answered(gateway: Gateway, service: Service) -> int:
    """Send a request, have it answered. :return: the status."""
    wire = connect(gateway.port)
    wire.send(GET)
    there = service.accept()
    there.request()
    there.send(OK)
    status = wire.answer().status
    wire.close()
    return status


def test_a_daemon_has_a_pid_file_and_a_log(directory: Path, own_service: Service) -> None:
    (directory / "gw.ini").write_text(
        INI.format(port=own_service.port).replace("access_log = -", "access_log = access")
    )
    started = run("--pidfile=gw.pid", "--logfile=gw.log", "apigw", "--config", "gw.ini", cwd=directory)
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
    pid = int((directory / "gw.pid").read_text())
    ended = os.pidfd_open(pid)
    log = (directory / "gw.log").read_text()
    port = int(log.partition("port=")[2].partition(")")[0])
    wire = connect(port)
    wire.send(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
    assert wire.answer().status == 200
    wire.close()
    os.kill(pid, signal.SIGTERM)
    assert select.select([ended], [], [], BOUND)[0]
    os.close(ended)
    assert not (directory / "gw.pid").exists()
    assert "Traceback" not in (directory / "gw.log").read_text()
    [line] = (directory / "access").read_text().splitlines()
    assert json.loads(line)["path"] == "/health"


@pytest.mark.parametrize("daemon", [False, True])
def test_a_taken_port_is_one_line_and_no_daemon(directory: Path, daemon: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        (directory / "gw.ini").write_text(INI.format(port=9).replace("tcp:0:interface=127.0.0.1", endpoint))
        how = ["--pidfile=gw.pid", "--logfile=gw.log"] if daemon else ["-n", "--pidfile="]
        started = run(*how, "apigw", "--config", "gw.ini", cwd=directory)
    assert started.returncode == 1
    assert started.stderr == f"[listener:public] endpoint: {endpoint}: Address already in use\n"
    assert not (directory / "gw.pid").exists()


@pytest.mark.parametrize(
    ("config", "lines"),
    [
        (None, ["gw.ini: can't be read: No such file or directory"]),
        ("[gateway]\nmax_body = \xff\n".encode("latin-1"), ["gw.ini:2: holds the byte 0xff"]),
        (b"[gateway]\naccess_log = nowhere/access\n", ["gw.ini:2: [gateway] access_log: "]),
        (
            b"[listener:a]\nendpoint = tcp:0:interface=192.0.2.1\n",
            ["[listener:a] endpoint: tcp:0:interface=192.0.2.1: "],
        ),
        (
            b"[listener:a]\nendpoint = unix:nowhere/socket\n",
            ["[listener:a] endpoint: unix:nowhere/socket: No such file"],
        ),
        (
            b"[gateway]\ntimout = 3\n[route:x]\npath = /\nservice = nope\n[what]\n",
            [
                "gw.ini:2: [gateway] timout: unknown key",
                "gw.ini:5: [route:x] service: there is no [service:nope]",
                "gw.ini:6: [what]",
            ],
        ),
    ],
)
def test_what_it_cannot_start_with_is_told_line_by_line(
    directory: Path, config: bytes | None, lines: list[str]
) -> None:
    if config is not None:
        (directory / "gw.ini").write_bytes(config)
    started = run("--pidfile=gw.pid", "--logfile=gw.log", "apigw", "--config", "gw.ini", cwd=directory)
    assert started.returncode == 1
    said = started.stderr.splitlines()
    assert len(said) == len(lines), started.stderr
    for have, want in zip(said, lines, strict=True):
        assert have.startswith(want)
    assert not (directory / "gw.pid").exists()


def test_an_unreadable_file_is_one_line(directory: Path) -> None:
    (directory / "gw.ini").touch(0o000)
    started = run("-n", "--pidfile=", "apigw", "--config", "gw.ini", cwd=directory, through=LIKE_ANYBODY)
    assert (started.returncode, started.stderr) == (1, "gw.ini: can't be read: Permission denied\n")


def test_check_listens_nowhere(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        (directory / "gw.ini").write_text(INI.format(port=9).replace("tcp:0:interface=127.0.0.1", endpoint))
        checked = run("apigw", "--config", "gw.ini", "--check", cwd=directory)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "gw.ini: ok\n", "")
    assert [path.name for path in directory.iterdir()] == ["gw.ini"]


def test_the_environment_alone_runs_it(directory: Path, own_service: Service) -> None:
    environ = {"USER_SERVICE_URL": f"http://127.0.0.1:{own_service.port}", "PORT": "0"}
    with Gateway(directory, None, environ=environ) as gateway:
        wire = connect(gateway.port)
        wire.send(b"GET /api/v1/user/42?full=1 HTTP/1.1\r\nHost: h\r\n\r\n")
        there = own_service.accept()
        assert there.request().first == b"GET /api/user/42?full=1 HTTP/1.1"
        there.send(OK)
        answer = wire.answer()
        assert answer.body == b"hi"
        assert gateway.line(answer.text("x-request-id"))["service"] == "user"
        wire.close()


# -- the end ---------------------------------------------------------------------------------------------------------


def test_a_stop_waits_for_the_request_in_flight(directory: Path, own_service: Service) -> None:
    with Gateway(directory, INI.format(port=own_service.port)) as gateway:
        idle, busy = connect(gateway.port), connect(gateway.port)
        busy.send(GET)
        there = own_service.accept()
        there.request()
        gateway.signal(signal.SIGTERM)
        assert idle.ended()
        with pytest.raises(ConnectionRefusedError):
            connect(gateway.port)
        there.send(OK)
        answer = busy.answer()
        assert (answer.status, answer.body) == (200, b"hi")
        assert answer.one(b"connection") == b"close"
        assert busy.ended()
        assert gateway.ends() == 0
        assert gateway.line(answer.text("x-request-id"))["error"] is None


@pytest.mark.parametrize("workers", [1, 2])
def test_it_may_be_stopped_as_soon_as_it_says_that_it_listens(directory: Path, workers: int) -> None:
    ini = INI.format(port=9).replace("[gateway]\n", f"[gateway]\nworkers = {workers}\n")
    with Gateway(directory, ini) as gateway:
        gateway.signal(signal.SIGTERM)
        assert gateway.ends() == 0


def test_a_stop_loses_no_request_that_came_while_the_process_had_no_time(directory: Path, own_service: Service) -> None:
    with Gateway(directory, INI.format(port=own_service.port)) as gateway:
        idle, last = connect(gateway.port), connect(gateway.port)
        for wire in (idle, last):
            wire.send(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
            assert wire.answer().all(b"connection") == []
        gateway.signal(signal.SIGTERM)
        gateway.wait(lambda: any("SIGTERM: drain" in line for line in gateway.output))
        told: list[bytes] = []
        while told != [b"close"]:  # from then on it drains
            last.send(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
            told = last.answer().all(b"connection")
        gateway.signal(signal.SIGSTOP)
        idle.send(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
        time.sleep(1.5 * QUIET)  # what goes by is what is tested
        gateway.signal(signal.SIGCONT)
        assert idle.answer().one(b"connection") == b"close"
        idle.close()
        last.close()
        assert gateway.ends() == 0


def test_a_stop_does_not_wait_longer_than_it_may(directory: Path, own_service: Service) -> None:
    config = INI.format(port=own_service.port).replace("[gateway]", "[gateway]\ndrain_timeout = 50ms")
    with Gateway(directory, config) as gateway:
        wire = connect(gateway.port)
        wire.send(GET)
        there = own_service.accept()
        request_id = there.request().text("x-request-id")
        gateway.signal(signal.SIGTERM)
        assert not wire.ended()
        there.gone()
        assert gateway.ends() == 0
        assert gateway.line(request_id)["error"] == "shutting-down"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_asks_twice_does_not_wait(directory: Path, own_service: Service, number: signal.Signals) -> None:
    with Gateway(directory, INI.format(port=own_service.port)) as gateway:
        idle, wire = connect(gateway.port), connect(gateway.port)
        wire.send(GET)
        there = own_service.accept()
        there.request()
        gateway.signal(number)
        assert idle.ended()
        gateway.signal(number)
        with pytest.raises(Cut):
            wire.answer()
        there.gone()
        assert gateway.ends() == 0


# -- the access log --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_rotated_access_log_loses_no_line(directory: Path, own_service: Service, number: signal.Signals) -> None:
    config = INI.format(port=own_service.port).replace("access_log = -", "access_log = access")
    access = directory / "access"
    with Gateway(directory, config) as gateway:
        wire = connect(gateway.port)
        count = 0
        for turn in range(4):
            for _ in range(20):
                wire.send(b"GET /health?%d HTTP/1.1\r\nHost: h\r\n\r\n" % count)
                wire.answer()
                count += 1
            if turn < 3:
                access.rename(directory / f"access.{turn}")
                gateway.signal(number)
                soon(access.exists)
        wire.close()
    parts = [directory / "access.0", directory / "access.1", directory / "access.2", access]
    lines = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    assert len(lines) == count == len({line["request_id"] for line in lines})
    assert all(part.stat().st_size for part in parts)
    assert access.stat().st_mode & 0o777 == 0o640


FAULT = """\
import importlib, os

module, name, method = os.environ["FAULT"].split(":")

def fail(*_):
    raise OSError(28, "No space left on device")

setattr(getattr(importlib.import_module(module), name), method, fail)
"""
"""As sitecustomize.py: makes a method fail that should not."""


@pytest.mark.parametrize(
    ("workers", "fault"),
    [
        (1, "apigw.doors:Doors:start"),
        (2, "apigw.doors:Doors:start"),
        (2, "apigw.workers.supervisor:Supervisor:_resize"),
        (2, "apigw.wiring:Wiring:commit"),
    ],
)
def test_a_start_that_fails_is_told_and_leaves_nothing_deaf(directory: Path, workers: int, fault: str) -> None:
    (directory / "sitecustomize.py").write_text(FAULT)
    (directory / "gw.ini").write_text(INI.format(port=9).replace("[gateway]", f"[gateway]\nworkers = {workers}"))
    environ = {"FAULT": fault, "PYTHONPATH": os.fspath(directory)}
    started = run("-n", "--pidfile=gw.pid", "apigw", "--config", "gw.ini", cwd=directory, environ=environ)
    assert started.returncode == 1
    assert "can't start: OSError: [Errno 28] No space left on device" in started.stdout
    assert not (directory / "gw.pid").exists()


def test_a_daemon_that_cant_start_says_so_where_it_was_started(directory: Path) -> None:
    (directory / "sitecustomize.py").write_text(FAULT)
    (directory / "gw.ini").write_text(INI.format(port=9))
    environ = {"FAULT": "apigw.doors:Doors:start", "PYTHONPATH": os.fspath(directory)}
    how = ["--pidfile=gw.pid", "--logfile=gw.log"]
    started = run(*how, "apigw", "--config", "gw.ini", cwd=directory, environ=environ)
    assert started.returncode == 1
    assert "No space left on device" in started.stdout + started.stderr
    assert not (directory / "gw.pid").exists()
