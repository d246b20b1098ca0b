"""
Mixed traffic for a while, and what grows meanwhile: ``python -m benchmarks.soak --minutes 15``.

Clients of many kinds come and go as fast as they are served: kept and new connections, TLS, HTTP/2 with streams that
are reset, uploads, some of which are broken off, streams of events that are left early, WebSockets, requests that are
given up, limits that are spent, tokens that count for nothing, paths and peers that don't exist, garbage; and a reload
every ten seconds. After five minutes, in which caches, the dashboard's history and the allocator's heap find their
sizes, resident memory and descriptors of the gateway are read each second. Their slopes are printed with two standard
errors; a slope is that of the last two thirds, and of means of 20 s, for a second is much like the one before. At last
the clients leave, and descriptors are counted again. Exit status 1 if memory grows beyond that noise and beyond 1 MiB
an hour, if descriptors stay open, or if a client got what it shouldn't.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import resource
import signal
import ssl
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from math import sqrt
from pathlib import Path

import websockets
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset

from apigw.demo import DemoService
from benchmarks.certificate import pem
from benchmarks.children import children
from benchmarks.faults.scene import Gateway, Scene

INI = """\
[gateway]
access_log = access.log
drain_timeout = 3s
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[listener:secure]
endpoint = tcp:0:interface=127.0.0.1
tls = yes
http2 = yes
certificates = soak.pem
[admin]
endpoint = tcp:0:interface=127.0.0.1
[limits]
ip = off
[jwt]
secret_env = SOAK_SECRET
[service:ai]
urls = http://127.0.0.1:{ai}
keepalive.idle = 1s
[service:music]
urls = http://127.0.0.1:{music}
keepalive.idle = 1s
[service:gone]
urls = http://127.0.0.1:1
retry.attempts = 1
[service:talk]
urls = http://127.0.0.1:{talk}
keepalive.idle = 1s
[route:ai]
path = /ai
service = ai
cache = 1s
compression = public
[route:closed]
path = /ai/closed
service = ai
auth = required
limit.user = 100/m
[route:scarce]
path = /ai/scarce
service = ai
rewrite = /ai/echo
limit.ip = 50/s
[route:gone]
path = /gone
service = gone
[route:music]
path = /music
service = music
[route:talk]
path = /talk
service = talk
upgrade = websocket
"""

RELOAD_EVERY = 10.0
CLIENTS = 3
"""Of each kind."""

BLOCK = 20
"""Seconds of which the mean counts."""

MOST_BYTES = float(1 << 20) / 60.0
"""A minute."""

RESTS = 10.0
"""Seconds after which the gateway has noticed that all clients have left."""

SPARE = 4
"""Descriptors more than at first: connections to the services are kept."""


class Soak:
    """
    :ivar done: what clients did, counted.
    :ivar answers: statuses where there is a limit.
    :ivar failed: what went wrong that shouldn't have.
    """

    def __init__(self, port: int, secure: int) -> None:
        self._port = port
        self._secure = secure
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        self._http2 = ssl.create_default_context()
        self._http2.check_hostname = False
        self._http2.verify_mode = ssl.CERT_NONE
        self._http2.set_alpn_protocols(["h2"])
        self.done: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self.failed: Counter[str] = Counter()

    async def run(self, seconds: float, only: Sequence[str] = ()) -> None:
        """All kinds of clients, or ``only`` some, until the time is over."""
        until = time.monotonic() + seconds
        kinds = (
            self.kept,
            self.new,
            self.secure,
            self.http2,
            self.upload,
            self.broken,
            self.events,
            self.talk,
            self.gone,
            self.stranger,
            self.scarce,
            self.nowhere,
            self.noise,
        )
        await asyncio.gather(
            *(self._again(kind, until) for kind in kinds for _ in range(CLIENTS) if not only or kind.__name__ in only)
        )

    async def _again(self, kind: Callable[[], Awaitable[None]], until: float) -> None:
        while time.monotonic() < until:
            try:
                await asyncio.wait_for(kind(), 30.0)
                self.done[kind.__name__] += 1
            except (OSError, AssertionError, asyncio.TimeoutError, EOFError, websockets.WebSocketException) as error:
                self.failed[f"{kind.__name__}: {type(error).__name__} {error}"[:120]] += 1
            await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def _open(self, tls: bool = False):  # type: ignore[no-untyped-def]
        port = self._secure if tls else self._port
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=self._tls if tls else None)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    @staticmethod
    async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        body = b""
        if b"content-length" in fields:
            body = await reader.readexactly(int(fields[b"content-length"]))
        else:
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        return int(head.split(b" ", 2)[1]), body

    async def _ask(self, tls: bool, times: int, more: bytes = b"") -> None:
        async with self._open(tls) as (reader, writer):
            for _ in range(times):
                writer.write(b"GET /ai/echo?n=%d HTTP/1.1\r\nHost: h\r\n%b\r\n" % (random.randrange(50), more))
                status, _ = await self._answer(reader)
                assert status == 200, status

    async def kept(self) -> None:
        await self._ask(False, 50)

    async def new(self) -> None:
        await self._ask(False, 1, b"Accept-Encoding: gzip\r\n")

    async def secure(self) -> None:
        await self._ask(True, 5)

    async def http2(self) -> None:
        """Eight requests at once, one of them with a body; every fourth is reset."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._secure, ssl=self._http2)
        try:
            state = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
            state.initiate_connection()
            fields = [(":scheme", "https"), (":authority", "h"), (":path", "/ai/echo?n=2")]
            awaited = set()
            for number in range(8):
                stream = state.get_next_available_stream_id()
                post = number == 1
                state.send_headers(stream, [(":method", "POST" if post else "GET"), *fields], end_stream=not post)
                if post:
                    state.send_data(stream, b"x" * 10_000, end_stream=True)
                if number % 4 == 3:
                    state.reset_stream(stream, ErrorCodes.CANCEL)
                else:
                    awaited.add(stream)
            while awaited:
                writer.write(state.data_to_send())
                data = await reader.read(65536)
                assert data, "an end amid answers"
                for event in state.receive_data(data):
                    if isinstance(event, ResponseReceived):
                        assert dict(event.headers)[":status"] == "200", event.headers
                    elif isinstance(event, DataReceived):
                        state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, StreamEnded):
                        awaited.discard(event.stream_id)
                    else:
                        assert not isinstance(event, StreamReset), event
        finally:
            writer.transport.abort()

    async def upload(self) -> None:
        async with self._open() as (reader, writer):
            writer.write(b"POST /music/upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(8):
                writer.write(b"8000\r\n%b\r\n" % (b"x" * 0x8000))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            status, body = await self._answer(reader)
            assert (status, b"262144" in body) == (200, True), body

    async def broken(self) -> None:
        """Leaves amid its body."""
        async with self._open() as (_, writer):
            head = b"POST /music/upload HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"
            writer.write(head + b"x" * 100_000)
            await asyncio.sleep(0.02)

    async def events(self) -> None:
        """Leaves before the end."""
        async with self._open() as (reader, writer):
            writer.write(b"GET /ai/stream?n=100&interval=0.02 HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n")
            for _ in range(12):
                assert await reader.readline()

    async def talk(self) -> None:
        async with websockets.connect(f"ws://127.0.0.1:{self._port}/talk") as socket:
            for size in (1, 1000, 100_000):
                await socket.send("x" * size)
                assert len(await socket.recv()) == size

    async def gone(self) -> None:
        """Doesn't wait for the answer."""
        async with self._open() as (_, writer):
            writer.write(b"GET /ai/slow?seconds=5 HTTP/1.1\r\nHost: h\r\n\r\n")
            await asyncio.sleep(0.02)

    async def stranger(self) -> None:
        async with self._open() as (reader, writer):
            token = b"%x" % random.getrandbits(256)
            writer.write(b"GET /ai/closed HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer a.%b.c\r\n\r\n" % token)
            status, _ = await self._answer(reader)
            assert status == 401, status

    async def scarce(self) -> None:
        """As often as not there is nothing left for it."""
        async with self._open() as (reader, writer):
            for _ in range(4):
                writer.write(b"GET /ai/scarce HTTP/1.1\r\nHost: h\r\n\r\n")
                status, _ = await self._answer(reader)
                assert status in (200, 429), status
                self.answers[status] += 1

    async def nowhere(self) -> None:
        async with self._open() as (reader, writer):
            for path, expected in ((b"/gone", (502, 503)), (b"/nothing/here", (404,))):
                writer.write(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % path)
                status, _ = await self._answer(reader)
                assert status in expected, status

    async def noise(self) -> None:
        async with self._open() as (reader, writer):
            writer.write(os.urandom(200) + b"\r\n\r\n")
            await reader.read()


def slope(values: Sequence[float], seconds: float) -> tuple[float, float]:
    """By least squares. :param seconds: between two values. :return: a minute, and two standard errors of that."""
    count = len(values)
    if count < 3:
        return 0.0, float("inf")
    times = [number * seconds / 60.0 for number in range(count)]
    middle, mean = sum(times) / count, sum(values) / count
    spread = sum((one - middle) ** 2 for one in times)
    found = sum((at - middle) * (value - mean) for at, value in zip(times, values, strict=True)) / spread
    rest = sum((value - mean - found * (at - middle)) ** 2 for at, value in zip(times, values, strict=True))
    return found, 2.0 * sqrt(rest / (count - 2) / spread)


def means(values: Sequence[float], block: int) -> list[float]:
    """Of so many values each; what is left over at the end counts for nothing."""
    return [sum(values[at : at + block]) / block for at in range(0, len(values) - block + 1, block)]


async def echo(socket: websockets.ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


@contextlib.asynccontextmanager
async def demo_services() -> AsyncIterator[dict[str, int]]:
    """In a process of their own, for it is the gateway whose memory counts. :return: their ports."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.demo", stdout=PIPE)
    try:
        assert process.stdout is not None
        said = [(await process.stdout.readline()).split() for _ in DemoService.NAMES]
        yield {name.decode(): int(port) for name, port in said}
    finally:
        process.kill()
        await process.wait()


async def soaked(
    gateway: Gateway, settles: float, minutes: float, only: Sequence[str]
) -> tuple[Soak, list[tuple[int, int]], int, tuple[int, int]]:
    """
    :param settles: minutes before those that count.
    :return: the clients, memory and descriptors of each second, how many reloads there were, and descriptors without
        clients before and after.
    """
    soak = Soak(gateway.ports["public"], gateway.ports["secure"])
    seen: list[tuple[int, int]] = []
    reloads = 0

    async def look() -> None:
        nonlocal reloads
        reloaded = time.monotonic()
        while True:
            await asyncio.sleep(1.0)
            seen.append((gateway.memory(), gateway.files()))
            if time.monotonic() - reloaded >= RELOAD_EVERY:
                reloaded = time.monotonic()
                os.kill(gateway.pid, signal.SIGHUP)
                reloads += 1

    await soak.run(1.0)
    await asyncio.sleep(RESTS)
    before = gateway.files()
    looking = asyncio.ensure_future(look())
    await soak.run(settles * 60.0, only)
    seen.clear()
    await soak.run(minutes * 60.0, only)
    looking.cancel()
    await asyncio.sleep(RESTS)
    return soak, seen, reloads, (before, gateway.files())


def main() -> int:
    """Exit status: 0; 1 if something grows or fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--settle", type=float, default=5.0, metavar="MINUTES", help="before those that count")
    parser.add_argument("--only", nargs="+", default=(), metavar="KIND", help="only these kinds of clients")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))

    async def all_of_it() -> int:
        async with websockets.serve(echo, "127.0.0.1", 0) as server, demo_services() as services:
            talk = next(iter(server.sockets)).getsockname()[1]
            with tempfile.TemporaryDirectory() as directory, children() as started:
                (Path(directory) / "soak.pem").write_text(pem())
                scene = Scene(started, Path(directory), 0.0, False)
                ini = INI.format(talk=talk, **services)
                gateway = await asyncio.to_thread(scene.gateway, ini, 0, False, False, SOAK_SECRET="s" * 32)
                return report(*await soaked(gateway, options.settle, options.minutes, options.only), gateway.log())

    return asyncio.run(all_of_it())


