#!/usr/bin/env python3
"""
Three peers under load, while one after the other fails in its own way, and comes back.

    python examples/failing_peers.py [--rate 200] [--seconds 6] [--json]

Starts three small services as processes and the gateway in front of them, sends GET and POST requests at a steady rate,
and in turn kills a peer (SIGKILL), stops one (SIGSTOP), has one answer 500, and has one reset its connections in the
middle of its answers; each is brought back after ``--seconds``. At the end it says what clients saw of it, whether
a POST was done twice (the services write down each one, so a killed one counts too), and how long the gateway took to
leave the peer out and to take it back.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

CONFIG = """
[gateway]
access_log = off
[listener:example]
endpoint = tcp:{port}:interface=127.0.0.1
[admin]
endpoint = tcp:{admin}:interface=127.0.0.1
[service:work]
urls = {urls}
balance = p2c
timeout.connect = 500ms
timeout.first_byte = 500ms
timeout.total = 5s
retry.attempts = 3
retry.on = connect, reset, timeout, 500, 502, 503, 504
breaker.open_for = 1s
breaker.closes_after = 1
outlier.eject_for = 1s
health.path = /health
health.interval = 500ms
health.timeout = 300ms
health.unhealthy_after = 2
health.healthy_after = 2
[route:all]
path = /
service = work
"""

# -- a peer ------------------------------------------------------------------------------------------------------------


class Peer(BaseHTTPRequestHandler):
    """Answers, writes down what it did, and fails as it is told."""

    protocol_version = "HTTP/1.1"
    mode = "ok"
    done = -1
    """A file to which all peers append."""

    def do_GET(self) -> None:
        if self.path.startswith("/mode/"):
            Peer.mode = self.path.removeprefix("/mode/")
            self._answer(200, b"")
        else:
            self._work()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._work()

    def _work(self) -> None:
        key = self.headers.get("X-Work")
        if key is not None and self.command == "POST":
            os.write(Peer.done, f"{key}\n".encode())
        if Peer.mode == "500":
            self._answer(500, b"broken")
        elif Peer.mode == "reset" and self.path != "/health":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50000)
            self.wfile.flush()
            # A reset, not an end: that is what a crash looks like from outside.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        else:
            self._answer(200, b"done " + str(os.getpid()).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is none."""


