"""Clients that ask again and again, and count what becomes of it."""

from __future__ import annotations

from collections import Counter
from threading import Event, Lock, Thread
from time import monotonic

from tests.wire.sockets import Cut, Wire, connect

PATIENCE = 60.0
"""Seconds that a client waits: what it has asked may wait in the kernel while one process follows another."""


class Load:
    """
    Runs from ``with`` on.

    :param clients: connections at a time; each asks as soon as it has its answer.
    :param requests: on one connection; then the next one is made.

    :ivar seen: answers by status, and ``refused``, ``lost`` (in the middle of an answer, or before it).
    """

    def __init__(self, port: int, path: str = "/version", *, clients: int = 8, requests: int = 50) -> None:
        self.seen: Counter[str] = Counter()
        self._port = port
        self._request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        self._requests = requests
        self._stop = Event()
        self._lock = Lock()
        self._threads = [Thread(target=self._run, daemon=True) for _ in range(clients)]

    def count(self) -> int:
        with self._lock:
            return sum(self.seen.values())

    def more(self, requests: int) -> None:
        """Wait for so many to end from now on."""
        until, end = self.count() + requests, monotonic() + PATIENCE
        while self.count() < until:
            assert monotonic() < end, f"no {requests} answers: {self.seen}"
            self._stop.wait(0.002)

    def _note(self, what: str) -> None:
        with self._lock:
            self.seen[what] += 1

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                wire = connect(self._port)
                wire.socket.settimeout(PATIENCE)
            except OSError:
                self._note("refused")
                self._stop.wait(0.01)
                continue
            try:
                self._ask(wire)
            except (Cut, OSError):
                self._note("lost")
            finally:
                wire.close()

    def _ask(self, wire: Wire) -> None:
        for _ in range(self._requests):
            if self._stop.is_set():
                return
            wire.send(self._request)
            answer = wire.answer()
            self._note(str(answer.status))
            if b"close" in answer.all(b"connection"):
                return

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