def report(soak: Soak, seen: Sequence[tuple[int, int]], reloads: int, rest: tuple[int, int], log: str) -> int:
    """Print what was seen. :return: the exit status."""
    late = seen[len(seen) // 3 :]
    memory, noise = slope(means([float(bytes_) for bytes_, _ in late], BLOCK), BLOCK)
    files, files_noise = slope(means([float(count) for _, count in late], BLOCK), BLOCK)
    print(", ".join(f"{name} {count:,}" for name, count in sorted(soak.done.items())) + f", reloads {reloads}")
    print("limited      " + ", ".join(f"{status} x {count:,}" for status, count in sorted(soak.answers.items())))
    print(f"memory       {late[0][0] / 2**20:.1f} to {late[-1][0] / 2**20:.1f} MiB,", end=" ")
    print(f"slope {memory / 1024:+.1f} KiB a minute, give or take {noise / 1024:.1f}")
    print("each minute  " + " ".join(f"{bytes_ / 2**20:.1f}" for bytes_, _ in seen[::60]))
    print(
        f"descriptors  {late[0][1]} to {late[-1][1]}, slope {files:+.2f} a minute, give or take {files_noise:.2f};",
        end=" ",
    )
    print("without clients {} before and {} after".format(*rest))
    for what, count in soak.failed.most_common():
        print(f"failed       {count} x {what}")
    wrong = [line for line in log.splitlines() if "Traceback" in line or "#critical" in line]
    print(f"log          {len(wrong)} lines that shouldn't be there" + "".join(f"\n  {line}" for line in wrong[:5]))
    grows = memory > noise + MOST_BYTES or rest[1] > rest[0] + SPARE
    return 1 if grows or wrong or soak.failed else 0


if __name__ == "__main__":
    sys.exit(main())
