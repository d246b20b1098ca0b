"""Another process takes over the sockets, or systemd holds them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.wire.gateway import BOUND, TWISTD, environment
from tests.wire.load import PATIENCE, Load
from tests.wire.sockets import Service, Wire, connect
from tests.wire.test_workers import refused, until

INI = """\
[gateway]
workers = {workers}
access_log = off
drain_timeout = 5s
[listener:public]
endpoint = tcp:{port}:interface=127.0.0.1
[listener:local]
endpoint = unix:{directory}/gw.sock
[service:own]
urls = http://127.0.0.1:{service}
[route:own]
path = /own
service = own
"""


def signal_to(process: int, number: signal.Signals) -> None:
    """0 would be all processes around the test's own."""
    assert process > 0
    os.kill(process, number)


class Running:
    """A gateway whose processes follow each other. :ivar port: of its public listener."""

    def __init__(
        self, directory: Path, workers: int, service: int, ini: str = INI, environ: Mapping[str, str] | None = None
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.directory = directory
        self._ini = ini
        self.workers = workers
        self._pid_file = directory / "gw.pid"
        self._values = {"directory": directory, "port": self.port, "service": service}
        self.write(workers)
        self.process = subprocess.Popen(
            [TWISTD, "-n", "--pidfile=gw.pid", "--logfile=gw.log", "apigw", "--config", "gw.ini"],
            cwd=directory,
            env=environment(environ),
            stdin=subprocess.DEVNULL,
        )
        until(lambda: not refused(self.port) and self.pid)  # it listens before twistd writes the file
        wire = connect(self.port)
        wire.send(b"GET /version HTTP/1.1\r\nHost: h\r\n\r\n")
        assert wire.answer().status == 200  # and before it takes signals
        wire.close()

    def write(self, workers: int, more: str = "") -> None:
        text = self._ini.format(workers=workers, **self._values)
        (self.directory / "gw.ini").write_text(text + more, encoding="utf-8")

    @property
    def log(self) -> str:
        return (self.directory / "gw.log").read_text("utf-8")

    @property
    def pid(self) -> int:
        """Of whoever is in charge; 0 for nobody."""
        try:
            return int(self._pid_file.read_text("ascii"))
        except (OSError, ValueError):
            return 0

    def upgrade(self) -> None:
        """Returns when the process before has ended."""
        before = self.pid
        signal_to(before, signal.SIGUSR2)
        until(lambda: self.pid not in (0, before))

    def stop(self) -> None:
        if self.pid:
            signal_to(self.pid, signal.SIGTERM)
        until(lambda: self.pid == 0)
        self.process.wait(BOUND)


@pytest.fixture(params=[1, 2])
def running(request: pytest.FixtureRequest, directory: Path, own_service: Service) -> Iterator[Running]:
    running = Running(directory, request.param, own_service.port)
    yield running
    running.stop()
    assert "Traceback" not in running.log


def test_no_request_fails_while_processes_follow_each_other(running: Running) -> None:
    with Load(running.port) as load:
        load.more(50)
        first = running.pid
        for _ in range(2):
            running.upgrade()
            load.more(50)
    assert set(load.seen) == {"200"}
    assert running.process.wait(BOUND) == 0
    assert running.pid != first
    with socket.socket(socket.AF_UNIX) as local:
        local.connect(str(running.directory / "gw.sock"))


def followed_within_a_request(running: Running, own_service: Service) -> tuple[Wire, Wire]:
    """:return: the client's side of a request that the process before has under way, and the service's."""
    wire = connect(running.port)
    wire.send(b"GET /own HTTP/1.1\r\nHost: h\r\n\r\n")
    there = own_service.accept()
    there.request()
    signal_to(running.pid, signal.SIGUSR2)
    until(lambda: "has taken over" in running.log)
    return wire, there


def test_a_request_under_way_is_answered_by_the_process_that_began_it(running: Running, own_service: Service) -> None:
    before = running.pid
    wire, there = followed_within_a_request(running, own_service)
    after = connect(running.port)
    after.send(b"GET /version HTTP/1.1\r\nHost: h\r\n\r\n")
    assert after.answer().status == 200
    there.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert wire.answer().status == 200
    assert wire.ended()  # told by the answer, or as soon as its worker is told to stop
    wire.close()
    after.close()
    until(lambda: running.pid not in (0, before))


def test_who_reloads_or_rotates_by_the_old_processs_number_means_the_next_one(
    running: Running, own_service: Service
) -> None:
    before = running.pid
    wire, there = followed_within_a_request(running, own_service)
    running.write(running.workers, "[route:closed]\npath = /closed\nservice = own\nmaintenance = 5s\n")
    (running.directory / "gw.log").rename(running.directory / "gw.log.1")
    assert running.pid == before
    signal_to(before, signal.SIGHUP)
    until(lambda: (running.directory / "gw.log").exists() and "reloaded in" in running.log)
    after = connect(running.port)
    after.send(b"GET /closed HTTP/1.1\r\nHost: h\r\n\r\n")
    assert after.answer().status == 503
    there.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert wire.answer().status == 200
    wire.close()
    after.close()
    until(lambda: running.pid not in (0, before))


def test_a_stop_before_the_next_process_is_ready_ends_both(running: Running) -> None:
    signal_to(running.pid, signal.SIGUSR2)
    until(lambda: "is to follow" in running.log)
    running.stop()
    assert running.process.returncode == 0
    assert refused(running.port)
    assert "not upgraded" not in running.log


def test_a_successor_that_cant_start_changes_nothing(running: Running) -> None:
    before = running.pid
    running.write(1, "[rubbish]\n")
    signal_to(before, signal.SIGUSR2)
    until(lambda: "not upgraded" in running.log)
    assert running.pid == before
    wire = connect(running.port)
    wire.send(b"GET /version HTTP/1.1\r\nHost: h\r\n\r\n")
    assert wire.answer().status == 200
    wire.close()


def test_the_number_of_workers_changes_by_an_upgrade(running: Running) -> None:
    with Load(running.port, clients=4) as load:
        for workers in (3, 1):
            running.write(workers)
            running.upgrade()
            load.more(20)
    assert set(load.seen) == {"200"}


OPERATED = """\
[gateway]
workers = {workers}
access_log = off
[listener:public]
endpoint = tcp:{port}:interface=127.0.0.1
[admin]
endpoint = unix:{directory}/admin.sock
[jwt]
secret_env = THE_SECRET
[service:own]
urls = http://127.0.0.1:9001, http://127.0.0.1:9002
[service:closed]
urls = http://127.0.0.1:9001
[route:own]
path = /own
service = own
auth = required
[route:closed]
path = /closed
service = closed
"""


def operator(running: Running, method: str, path: str, body: object = None, status: int = 200) -> Any:
    """:return: what the admin listener answers."""
    with socket.socket(socket.AF_UNIX) as made:
        made.connect(str(running.directory / "admin.sock"))
        wire = Wire(made)
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        wire.send(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        answer = wire.answer()
    assert answer.status == status, answer
    return json.loads(answer.body)


@pytest.fixture
def operated(request: pytest.FixtureRequest, directory: Path) -> Iterator[Running]:
    running = Running(directory, request.param, 9, OPERATED, {"THE_SECRET": "s" * 40})
    yield running
    running.stop()
    assert "Traceback" not in running.log


@pytest.mark.parametrize(("operated", "workers"), [(1, (1,)), (2, (1, 2))], indirect=["operated"])
def test_what_operators_did_and_revoked_holds_in_the_next_process(operated: Running, workers: tuple[int, ...]) -> None:
    peer = {"service": "own", "peer": "127.0.0.1:9001"}
    operator(operated, "POST", "/api/peers", {**peer, "action": "drain"})
    operator(operated, "POST", "/api/breakers", {"service": "own", "peer": "127.0.0.1:9002", "action": "open"})
    operator(operated, "POST", "/api/maintenance", {"on": True, "service": "closed", "for": "10m"})
    operator(operated, "POST", "/api/maintenance", {"on": True, "route": "own"})
    operator(operated, "POST", "/api/maintenance", {"on": False, "route": "own"})
    operator(operated, "POST", "/api/revocations", {"jti": "é\n", "expires": 4e9}, 201)
    for number in workers:
        operated.write(number)
        operated.upgrade()
        peers = {
            one["name"]: one for one in operator(operated, "GET", "/api/peers")["peers"] if one["service"] == "own"
        }
        assert peers["127.0.0.1:9001"]["drained"]
        assert not peers["127.0.0.1:9002"]["drained"]
        assert peers["127.0.0.1:9002"]["breaker"] == "forced_open"
        closed = operator(operated, "GET", "/api/maintenance")
        assert (closed["services"], closed["routes"]) == ({"closed": 600.0}, {})
        assert [one["jti"] for one in operator(operated, "GET", "/api/revocations")["revocations"]] == ["é\n"]


@pytest.mark.parametrize("operated", [1, 2], indirect=True)
def test_nothing_is_changed_that_the_next_process_would_not_know(operated: Running) -> None:
    peer = {"service": "own", "peer": "127.0.0.1:9001", "action": "drain"}
    user = {"sub": "7", "expires": 4e9}
    before, config = operated.pid, operated.directory / "gw.ini"
    text = config.read_bytes()
    config.unlink()
    os.mkfifo(config)  # whoever opens it waits
    signal_to(before, signal.SIGUSR2)
    until(lambda: "is to follow" in operated.log)
    assert operator(operated, "POST", "/api/peers", peer, 503)["code"] == "upgrading"
    assert operator(operated, "POST", "/api/revocations", user, 503)["code"] == "upgrading"
    assert operator(operated, "POST", "/api/reload", None, 503)["code"] == "upgrading"
    config.write_bytes(text)
    until(lambda: operated.pid not in (0, before))
    operator(operated, "POST", "/api/peers", peer)
    operator(operated, "POST", "/api/revocations", user, 201)


LAUNCHER = """\
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[1], sys.argv[1:])
"""
"""What systemd does: it knows the number of the process before the program runs."""


@pytest.mark.parametrize("endpoint", ["systemd:domain=INET:index=0", "systemd:domain=INET:name=public"])
@pytest.mark.parametrize("workers", [1, 2])
def test_sockets_of_systemd_outlive_the_process(directory: Path, endpoint: str, workers: int) -> None:
    text = f"[gateway]\nworkers = {workers}\naccess_log = off\n[listener:public]\nendpoint = {endpoint}\n"
    (directory / "gw.ini").write_text(text, encoding="utf-8")
    command = [sys.executable, "-c", LAUNCHER, str(TWISTD), "-n", "--pidfile=", "apigw", "--config", "gw.ini"]
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        port = listening.getsockname()[1]

        def start() -> subprocess.Popen[bytes]:
            # The socket is number 3, as of systemd; the shell's redirection puts it there.
            shell = f'exec "$@" 3<&{listening.fileno()}'
            return subprocess.Popen(
                ["bash", "-c", shell, "-", *command],
                cwd=directory,
                env=environment({"LISTEN_FDS": "1", "LISTEN_FDNAMES": "public"}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[listening.fileno()],
            )

        with Load(port, clients=4) as load:
            first = start()
            load.more(50)
            first.terminate()
            assert first.wait(PATIENCE) == 0
            second = start()
            load.more(50)
        second.terminate()
        assert second.wait(PATIENCE) == 0
    assert set(load.seen) == {"200"}
