"""What fails at the start ends the process with a line that says why and exit status 1; nothing deaf is left."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from twisted.application.service import IServiceCollection, MultiService
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

_log = Logger("apigw")


class Start(MultiService):
    """
    Above what is run: twistd ends with a traceback and status 1 where it can't be started.

    :param observer: of the log, instead of twistd's own; None for that.
    """

    def __init__(self, observer: ILogObserver | None = None) -> None:
        super().__init__()
        self._observer = observer

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """twistd gives it an application, and looks there for the observer."""
        if self._observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)

    def startService(self) -> None:
        try:
            super().startService()
        except Exception as failed:
            _log.critical("can't start: {why}", why=_why(failed))
            raise


def when_running(reactor: Any, do: Callable[[], object]) -> None:
    """Do it as soon as the reactor runs, which by itself would log a failure and go on."""

    def first() -> None:
        try:
            do()
        except Exception as failed:
            _log.failure("can't start: {why}", why=_why(failed))
            end(reactor)

    reactor.callWhenRunning(first)


STOPPING = (signal.SIGTERM, signal.SIGINT)


def when_stopping(reactor: Any, asked: Callable[[int], object]) -> None:
    """
    Have these signals call ``asked`` with their number as soon as the reactor runs, in place of the reactor's own way
    with them, by which twistd ends as if it were killed (exit status 143, not 0). Those that come before wait.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)

    def begin() -> None:
        for number in STOPPING:
            signal.signal(number, lambda number, _: reactor.callFromThread(asked, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    when_running(reactor, begin)


def end(reactor: Any) -> None:
    """Stop in order, with exit status 1."""
    atexit.register(_exit)
    reactor.stop()


def _exit() -> None:
    """twistd has no way to end with another status than 0 once its reactor runs."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(1)


def _why(failed: Exception) -> str:
    return f"{type(failed).__name__}: {failed}"
