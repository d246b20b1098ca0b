"""What systemd is told by a gateway that it runs, and what the gateway does with what systemd passes on."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Condition, Thread
from time import monotonic

import pytest

from tests.wire.gateway import BOUND, Gateway

INI = """\
[gateway]
workers = {workers}
access_log = off
drain_timeout = 2s
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:shop]
urls = http://127.0.0.1:9
[route:shop]
path = /shop
service = shop
"""

WATCHDOG = 0.4
"""Seconds that the watchdog waits."""


class Manager:
    """
    systemd's end of the socket.

    :ivar told: datagrams with the process that sent each, and when, in monotonic seconds.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(str(path))
        self.environ = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": str(round(WATCHDOG * 1e6))}
        self.told: list[tuple[str, int, float]] = []
        self._changed = Condition()
        self._thread = Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        while True:
            data, extra, *_ = self._socket.recvmsg(4096, socket.CMSG_SPACE(12))
            if not data:
                return
            [(_, kind, credentials)] = extra
            assert kind == socket.SCM_CREDENTIALS
            with self._changed:
                self.told.append((data.decode(), int.from_bytes(credentials[:4], "little"), monotonic()))
                self._changed.notify_all()

    def lines(self) -> list[str]:
        """But for the watchdog's."""
        return [line for line, _, _ in self.told if line != "WATCHDOG=1"]

    def processes(self) -> set[int]:
        return {process for _, process, _ in self.told}

    def meals(self) -> list[float]:
        return [moment for line, _, moment in self.told if "WATCHDOG=1" in line]

    def hears(self, until: Callable[[], object], seconds: float = BOUND) -> bool:
        """Wait for it. :return: whether it came about."""
        with self._changed:
            return bool(self._changed.wait_for(until, seconds))

    def wait(self, until: Callable[[], object]) -> None:
        assert self.hears(until), self.told

    def told_of(self, part: str) -> None:
        """Wait for a line."""
        self.wait(lambda: any(part in line for line in self.lines()))

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self.environ["NOTIFY_SOCKET"])
        self._thread.join(BOUND)
        self._socket.close()


@pytest.fixture
def manager(directory: Path) -> Iterator[Manager]:
    manager = Manager(directory / "notify")
    yield manager
    manager.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_start_reloads_and_stop_are_told(directory: Path, manager: Manager, workers: int) -> None:
    ini = INI.format(workers=workers)
    with Gateway(directory, ini, environ=manager.environ) as gateway:
        manager.told_of("READY=1")
        before = len(manager.lines())
        gateway.signal(signal.SIGHUP)
        manager.told_of("STATUS=reloaded")
        (directory / "gw.ini").write_text(ini.replace("service = shop", "service = ship"), encoding="utf-8")
        gateway.signal(signal.SIGHUP)
        manager.told_of("not reloaded")
        pid = gateway.pid
    accepts = {1: "accepts connections", 2: "2 of 2 workers accept connections"}[workers]
    assert f"READY=1\nSTATUS={accepts}" in manager.lines()[:before]
    reloading, done, again, refused, stopping = manager.lines()[-5:]
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert done == "READY=1\nSTATUS=reloaded"
    assert again.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert refused.startswith("READY=1\nSTATUS=not reloaded: ")
    assert "gw.ini:11: [route:shop] service: there is no [service:ship]" in refused
    assert stopping.startswith("STOPPING=1\nEXTEND_TIMEOUT_USEC=")
    assert manager.processes() == {pid}  # workers have nothing to say


@pytest.mark.parametrize("workers", [1, 2])
def test_the_watchdog_is_fed_while_the_loop_turns(directory: Path, manager: Manager, workers: int) -> None:
    with Gateway(directory, INI.format(workers=workers), environ=manager.environ) as gateway:
        manager.wait(lambda: len(manager.meals()) >= 5)
        pauses = [later - earlier for earlier, later in zip(manager.meals(), manager.meals()[1:], strict=False)]
        assert min(pauses) > WATCHDOG / 4
        gateway.signal(signal.SIGSTOP)  # a loop that doesn't turn, as seen from outside
        stopped = len(manager.meals())
        assert not manager.hears(lambda: len(manager.meals()) > stopped + 1, 3 * WATCHDOG)
        gateway.signal(signal.SIGCONT)
        manager.wait(lambda: len(manager.meals()) > stopped + 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_process_that_follows_becomes_the_main_one(directory: Path, manager: Manager, workers: int) -> None:
    with Gateway(directory, INI.format(workers=workers), environ=manager.environ) as gateway:
        manager.told_of("READY=1")
        first = gateway.pid
        gateway.signal(signal.SIGUSR2)
        manager.told_of("MAINPID=")
        [line] = [line for line in manager.lines() if "MAINPID=" in line]
        second = int(line.partition("MAINPID=")[2].split()[0])
        manager.wait(lambda: any(line == "WATCHDOG=1" and process == second for line, process, _ in manager.told))
        os.kill(second, signal.SIGTERM)
        manager.told_of("STOPPING=1")
        assert gateway.ends() == 0
    assert manager.processes() == {first, second}
    assert [process for line, process, _ in manager.told if "STOPPING=1" in line] == [second]


def test_what_the_watchdog_ends_says_where_it_was(directory: Path) -> None:
    unit = (Path(__file__).parents[2] / "etc/systemd/apigw.service").read_text("utf-8")
    [variables] = [line.removeprefix("Environment=") for line in unit.splitlines() if line.startswith("Environment=")]
    environ = dict(pair.split("=") for pair in variables.split())
    with Gateway(directory, INI.format(workers=1), environ=environ) as gateway:
        gateway.signal(signal.SIGABRT)
        gateway.wait(lambda: any("in runApp" in line for line in gateway.output))
        assert any("Fatal Python error: Aborted" in line for line in gateway.output)
        gateway.kill()
