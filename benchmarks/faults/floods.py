"""Clients that send or take badly, and many, beside the load."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

from hpack import Encoder
from hyperframe.frame import ContinuationFrame, HeadersFrame, RstStreamFrame, SettingsFrame

from benchmarks.faults.scene import HEALTHY, NORMAL_WITHIN, Gateway, Scene, Watch

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CLIENTS = 100
IDLE, IDLE_LONG = 2_000, 10_000
PER_ADDRESS = 5_000  # connections from one loopback address, well within the kernel's range of ports
MOST_READ = 16 << 20  # bytes that the kernel holds for a client at most
OF_LOAD = 60  # descriptors that the load may need at a time
BODIES = """\
[service:large]
urls = http://127.0.0.1:{port}
keepalive.idle = 1s
[route:large]
path = /large
service = large
"""


class Client:
    """A raw connection that never waits long."""

    def __init__(self, gateway: Gateway, number: int = 0, receive: int = 0) -> None:
        self.socket = socket.socket()
        if receive:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.settimeout(5.0)
        self.socket.bind((f"127.0.0.{1 + number // PER_ADDRESS}", 0))
        self.socket.connect(("127.0.0.1", gateway.port))

    def send(self, data: bytes) -> bool:
        """:return: whether the gateway still listens."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def ended(self) -> bool:
        """Whether the gateway has ended it, with or without an answer."""
        self.socket.setblocking(False)
        try:
            for _ in range(MOST_READ // 65536):
                if not self.socket.recv(65536):
                    return True
        except BlockingIOError:
            pass
        except OSError:
            return True
        return False

    def close(self) -> None:
        self.socket.close()


@contextlib.contextmanager
def _clients(gateway: Gateway, count: int, receive: int = 0) -> Iterator[list[Client]]:
    opened: list[Client] = []
    try:
        opened.extend(Client(gateway, number, receive) for number in range(count))
        yield opened
    finally:
        for client in opened:
            client.close()


def _normal(watch: Watch) -> Callable[[], bool]:
    """The descriptors have come back, but for those of the load."""
    return lambda: watch.gateway.files() <= watch.files_before + OF_LOAD


# -- one kind of client, over and over ---------------------------------------------------------------------------------


def _over_and_over(scene: Scene, watch: Watch, attack: Callable[[Client], None], threads: int = 4) -> None:
    """Connect, attack, wait for the end, and again, in a few threads for as long as the fault lasts."""
    until = time.monotonic() + scene.seconds
    ended, left = [0] * threads, [0] * threads

    def run(number: int) -> None:
        while time.monotonic() < until:
            with contextlib.suppress(OSError), contextlib.closing(Client(watch.gateway)) as client:
                attack(client)
                waits = time.monotonic() + NORMAL_WITHIN
                while not client.ended() and time.monotonic() < waits:
                    time.sleep(0.002)
                ended[number] += time.monotonic() < waits
                left[number] += time.monotonic() >= waits

    running = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(scene.seconds + 2 * NORMAL_WITHIN)
    watch.saw(f"{sum(ended)} connections ended by the gateway")
    watch.expect(sum(ended), "the attack never got through")
    watch.expect(not sum(left), f"{sum(left)} connections stayed")
    watch.over(_normal(watch))


def garbage(scene: Scene) -> Watch:
    junk = bytes(range(256)) * 256
    gateway = scene.gateway(scene.ini())
    with scene.watched(gateway) as watch:
        _over_and_over(scene, watch, lambda client: _ignored(client.send(junk)))
    return watch


def _ignored(_: bool) -> None:
    """That the gateway has ended it is seen later."""


def rapid_reset(scene: Scene) -> Watch:
    """CVE-2023-44487."""
    encoder = Encoder()
    pieces = [PREFACE, SettingsFrame(0).serialize()]
    for number in range(1, 4001, 2):
        pieces.append(_head(encoder, number, ["END_HEADERS", "END_STREAM"]))
        pieces.append(RstStreamFrame(number, error_code=8).serialize())
    every = b"".join(pieces)  # once, so that CPUs are left to who is attacked

    def attack(client: Client) -> None:
        _ignored(client.send(every))

    gateway = scene.gateway(scene.ini(listener="http2 = yes"))
    with scene.watched(gateway) as watch:
        _over_and_over(scene, watch, attack)
    return watch


def continuation(scene: Scene) -> Watch:
    """VU#421644."""

    head = PREFACE + SettingsFrame(0).serialize() + _head(Encoder(), 1, [])
    every = head + ContinuationFrame(1, b"").serialize() * 20_000

    def attack(client: Client) -> None:
        _ignored(client.send(every))

    gateway = scene.gateway(scene.ini(listener="http2 = yes"))
    with scene.watched(gateway) as watch:
        _over_and_over(scene, watch, attack)
    return watch


def _head(encoder: Encoder, number: int, flags: list[str]) -> bytes:
    fields = [(":method", "GET"), (":scheme", "http"), (":authority", "gw"), (":path", HEALTHY)]
    return HeadersFrame(number, encoder.encode(fields), flags=flags).serialize()


# -- many that are slow ------------------------------------------------------------------------------------------------


def slow_head(scene: Scene) -> Watch:
    """Slowloris: a byte now and then, and the head never ends."""
    return _slow(scene, b"GET /healthy HTTP/1.1\r\nHost: gw\r\nX: ", b"a")


def slow_body(scene: Scene) -> Watch:
    """A body of which nothing comes."""
    return _slow(scene, b"POST /healthy HTTP/1.1\r\nHost: gw\r\nContent-Length: 100000\r\n\r\n", b"")


def _slow(scene: Scene, begin: bytes, drop: bytes) -> Watch:
    gateway = scene.gateway(scene.ini())
    with scene.watched(gateway) as watch, _clients(gateway, CLIENTS) as clients:
        for client in clients:
            client.send(begin)
        until = time.monotonic() + max(scene.seconds, 2.0)
        while time.monotonic() < until:
            time.sleep(0.2)
            for client in clients:
                if drop:
                    client.send(drop)
        ended = sum(client.ended() for client in clients)
        watch.saw(f"{ended} of {CLIENTS} ended by the gateway")
        watch.expect(ended == CLIENTS, f"{CLIENTS - ended} slow clients stayed")
        watch.over(_normal(watch))
    return watch


def slow_reader(scene: Scene) -> Watch:
    """Clients ask for much and read nothing."""
    peer = scene.peer()
    gateway = scene.gateway(scene.ini(more=BODIES.format(port=peer.port)))
    with scene.watched(gateway) as watch:
        peer.become("body")
        with _clients(gateway, CLIENTS, 4096) as clients:
            for client in clients:
                client.send(b"GET /large HTTP/1.1\r\nHost: gw\r\n\r\n")
            time.sleep(max(scene.seconds, 5.0))  # to look is to read
            grown = gateway.memory() - watch.memory_before
            ended = sum(client.ended() for client in clients)
            watch.saw(f"{ended} of {CLIENTS} ended by the gateway; {grown >> 20} MiB for them")
            watch.expect(ended == CLIENTS, f"{CLIENTS - ended} slow readers stayed")
            watch.expect(grown < 64 << 20, f"{grown >> 20} MiB for {CLIENTS} slow readers")
        watch.over(_normal(watch))
    return watch


def idle(scene: Scene) -> Watch:
    """Clients that ask once and stay."""
    count = IDLE_LONG if scene.long else IDLE
    # They ask when all are there, which may take a while.
    gateway = scene.gateway(scene.ini().replace("header_timeout = 1s", "header_timeout = 30s"))
    request = b"GET /health HTTP/1.1\r\nHost: gw\r\n\r\n"
    with scene.watched(gateway) as watch:
        with _clients(gateway, count) as clients:
            for client in clients:
                client.send(request)
            time.sleep(scene.seconds)
            grown = gateway.memory() - watch.memory_before
            ended = sum(client.ended() for client in clients)
            watch.saw(f"{count:,} clients, {grown / count / 1024:.1f} KiB each")
            watch.expect(not ended, f"{ended} clients cut")
            watch.expect(grown / count < 64 << 10, "they cost too much")
        watch.over(_normal(watch))
    return watch
