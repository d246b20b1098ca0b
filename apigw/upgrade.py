"""SIGUSR2: a new process, with the code of today, takes over the sockets of one that then ends in order."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from apigw.admin.done import PASSED as HANDED
from apigw.admin.done import Handed, handed
from apigw.notify import SILENT, Notify
from apigw.sockets import PASSED as SOCKETS_PASSED
from apigw.sockets import passing

__all__ = ["HANDED", "PASSED", "Followed", "Upgrade", "followed", "handed"]

PASSED = "APIGW_UPGRADE"
"""Variable by which a process knows what it follows."""

READY_WITHIN = 60.0
"""Seconds in which the new process must accept connections."""

NOT_UPGRADED = "not upgraded, all goes on as it was: {why}"

LOOK_EVERY = 0.1
"""Seconds between looks whether the old process has ended."""


class _Successor(ProcessProtocol):
    """
    :ivar ready: fires when it accepts connections; fails when it ends before that.
    :ivar ended: fires when it has ended.
    """

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self.ready: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == self._channel and not self.ready.called:
            self.ready.callback(None)

    def processEnded(self, reason: Failure) -> None:
        if not self.ready.called:
            value: Any = reason.value
            ended = f"signal {value.signal}" if value.signal is not None else f"exit status {value.exitCode}"
            self.ready.errback(RuntimeError(ended))
        self.ended.callback(None)


class Upgrade:
    """
    :param arguments: of twistd, for the new process.
    :param pid_file: of this one, empty for none; the new process writes it when this one has ended.
    :param notify: tells the service manager which process is the main one.
    :ivar under_way: another process is about to follow this one, or has followed.
    """

    _log = Logger()

    def __init__(self, arguments: Sequence[str], pid_file: str, reactor: Any, notify: Notify = SILENT) -> None:
        self._arguments = arguments
        self._pid_file = pid_file
        self._reactor = reactor
        self._notify = notify
        self.under_way = False
        self._successor: _Successor | None = None
        self._taken_over = False
        self._stopping = False
        self._later: set[str] = set()

    def pass_on(self, name: str) -> None:
        """
        Who sends a signal to the gateway means the process that follows, too: it has read the configuration and opened
        the logs already. It gets the signal when it accepts connections.
        """
        if self.under_way and not self._taken_over:
            self._later.add(name)
        elif self.under_way:
            self._signal(name)

    def stop(self) -> Deferred[None]:
        """The gateway is to end, and nobody is to follow. :return: fires when nobody does."""
        if self._successor is None or self._taken_over:
            return succeed(None)
        self._stopping = True
        self._signal("TERM")
        return self._successor.ended

    def _signal(self, name: str) -> None:
        assert self._successor is not None
        with suppress(ProcessExitedAlready):
            cast(Any, self._successor.transport).signalProcess(name)

    def __call__(self, sockets: Mapping[str, list[int]], handed: Handed, follow: Callable[[], object]) -> None:
        """
        Start the new process.

        :param sockets: descriptors by the texts of their endpoints.
        :param handed: what it is told of.
        :param follow: called when it accepts connections; else all goes on as it was.
        """
        if self.under_way:
            return
        self.under_way = True
        told = handed.file()
        descriptors = [told, *(one for several in sockets.values() for one in several)]
        channel = max(*descriptors, 2, 2) + 1
        environ = {name: value for name, value in os.environ.items() if not name.startswith("LISTEN_")}
        environ |= self._notify.environment
        environ[SOCKETS_PASSED] = passing(dict(sockets))
        environ[HANDED] = str(told)
        environ[PASSED] = json.dumps({"ready": channel, "process": os.getpid(), "pid_file": self._pid_file})
        successor = _Successor(channel)
        inherited: dict[int, int | str] = {one: one for one in (0, 1, 2, *descriptors)}
        try:
            process = self._reactor.spawnProcess(
                successor,
                sys.executable,
                [sys.executable, "-m", "apigw.workers", *self._arguments],
                env=environ,
                path=None,
                childFDs={**inherited, channel: "r"},
            )
        except OSError as failed:
            self.under_way = False
            self._log.error(NOT_UPGRADED, why=failed)
            return
        finally:
            os.close(told)
        self._successor = successor
        self._log.info("upgrade: process {pid} is to follow", pid=process.pid)
        timer = self._reactor.callLater(READY_WITHIN, process.signalProcess, "KILL")

        def done(result: object) -> None:
            if timer.active():
                timer.cancel()
            if isinstance(result, Failure):
                self.under_way, self._successor = False, None
                self._later.clear()
                if self._stopping:
                    self._log.info("upgrade: process {pid} has ended, too", pid=process.pid)
                    return
                self._log.error(NOT_UPGRADED, why=result.getErrorMessage())
            else:
                self._log.info("upgrade: process {pid} has taken over", pid=process.pid)
                self._taken_over = True
                for name in sorted(self._later):
                    self._signal(name)
                self._notify.followed_by(process.pid)
                follow()

        successor.ready.addBoth(done)


@frozen
class Followed:
    """
    What this process follows.

    :ivar ready: descriptor to write to when it accepts connections.
    :ivar process: the one before.
    :ivar pid_file: to be written when that one has ended; empty for none.
    """

    ready: int
    process: int
    pid_file: str

    def tell(self, reactor: Any) -> None:
        """Connections are accepted."""
        with suppress(BrokenPipeError):  # it was killed
            os.write(self.ready, b"1")
        os.close(self.ready)
        if self.pid_file:
            self._look(reactor)

    def _look(self, reactor: Any) -> None:
        if os.getppid() == self.process:
            reactor.callLater(LOOK_EVERY, self._look, reactor)
        else:
            path = Path(self.pid_file)
            path.write_text(str(os.getpid()), "ascii")
            reactor.addSystemEventTrigger("after", "shutdown", self._remove, path, os.getpid())

    @staticmethod
    def _remove(path: Path, mine: int) -> None:
        """Unless another one has followed."""
        try:
            if path.read_text("ascii") == str(mine):
                path.unlink()
        except OSError:
            pass


def followed(environ: Mapping[str, str]) -> Followed | None:
    """None where this process follows none."""
    text = environ.get(PASSED)
    if not text:
        return None
    what = Followed(**json.loads(text))
    os.set_inheritable(what.ready, False)
    return what
