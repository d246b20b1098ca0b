"""What a service manager is told (sd_notify(3)) by datagrams to ``NOTIFY_SOCKET``, and its watchdog fed."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from time import CLOCK_MONOTONIC, clock_gettime_ns
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""They are for one process, which must not leave them to those that it starts."""

AGAIN_AFTER = 0.1
"""Seconds until what found the manager's queue full is sent again."""

MARGIN = 10.0
"""Seconds beyond those that a stop takes, until the manager loses patience."""

MAX_STATUS = 1024
"""Bytes of a status; systemd reads datagrams of 4 KiB."""


class Notify:
    """
    Says nothing, at no cost, where ``environ`` names no socket.

    :param environ: of this process, before :data:`VARIABLES` are taken out of it.
    :param reactor: feeds the watchdog, so that it goes hungry when the loop doesn't turn.
    """

    _log = Logger()

    def __init__(self, environ: Mapping[str, str], reactor: Any) -> None:
        self._environ = {name: environ[name] for name in VARIABLES if environ.get(name)}
        self._reactor = reactor
        self._address = self._environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self._socket: socket.socket | None = None
        self._waiting: list[bytes] = []
        self._done = self._warned = False
        self._feeding: LoopingCall | None = None

    @property
    def environment(self) -> dict[str, str]:
        """For the process that follows this one, and becomes the main one by :meth:`followed_by`."""
        return {name: value for name, value in self._environ.items() if name != "WATCHDOG_PID"}

    def ready(self, status: str) -> None:
        """Connections are accepted. Begins to feed the watchdog."""
        self._say("READY=1", _status(status))
        interval = self._interval()
        if self._address and interval > 0.0 and self._feeding is None:
            self._feeding = LoopingCall(self._feed)
            self._feeding.clock = self._reactor
            self._feeding.start(interval)

    def status(self, status: str) -> None:
        self._say(_status(status))

    def reloading(self) -> None:
        """:meth:`ready` or :meth:`reloaded` must follow."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={clock_gettime_ns(CLOCK_MONOTONIC) // 1000}")

    def reloaded(self, reason: str) -> None:
        """:param reason: why it was refused; empty if it wasn't."""
        self._say("READY=1", _status(f"not reloaded: {reason}" if reason else "reloaded"))

    def stopping(self, seconds: float) -> None:
        """:param seconds: that it may take, within :data:`MARGIN`; whatever ``TimeoutStopSec`` says."""
        self._say("STOPPING=1", f"EXTEND_TIMEOUT_USEC={round((seconds + MARGIN) * 1e6)}", "STATUS=drains")

    def followed_by(self, process: int) -> None:
        """That one is the main process from now on; nothing more is said by this one."""
        self._say(f"MAINPID={process}", "WATCHDOG=1")
        self._done = True
        self._stop_feeding()

    def close(self) -> None:
        """At the end of the process."""
        self._stop_feeding()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _stop_feeding(self) -> None:
        if self._feeding is not None and self._feeding.running:
            self._feeding.stop()

    def _interval(self) -> float:
        """Seconds from meal to meal, half of what the watchdog waits; 0.0 for no watchdog."""
        if self._environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return 0.0
        try:
            return max(0, int(self._environ.get("WATCHDOG_USEC", "0"))) / 2e6
        except ValueError:
            return 0.0

    def _feed(self) -> None:
        if not self._waiting:
            self._say("WATCHDOG=1")

    def _say(self, *assignments: str) -> None:
        if not self._address or self._done:
            return
        self._waiting.append("\n".join(assignments).encode())
        if len(self._waiting) == 1:
            self._send()

    def _send(self) -> None:
        """All that waits; the rest later, where the manager has no time."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        while self._waiting:
            try:
                self._socket.sendto(self._waiting[0], self._address)
            except BlockingIOError:
                self._reactor.callLater(AGAIN_AFTER, self._send)
                return
            except OSError as failed:
                if not self._warned:
                    self._warned = True
                    self._log.warn("NOTIFY_SOCKET: the service manager can't be told: {why}", why=failed.strerror)
            del self._waiting[0]


def _status(text: str) -> str:
    """One line."""
    line = " ".join(text.split())
    return "STATUS=" + line.encode()[:MAX_STATUS].decode("utf-8", "ignore")


SILENT = Notify({}, None)
"""For whoever has nobody to tell."""
