"""
Errors that only the log knows: failures logged, and those of Deferreds that nobody looked at.

A test that causes one on purpose takes it out: ``[event] = logged_errors.flush(ValueError)``.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from tests.hygiene.leftovers import FAILED

LOST = "Unhandled error in Deferred:"
"""Twisted logs this title by itself, and then the failure in an event without a text."""


class LoggedErrors:
    """The critical events of the log, since the last look."""

    def __init__(self) -> None:
        self._events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        bad = event.get("log_level") is LogLevel.critical or event.get("isError")
        if bad and event.get("log_format") != LOST:
            self._events.append(event)

    def flush(self, *kinds: type[BaseException]) -> list[LogEvent]:
        """
        Take out the events whose ``log_failure`` is of one of these kinds; all events, when no kind is named.

        Deferreds whose errors nobody looked at are in it, as far as nothing refers to them any more.
        """
        gc.collect()
        taken = [event for event in self._events if not kinds or _is(event, kinds)]
        self._events = [event for event in self._events if event not in taken]
        return taken


def _is(event: LogEvent, kinds: tuple[type[BaseException], ...]) -> bool:
    failure = event.get("log_failure")
    return failure is not None and bool(failure.check(*kinds))


def _told(event: LogEvent) -> str:
    failure = event.get("log_failure")
    return "\n".join([formatEvent(event) or LOST, *([failure.getTraceback()] if failure else [])])


def _fail_for(left: list[LogEvent]) -> None:
    pytest.fail("\n".join(["errors were logged, or nobody looked at them:", *map(_told, left)]), pytrace=False)


@pytest.fixture(scope="session")
def _error_observer() -> Iterator[LoggedErrors]:
    observer = LoggedErrors()
    globalLogPublisher.addObserver(observer)
    yield observer
    globalLogPublisher.removeObserver(observer)


@pytest.fixture(autouse=True, scope="module")
def _nothing_lost_in_the_module(_error_observer: LoggedErrors) -> Iterator[None]:
    """
    Collections of everything take 50 ms and more, so those after each test leave out what was there before it.

    What they can't see, such as errors that a fixture's value held, is found at the end of the file.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    if left := _error_observer.flush():
        _fail_for(left)


@pytest.fixture(autouse=True)
def logged_errors(
    request: pytest.FixtureRequest, _error_observer: LoggedErrors, _nothing_lost_in_the_module: None
) -> Iterator[LoggedErrors]:
    """The errors logged while the test runs; those that it doesn't flush fail it."""
    yield _error_observer
    left = _error_observer.flush()
    gc.freeze()
    if left and not request.node.stash.get(FAILED, False):
        _fail_for(left)
