"""
Steady load as a process: ``python -m benchmarks.faults.load PORT FILE PATH...``, until SIGTERM.

Requests go out at their times, whatever becomes of those before. Most use a connection that was used before. One that
ends without an answer on such a connection is sent once more on a new one, as clients do with GET (RFC 9110, 9.2.2).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import ssl
import time
from pathlib import Path

from attrs import asdict, define

from benchmarks.faults.peer import BODY

TIMEOUT = 10.0
NEW_EVERY = 10
KEPT = 16  # connections that are kept; with --kept all of them are made at first, and no others
REFUSED, CUT, LATE, WRONG = -1, -2, -3, -4
"""In place of a status: no connection; no whole answer; none in time; an answer that nobody had sent."""


@define
class Asked:
    """
    What came of one request.

    :ivar begun: when it was due, as ``time.monotonic()`` tells.
    :ivar seconds: until its answer was whole.
    :ivar again: it was sent once more.
    """

    path: str
    begun: float
    seconds: float
    status: int
    again: bool


class Load:
    """Requests for ``paths`` in turn to a ``port`` of loopback, ``rate`` a second; ``bearer``: a path and its token."""

    def __init__(self, port: int, paths: list[str], rate: float, new: bool, tls: bool, bearer: list[str]) -> None:
        self._port = port
        self._paths = paths
        self._rate = rate
        self._new = new
        self._closed, self._token = bearer
        self._tls = ssl._create_unverified_context() if tls else None
        self._free = asyncio.Semaphore(KEPT) if not new else contextlib.nullcontext()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.asked: list[Asked] = []

    async def run(self, ended: asyncio.Event) -> None:
        if not self._new:
            await asyncio.gather(*(self._ask(self._paths[0], None) for _ in range(KEPT)))
        first, number = time.monotonic(), 0
        while not ended.is_set():
            due = first + number / self._rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            new = self._new and number % NEW_EVERY == 0
            task = asyncio.ensure_future(self._one(self._paths[number % len(self._paths)], due, new))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            number += 1
        await asyncio.gather(*self._tasks)
        for _, writer in self._idle:
            writer.transport.abort()

    async def _one(self, path: str, due: float, new: bool) -> None:
        again = False

        async def ask() -> int:
            nonlocal again
            connection = self._idle.pop() if self._idle and not new else None
            status = await self._ask(path, connection)
            if connection is not None and status == CUT:
                again = True
                status = await self._ask(path, None)
            return status

        try:
            async with self._free:
                status = await asyncio.wait_for(ask(), TIMEOUT)
        except asyncio.TimeoutError:
            status = LATE
        self.asked.append(Asked(path, due, time.monotonic() - due, status, again))

    async def _ask(self, path: str, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None) -> int:
        if connection is None:
            try:
                connection = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls)
            except ConnectionRefusedError:
                return REFUSED
            except OSError:
                return CUT
        reader, writer = connection
        kept = False
        try:
            token = f"Authorization: Bearer {self._token}\r\n" if path == self._closed else ""
            writer.write(f"GET {path} HTTP/1.1\r\nHost: gw\r\n{token}\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            lines = [line.partition(b":") for line in head.lower().split(b"\r\n")]
            [length] = [int(value) for name, _, value in lines if name == b"content-length"]
            body = await reader.readexactly(length)
            kept = not any(name == b"connection" and b"close" in value for name, _, value in lines)
            if status == 200 and body != BODY:
                kept, status = False, WRONG
        except (OSError, asyncio.IncompleteReadError):
            return CUT
        finally:
            if kept and len(self._idle) < KEPT:
                self._idle.append(connection)
            else:
                writer.transport.abort()
        return status


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--kept", action="store_true", help="make no new connections, but wait for an old one")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--bearer", nargs=2, default=["", ""], help="a path, and the token of all requests for it")
    options = parser.parse_args()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    load = Load(options.port, options.paths, options.rate, not options.kept, options.tls, options.bearer)
    await load.run(ended)
    options.file.write_text(json.dumps([asdict(one) for one in load.asked]))


if __name__ == "__main__":
    asyncio.run(main())
