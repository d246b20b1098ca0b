"""Clients of HTTP/2 that ask again and again, many things at once, and count what becomes of it."""

from __future__ import annotations

import ssl
from collections import Counter
from threading import Event, Lock, Thread
from time import monotonic

from hyperframe.frame import GoAwayFrame, PingFrame, RstStreamFrame

from tests.wire.frames import LARGEST, Http2Wire
from tests.wire.gateway import BOUND
from tests.wire.sockets import Cut, Wire, connect

REFUSED_STREAM = 7


class Http2Load:
    """
    Runs from ``with`` on.

    :param context: for TLS; None for none.
    :param clients: connections at a time.
    :param depth: requests under way on each; every other one has a body.

    :ivar seen: answers by status, and ``again`` (refused in a way that it is safe to ask again), ``lost`` (in any other
        way), and ``refused`` connections.
    :ivar dials: connections that were made.
    """

    def __init__(
        self,
        port: int,
        path: bytes = b"/",
        *,
        context: ssl.SSLContext | None = None,
        clients: int = 3,
        depth: int = 8,
    ) -> None:
        self.seen: Counter[str] = Counter()
        self.dials = 0
        self._port, self._path, self._context, self._depth = port, path, context, depth
        self._stop = Event()
        self._lock = Lock()
        self._threads = [Thread(target=self._run, daemon=True) for _ in range(clients)]

    def count(self) -> int:
        with self._lock:
            return sum(self.seen.values())

    def more(self, requests: int) -> None:
        """Wait for so many to end from now on."""
        until, end = self.count() + requests, monotonic() + BOUND
        while self.count() < until:
            assert monotonic() < end, f"no {requests} answers: {self.seen}"
            self._stop.wait(0.002)

    def _note(self, what: str, times: int = 1) -> None:
        with self._lock:
            self.seen[what] += times

    def _connect(self) -> Http2Wire:
        wire = connect(self._port)
        if self._context is not None:
            wire = Wire(self._context.wrap_socket(wire.socket, server_hostname="a.test"))
        self.dials += 1
        return Http2Wire(wire)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                wire = self._connect()
            except (OSError, Cut):
                self._note("refused")
                self._stop.wait(0.01)
                continue
            try:
                self._ask(wire)
            finally:
                wire.close()

    def _ask(self, wire: Http2Wire) -> None:
        """Until it is told to stop, or the connection ends."""
        last = LARGEST
        told = False
        waiting: set[int] = set()
        try:
            while True:
                while len(waiting) < self._depth and not (told or self._stop.is_set()):
                    body = bytes(3000) if len(wire.answers) % 2 else None
                    waiting.add(wire.ask(self._path, method=b"GET" if body is None else b"POST", body=body))
                if not waiting:
                    return
                frame = wire.read()
                if isinstance(frame, GoAwayFrame):
                    told, last = True, frame.last_stream_id
                elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
                    wire.send(PingFrame(0, opaque_data=frame.opaque_data, flags=["ACK"]))
                for number in [one for one in waiting if one > last]:
                    waiting.discard(number)
                    self._note("again")
                number = frame.stream_id
                if number in waiting and isinstance(frame, RstStreamFrame):
                    waiting.discard(number)
                    self._note("again" if frame.error_code == REFUSED_STREAM else "lost")
                elif number in waiting and wire.answers[number].ended:
                    waiting.discard(number)
                    self._note(str(wire.answers[number].status))
        except (Cut, OSError):
            self._note("lost", len(waiting))

    def __enter__(self) -> Http2Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
