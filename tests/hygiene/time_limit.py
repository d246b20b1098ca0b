"""
A time limit for each test's set-up, call and tear-down: ``@pytest.mark.timeout(seconds)``, else 30 s.

A test that waits for a Deferred is cancelled by the reactor, and its report shows where it waited. Code that never
returns to the reactor is interrupted by SIGALRM.
"""

from __future__ import annotations

import inspect
import signal
from collections.abc import Callable, Iterator
from time import monotonic
from types import FrameType
from typing import Any

import greenlet
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

DEFAULT = 30.0
"""Seconds: the slowest honest test needs a few, on a machine that is busy with other things."""

AGAIN = 1.0
"""Seconds until the next interrupt of code that swallowed one."""


class TimedOut(BaseException):
    """Not an ``Exception``, so that neither the code under test nor hypothesis takes it for a result."""


class TimeLimit:
    """The limit of the phase that runs now."""

    def __init__(self) -> None:
        self._seconds = DEFAULT
        self._ends = 0.0
        self._waiting = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        return (yield from self._limited(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        return (yield from self._limited(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        return (yield from self._limited(item))

    def _limited(self, item: pytest.Item) -> Iterator[None]:
        marker = item.get_closest_marker("timeout")
        self._seconds = float(marker.args[0]) if marker else DEFAULT
        self._ends = monotonic() + self._seconds
        before = signal.signal(signal.SIGALRM, self._alarm)
        signal.setitimer(signal.ITIMER_REAL, self._seconds, AGAIN)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _alarm(self, signum: int, frame: FrameType) -> None:
        """Runs in whatever the process is just doing; once a second until the phase is over."""
        if self._waiting:  # the reactor's own call is due now, too, and tells more
            self._waiting = False
        elif _in_reactor(frame):  # which survives any exception: interrupt the one that waits for it
            reactor.callFromThread(self._interrupt, greenlet.getcurrent().parent, self._ends)
        else:
            raise self._timed_out()

    def _interrupt(self, waiting: greenlet.greenlet, ends: float) -> None:
        if ends == self._ends:
            waiting.throw(self._timed_out())

    def _timed_out(self) -> TimedOut:
        return TimedOut(f"not done after {self._seconds:g} s")

    def run(self, function: Callable[..., Any], *args: Any) -> None:
        """
        Run ``function`` in the reactor and wait for its Deferred, up to the limit.

        It stands in for ``pytest_twisted._run_inline_callbacks``, which each test and each async fixture goes through.
        """
        result: Deferred[Any] = Deferred()
        reactor.callLater(0, self._start, result, function, *args)
        pytest_twisted.blockon(result)

    def _start(self, result: Deferred[Any], function: Callable[..., Any], *args: Any) -> None:
        running = maybeDeferred(function, *args)
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            running.cancel()
            if not result.called:  # it ignores being cancelled
                result.errback(self._timed_out())

        def done(outcome: object) -> None:
            self._waiting = False
            if limit.active():
                limit.cancel()
            if not expired:
                result.callback(outcome)
            elif not result.called:
                result.errback(self._late(outcome))

        limit = reactor.callLater(max(0.0, self._ends - monotonic()), expire)
        self._waiting = True
        running.addBoth(done)

    def _late(self, outcome: object) -> TimedOut:
        """Shows where it waited, when it was cancelled there."""
        timed_out = self._timed_out()
        if isinstance(outcome, Failure):
            timed_out.__cause__ = outcome.value.with_traceback(outcome.getTracebackObject())
        return timed_out


def _in_reactor(frame: FrameType) -> bool:
    """Whether this is the reactor, waiting for events, and no code that it called."""
    name = frame.f_globals.get("__name__", "")
    return greenlet.getcurrent() is pytest_twisted._instances.gr_twisted and (
        name.startswith("twisted.internet.") or name == "apigw.loop"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"timeout(seconds): the limit of a test, {DEFAULT:g} by default")
    limit = TimeLimit()
    config.pluginmanager.register(limit, "time-limit")
    replaced = pytest_twisted._run_inline_callbacks
    pytest_twisted._run_inline_callbacks = limit.run
    config.add_cleanup(lambda: setattr(pytest_twisted, "_run_inline_callbacks", replaced))


def pytest_itemcollected(item: pytest.Item) -> None:
    """An ``async def`` test that lacks pytest-twisted's decorator would pass without having run: give it one."""
    if isinstance(item, pytest.Function):
        function = getattr(item.obj, "hypothesis", None)
        function = function.inner_test if function else inspect.unwrap(item.function)
        if inspect.iscoroutinefunction(function):
            pytest_twisted.ensureDeferred(function)
