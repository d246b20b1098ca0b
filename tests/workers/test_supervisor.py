"""What can't be made to happen at will to workers that are processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from apigw.admin.done import NOTHING
from apigw.config.loader import loads
from apigw.notify import SILENT
from apigw.reload import Source
from apigw.sockets import Sockets
from apigw.upgrade import Upgrade
from apigw.workers.process import WorkerProcess
from apigw.workers.supervisor import Supervisor

TEXT = """\
[gateway]
workers = 2
access_log = off
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:a]
urls = http://127.0.0.1:1
[route:a]
path = /a
service = a
"""


class Told(WorkerProcess):
    """Never started; what it was signalled."""

    def __init__(self, watching: Supervisor, reactor: Any) -> None:
        super().__init__(1, "", watching, reactor)
        self.signals: list[signal.Signals] = []

    def signal(self, number: signal.Signals) -> None:
        self.signals.append(number)


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    reactor = MemoryReactorClock()
    upgrade = Upgrade([], "", reactor)
    source = Source(None, {})
    made = Supervisor(loads(TEXT, "gw.ini", {}), reactor, source, Sockets({}), TEXT, [], upgrade, SILENT, NOTHING)
    yield made
    made._close_rest(None)


@pytest.fixture
def errors() -> Iterator[list[LogEvent]]:
    found: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_level") is LogLevel.error:
            found.append(event)

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


@pytest.mark.parametrize("stopping", [True, False])
def test_a_worker_that_was_told_to_end_while_it_was_told_what_holds(
    supervisor: Supervisor, errors: list[LogEvent], stopping: bool
) -> None:
    worker = Told(supervisor, supervisor._reactor)
    worker.stopping = stopping
    supervisor.ready(worker)  # it has no connection (any more)
    assert worker.signals == ([] if stopping else [signal.SIGKILL])
    assert len(errors) == (not stopping)
    assert not worker.accepts