def serve(port: int) -> None:
    """Be a peer, until killed."""
    Peer.done = os.open("done", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    Server(("127.0.0.1", port), Peer).serve_forever()


# -- the play ----------------------------------------------------------------------------------------------------------


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


async def fetch(port: int, method: str, path: str, key: str = "", timeout: float = 10.0) -> tuple[int, str, int]:
    """:return: status (0 for none), body, and how many bytes of an answer came."""

    async def ask() -> tuple[int, str, int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        data = b""
        try:
            head = f"{method} {path} HTTP/1.1\r\nHost: example\r\nConnection: close\r\n"
            head += f"X-Work: {key}\r\n" if key else ""
            writer.write((head + ("Content-Length: 4\r\n\r\nwork" if method == "POST" else "\r\n")).encode())
            while piece := await reader.read(65536):
                data += piece
        except ConnectionError:
            pass
        finally:
            writer.close()
        head_bytes, _, body = data.partition(b"\r\n\r\n")
        length = [line for line in head_bytes.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        complete = bool(length) and int(length[0].split(b":")[1]) == len(body)
        status = int(data.split()[1]) if complete else 0
        return status, body.decode("latin-1"), len(data)

    try:
        return await asyncio.wait_for(ask(), timeout)
    except (OSError, asyncio.TimeoutError):
        return 0, "", 0


class Play:
    """
    :ivar failed: GETs without a good answer of which no byte had come, by fault.
    :ivar cut: GETs that were cut after their answer had begun.
    :ivar answered: times of good answers by the process that gave them.
    """

    def __init__(self, gateway: int, admin: int, peers: list[int], rate: float) -> None:
        self.gateway = gateway
        self.admin = admin
        self.peers = peers
        self.rate = rate
        self.fault = "none"
        self.sent: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self.posts: list[str] = []
        self.last_from: dict[str, float] = {}
        self.under_way: set[asyncio.Task[None]] = set()
        self.ended = False

    async def load(self) -> None:
        """Requests at a steady rate, whatever becomes of those before."""
        loop = asyncio.get_running_loop()
        begun, number = loop.time(), 0
        while not self.ended:
            task = asyncio.ensure_future(self.one(number))
            self.under_way.add(task)
            task.add_done_callback(self.under_way.discard)
            number += 1
            await asyncio.sleep(max(0.0, begun + number / self.rate - loop.time()))
        await asyncio.gather(*self.under_way)

    async def one(self, number: int) -> None:
        fault = self.fault
        if number % 4 == 0:
            key = f"post-{number}"
            self.posts.append(key)
            await fetch(self.gateway, "POST", "/work", key)
            return
        self.sent[fault] += 1
        status, body, received = await fetch(self.gateway, "GET", "/work")
        if fault == "none":
            fault = self.fault  # which may have begun while the request was under way
        if status == 200:
            self.last_from[body.removeprefix("done ")] = time.monotonic()
        elif received and not status:
            self.cut[fault] += 1
        else:
            self.failed[fault] += 1

    async def until_out(self, port: int, since: float, bound: float) -> float | None:
        """Seconds until the gateway says that the peer gets no requests, None if it doesn't."""
        while time.monotonic() < since + bound:
            with await asyncio.to_thread(urlopen, f"http://127.0.0.1:{self.admin}/api/services") as answer:
                [service] = json.load(answer)["services"]
            if not next(peer["usable"] for peer in service["peers"] if peer["name"] == f"127.0.0.1:{port}"):
                return time.monotonic() - since
            await asyncio.sleep(0.02)
        return None

    async def until_from(self, pid: int, since: float, bound: float) -> float | None:
        """Seconds until the peer answers a client again, None if it doesn't."""
        while time.monotonic() < since + bound:
            if self.last_from.get(str(pid), 0.0) > since:
                return time.monotonic() - since
            await asyncio.sleep(0.01)
        return None


@contextlib.contextmanager
def process(*command: str, cwd: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block."""
    running = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.send_signal(signal.SIGCONT)
        running.kill()
        running.wait()


def start_peer(stack: contextlib.ExitStack, port: int, directory: str) -> subprocess.Popen[bytes]:
    return stack.enter_context(process(sys.executable, __file__, "--peer", str(port), cwd=directory))


async def answers(port: int, path: str = "/health") -> None:
    """Wait until somebody answers there."""
    while (await fetch(port, "GET", path, timeout=1.0))[0] == 0:
        await asyncio.sleep(0.05)


async def play(rate: float, seconds: float, stack: contextlib.ExitStack) -> dict[str, object]:
    """:return: what came of it."""
    directory = stack.enter_context(tempfile.TemporaryDirectory())
    gateway, admin, *ports = free_ports(5)
    running = [start_peer(stack, port, directory) for port in ports]
    config = Path(directory, "gw.ini")
    config.write_text(
        CONFIG.format(port=gateway, admin=admin, urls=", ".join(f"http://127.0.0.1:{port}" for port in ports))
    )
    twistd = str(Path(sys.executable).with_name("twistd"))
    stack.enter_context(process(twistd, "-n", "--pidfile=", "apigw", "--config", str(config), cwd=directory))
    for port in (*ports, gateway):
        await answers(port)
    show = Play(gateway, admin, ports, rate)
    load = asyncio.ensure_future(show.load())
    await asyncio.sleep(seconds / 2)
    out: dict[str, float | None] = {}
    back: dict[str, float | None] = {}
    for index, fault in enumerate(("killed", "stopped", "500", "reset")):
        index %= 3
        show.fault = fault
        if fault == "killed":
            running[index].kill()
            running[index].wait()
        elif fault == "stopped":
            running[index].send_signal(signal.SIGSTOP)
        else:
            await fetch(ports[index], "GET", f"/mode/{fault}")
        begun = time.monotonic()
        out[fault] = await show.until_out(ports[index], begun, seconds)
        await asyncio.sleep(max(0.0, begun + seconds - time.monotonic()))
        if fault == "killed":
            running[index] = start_peer(stack, ports[index], directory)
        elif fault == "stopped":
            running[index].send_signal(signal.SIGCONT)
        else:
            await fetch(ports[index], "GET", "/mode/ok")
        back[fault] = await show.until_from(running[index].pid, time.monotonic(), 30.0)
        show.fault = "none"
        await asyncio.sleep(seconds / 2)
    show.ended = True
    await load
    done = Counter(Path(directory, "done").read_text().split())
    return {
        "rate": rate,
        "gets": dict(show.sent),
        "gets_failed": dict(show.failed),
        "gets_cut_in_their_body": dict(show.cut),
        "posts": len(show.posts),
        "posts_done": len(done),
        "posts_done_twice": sum(1 for key in show.posts if done[key] > 1),
        "seconds_until_out": out,
        "seconds_until_back": back,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second (200)")
    parser.add_argument("--seconds", type=float, default=6.0, help="for which each fault lasts (6)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--peer", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer is not None:
        serve(options.peer)
        return 0
    with contextlib.ExitStack() as stack:
        outcome = asyncio.run(play(options.rate, options.seconds, stack))
    if options.json:
        print(json.dumps(outcome))
    else:
        for name, value in outcome.items():
            print(f"{name.replace('_', ' '):24} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
