"""
Writes lines to a file, a stream or syslog from a thread of its own, so that a slow disk never stops the reactor.

Lines are gathered and handed over ten times a second; when the disk can't keep up, lines are dropped and counted, for
memory has a bound and requests don't wait for their log.
"""

from __future__ import annotations

import os
import stat
import sys
import syslog
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from select import PIPE_BUF
from threading import Thread
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

FLUSH_EVERY = 0.1
"""Seconds a line waits at most before it is handed to the thread."""

FLUSH_SIZE = 65536
"""Bytes that are handed over at once."""

MAX_WAITING = 16 * 1024 * 1024
"""Bytes that may wait for the disk; what comes on top is dropped."""

CLOSE_WAIT = 5.0
"""Seconds that :meth:`LineWriter.close` waits for the disk."""


class Target(Protocol):
    """Where lines end up; called in the writer's thread only."""

    def write(self, data: bytes) -> None:
        """:raises OSError: it couldn't be written."""

    def reopen(self) -> None:
        """:raises OSError: the old one stays in use."""

    def close(self) -> None:
        """Nothing more is written to it."""


class Lines(Protocol):
    """Where a line may be put."""

    def write(self, line: bytes) -> None:
        """:param line: with its line end."""


class FileTarget:
    """
    :param path: a file to append to, created with mode 0640; ``-`` for standard output.
    :param shared: other processes write there too: to a pipe, of which they could come in between, go whole lines.
    :raises OSError: it can't be opened.
    """

    def __init__(self, path: str, shared: bool = False) -> None:
        self._path = path
        self._fd = self._open()
        self._pipe = shared and stat.S_ISFIFO(os.fstat(self._fd).st_mode)

    def _open(self) -> int:
        if self._path == "-":
            return sys.__stdout__.fileno() if sys.__stdout__ is not None else 1
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def write(self, data: bytes) -> None:
        if not self._pipe or len(data) <= PIPE_BUF:
            self._write(data)
            return
        begin = 0
        while begin < len(data):
            end = data.rfind(b"\n", begin, begin + PIPE_BUF) + 1 or data.find(b"\n", begin) + 1 or len(data)
            self._write(data[begin:end])
            begin = end

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def reopen(self) -> None:
        if self._path != "-":
            fd = self._open()
            os.close(self._fd)
            self._fd = fd

    def close(self) -> None:
        if self._path != "-":
            os.close(self._fd)


class SyslogTarget:
    """The local syslog daemon, facility ``daemon``."""

    def __init__(self) -> None:
        syslog.openlog("apigw", syslog.LOG_PID, syslog.LOG_DAEMON)

    def write(self, data: bytes) -> None:
        for line in data.splitlines():
            syslog.syslog(syslog.LOG_INFO, line.decode("utf-8", "replace"))

    def reopen(self) -> None:
        """The daemon keeps its own files."""

    def close(self) -> None:
        syslog.closelog()


def target(where: str, shared: bool = False) -> Target:
    """
    :param where: ``-``, ``syslog`` or a path.
    :param shared: see :class:`FileTarget`.
    :raises OSError: the file can't be opened; its directory must exist.
    """
    if where == "syslog":
        return SyslogTarget()
    return FileTarget(where if where == "-" else str(Path(where)), shared)


class LineWriter:
    """
    :param target: where lines go.
    :param clock: for gathering.

    :ivar dropped: lines that found no room.
    """

    _log = Logger()

    def __init__(self, target: Target, clock: IReactorTime) -> None:
        self._target = target
        self._clock = clock
        self._lines: list[bytes] = []
        self._size = 0
        self._handed = 0  # changed by the reactor's thread only
        self._written = 0  # changed by the writer's thread only
        self._queue: SimpleQueue[bytes | Callable[[], None] | None] = SimpleQueue()
        self._flush_call: IDelayedCall | None = None
        self._thread: Thread | None = None
        self._failed = False
        self.dropped = 0

    def start(self) -> None:
        """Begin to write; to be called after the process has become a daemon, for threads don't survive a fork."""
        self._thread = Thread(target=self._run, name="apigw-lines", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """:param line: with its line end."""
        self._lines.append(line)
        self._size += len(line)
        if self._size >= FLUSH_SIZE:
            self._hand_over()
        elif self._flush_call is None:
            self._flush_call = self._clock.callLater(FLUSH_EVERY, self._flush_due)

    def reopen(self) -> None:
        """Open the file anew after what was written so far: the old one was rotated away."""
        self._hand_over()
        self._queue.put(self._target.reopen)

    def turn(self, target: Target) -> None:
        """Write to another target what comes from now on."""
        self._hand_over()
        self._queue.put(partial(self._turn, target))

    def _turn(self, target: Target) -> None:
        before, self._target = self._target, target
        before.close()

    def close(self) -> None:
        """Write what is left and end; waits for the disk, but not for ever."""
        if self._flush_call is not None and self._flush_call.active():
            self._flush_call.cancel()
        self._flush_call = None
        self._hand_over()
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(CLOSE_WAIT)

    def _flush_due(self) -> None:
        self._flush_call = None
        self._hand_over()

    def _hand_over(self) -> None:
        lines, self._lines = self._lines, []
        size, self._size = self._size, 0
        if self._handed - self._written + size > MAX_WAITING:
            self.dropped += len(lines)
        elif lines:
            self._handed += size
            self._queue.put(b"".join(lines))

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                if isinstance(item, bytes):
                    self._written += len(item)
                    self._target.write(item)
                else:
                    item()
                self._failed = False
            except OSError as error:
                # Once, not once a line: the disk may be full for hours.
                if not self._failed:
                    self._failed = True
                    self._log.error("access log lines are lost: {error}", error=error)
