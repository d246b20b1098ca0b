"""
What a test leaves in the reactor: pending calls, open connections and listening ports, child processes.

Each test gets a moment to let them close, and fails with their names if they don't. What was there before the test
(fixtures of a module, the reactor's own waker) is no leftover.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import process
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure

BOUND = 2.0
"""Seconds that leftovers get to close: loopback needs milliseconds, a busy machine some more."""

TURN = 0.001
"""Seconds between two looks."""

FAILED = pytest.StashKey[bool]()


class Reactor:
    """What is in the reactor now, beyond what was there at first."""

    def __init__(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self._calls: Counter[Any] = Counter(call.func for call in reactor.getDelayedCalls())
        self._descriptors = set(map(id, self._open()))
        self._kept = self._open()  # their ids stay theirs
        self._processes = set(process.reapProcessHandlers)

    def _open(self) -> list[Any]:
        return [*({*self.reactor.getReaders(), *self.reactor.getWriters()} - self.reactor._internalReaders)]

    def calls(self) -> list[Any]:
        """Pending calls; a longer-lived fixture's repeated call is the same one, though each turn has an object."""
        before = self._calls.copy()
        left = []
        for call in self.reactor.getDelayedCalls():
            if before[call.func]:
                before[call.func] -= 1
            else:
                left.append(call)
        return left

    def descriptors(self) -> list[Any]:
        return [one for one in self._open() if id(one) not in self._descriptors]

    def processes(self) -> list[int]:
        return [pid for pid in process.reapProcessHandlers if pid not in self._processes]

    def clean(self) -> bool:
        return not (self.calls() or self.descriptors() or self.processes())

    def names(self) -> Iterable[str]:
        for call in self.calls():
            yield f"call pending: {call}"
        for descriptor in self.descriptors():
            yield f"still open: {descriptor!r}"
        for pid in self.processes():
            yield f"still running: process {pid}"

    def settled(self) -> Deferred[None]:
        """Fires as soon as all is clean, or once the bound has passed."""
        done: Deferred[None] = Deferred()
        ends = monotonic() + BOUND

        def look() -> None:
            if self.clean() or monotonic() > ends:
                done.callback(None)
            else:
                self.reactor.callLater(TURN, look)

        look()
        return done

    def sweep(self) -> None:
        """Make it clean by force, so that one test's fault isn't found again in the next."""
        for call in self.calls():
            call.cancel()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        for descriptor in self.descriptors():
            self.reactor.removeReader(descriptor)
            self.reactor.removeWriter(descriptor)
            descriptor.connectionLost(Failure(ConnectionAborted()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture(autouse=True)
def _reactor_left_clean(request: pytest.FixtureRequest, logged_errors: object) -> Iterator[None]:
    """Settles before the log is judged, since what ends late may fail late."""
    reactor = Reactor()
    yield
    if request.node.stash.get(FAILED, False):
        reactor.sweep()
        return
    if not reactor.clean():
        pytest_twisted.blockon(reactor.settled())
    names = list(reactor.names())
    reactor.sweep()
    if names:
        pytest.fail("\n  ".join(["the test left in the reactor:", *names]), pytrace=False)
