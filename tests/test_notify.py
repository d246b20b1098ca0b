"""What is told to a service manager, over real datagram sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from time import CLOCK_MONOTONIC, clock_gettime_ns

import pytest
from attrs import frozen
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from apigw.notify import AGAIN_AFTER, MARGIN, MAX_STATUS, SILENT, Notify


@frozen
class Heard:
    """:ivar name: for ``NOTIFY_SOCKET``."""

    socket: socket.socket
    name: str

    def all(self) -> list[str]:
        """The datagrams since the last look."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture(params=["path", "abstract"])
def heard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Heard]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@apigw-{os.getpid()}-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        listening.setblocking(False)
        yield Heard(listening, name)


def notify(heard: Heard, clock: Clock, **more: str) -> Notify:
    return Notify({"NOTIFY_SOCKET": heard.name, "HOME": "/", **more}, clock)


def test_a_life(heard: Heard) -> None:
    one = notify(heard, Clock())
    one.ready("accepts connections")
    one.status("a\n  b")
    before = clock_gettime_ns(CLOCK_MONOTONIC) // 1000
    one.reloading()
    one.reloaded("")
    one.reloaded("[x] y: bad\n")
    one.stopping(1.5)
    one.close()
    *first, reloading, done, refused, stopping = heard.all()
    assert first == ["READY=1\nSTATUS=accepts connections", "STATUS=a b"]
    head, _, moment = reloading.partition("=1\nMONOTONIC_USEC=")
    assert head == "RELOADING"
    assert before <= int(moment) <= clock_gettime_ns(CLOCK_MONOTONIC) // 1000
    assert done == "READY=1\nSTATUS=reloaded"
    assert refused == "READY=1\nSTATUS=not reloaded: [x] y: bad"
    assert stopping == f"STOPPING=1\nEXTEND_TIMEOUT_USEC={round((1.5 + MARGIN) * 1e6)}\nSTATUS=drains"


@pytest.mark.parametrize("pid", [None, os.getpid()])
def test_the_watchdog_is_fed_twice_in_its_time(heard: Heard, pid: int | None) -> None:
    clock = Clock()
    more = {} if pid is None else {"WATCHDOG_PID": str(pid)}
    one = notify(heard, clock, WATCHDOG_USEC="3000000", **more)
    clock.advance(10.0)
    assert heard.all() == []  # it isn't ready
    one.ready("")
    assert heard.all() == ["READY=1\nSTATUS=", "WATCHDOG=1"]
    clock.advance(1.4)
    assert heard.all() == []
    clock.advance(0.1)
    clock.advance(1.5)
    assert heard.all() == ["WATCHDOG=1", "WATCHDOG=1"]
    one.close()
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"},
    ],
)
def test_no_watchdog_is_fed_that_isnt_there_or_waits_for_another(heard: Heard, more: dict[str, str]) -> None:
    clock = Clock()
    one = notify(heard, clock, **more)
    one.ready("")
    assert clock.getDelayedCalls() == []
    assert heard.all() == ["READY=1\nSTATUS="]
    one.close()


def test_what_the_manager_has_no_time_for_is_told_later_in_its_order(heard: Heard) -> None:
    clock = Clock()
    one = notify(heard, clock, WATCHDOG_USEC="2000000")
    one.ready("")
    told = [f"STATUS={number}" for number in range(500)]
    for number in range(500):
        one.status(str(number))
    clock.advance(1.0)  # the watchdog is no news while other things wait
    got = heard.all()
    assert 2 < len(got) < 500  # the kernel's queue was full
    while clock.getDelayedCalls() and len(got) < 502:
        clock.advance(AGAIN_AFTER)
        got += heard.all()
    one.close()
    assert [line for line in got if line != "WATCHDOG=1"] == ["READY=1\nSTATUS=", *told]


def test_the_next_process_becomes_the_main_one(heard: Heard) -> None:
    clock = Clock()
    one = notify(heard, clock, WATCHDOG_USEC="2000000", WATCHDOG_PID=str(os.getpid()))
    one.ready("")
    assert one.environment == {"NOTIFY_SOCKET": heard.name, "WATCHDOG_USEC": "2000000"}
    heard.all()
    one.followed_by(77)
    clock.advance(5.0)
    one.stopping(1.0)
    assert heard.all() == ["MAINPID=77\nWATCHDOG=1"]
    one.close()


def test_a_long_status_ends_at_a_whole_character(heard: Heard) -> None:
    one = notify(heard, Clock())
    one.status("x" + "é" * MAX_STATUS)
    assert heard.all() == ["STATUS=x" + "é" * ((MAX_STATUS - 1) // 2)]
    one.close()


def test_a_manager_that_is_gone_is_one_warning(tmp_path: Path) -> None:
    lines: list[str] = []

    def observer(event: object) -> None:
        assert isinstance(event, dict)
        lines.append(str(event["log_format"]))

    globalLogPublisher.addObserver(observer)
    one = Notify({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, Clock())
    one.ready("")
    one.stopping(1.0)
    globalLogPublisher.removeObserver(observer)
    assert [line for line in lines if "NOTIFY_SOCKET" in line] == [lines[0]]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as late:
        late.bind(str(tmp_path / "nobody"))
        one.status("there again")
        assert late.recv(100) == b"STATUS=there again"
    one.close()


def test_without_a_manager_nothing_is_done() -> None:
    SILENT.ready("")
    SILENT.reloading()
    SILENT.stopping(1.0)
    SILENT.close()
    assert SILENT.environment == {}
