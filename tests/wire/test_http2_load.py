"""Reloads and stops of the real gateway while clients of HTTP/2 ask for many things at once: no request is lost."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.authority import Authority, write
from tests.wire.gateway import Gateway
from tests.wire.http2_load import Http2Load
from tests.wire.sockets import Cut, Wire
from tests.wire.test_reload import reload
from tests.wire.test_workers import ready

INI = """\
[gateway]
workers = {workers}
access_log = off
drain_timeout = 5s
[listener:plain]
endpoint = tcp:0:interface=127.0.0.1
http2 = yes
[listener:secure]
endpoint = tcp:0:interface=127.0.0.1
tls = yes
certificates = a.pem
[admin]
endpoint = tcp:0:interface=127.0.0.1
[service:shop]
urls = http://127.0.0.1:{port}
max_connections = 4
retry.attempts = 1
[route:shop]
path = /
service = shop
"""

MORE = """\
[listener:more]
endpoint = tcp:0:interface=127.0.0.1
http2 = yes
[route:more]
path = /more
service = shop
"""


class Shop:
    """Answers whatever it is asked, and keeps its connections."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._socket.getsockname()[1]
        self._wires: list[Wire] = []
        self._threads = [Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                self._wires.append(Wire(self._socket.accept()[0]))
            except OSError:
                return
            self._threads.append(Thread(target=self._serve, args=[self._wires[-1]], daemon=True))
            self._threads[-1].start()

    def _serve(self, wire: Wire) -> None:
        wire.socket.settimeout(None)
        try:
            while True:
                body = b"sold" * 2000 + wire.request().body
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except (Cut, OSError):
            wire.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._threads[0].join()
        for thread in self._threads[1:]:
            thread.join()


@pytest.fixture
def shop() -> Iterator[Shop]:
    """Ends when the gateway has ended all connections to it."""
    shop = Shop()
    yield shop
    shop.close()


@pytest.fixture
def root(directory: Path) -> Authority:
    root = Authority("root")
    write(directory / "root.pem", root.pem)
    write(directory / "a.pem", root.issue("a.test"))
    return root


@pytest.fixture
def context(root: Authority, directory: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(directory / "root.pem"))
    context.set_alpn_protocols(["h2"])
    return context


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reload_loses_no_request_and_no_connection(
    directory: Path, shop: Shop, root: Authority, context: ssl.SSLContext, workers: int
) -> None:
    ini = INI.format(workers=workers, port=shop.port)
    with Gateway(directory, ini, listeners=3) as gateway:
        if workers > 1:
            ready(gateway, workers)
        with (
            Http2Load(gateway.ports["plain"]) as plain,
            Http2Load(gateway.ports["secure"], context=context) as secure,
        ):
            for load in (plain, secure):
                load.more(30)
            reload(gateway, ini + MORE)
            gateway.wait(lambda: "more" in gateway.ports)
            with Http2Load(gateway.ports["more"], b"/more") as more:
                more.more(30)
                write(directory / "a.pem", root.issue("a.test"))
                reload(gateway, ini.replace("max_connections = 4", "max_connections = 5") + MORE)
                reload(gateway, ini + "[route:none]\n", "not reloaded")
                more.more(30)
                # Its listener goes away, and its connections with it: in order.
                reload(gateway, ini)
                more.more(3)
            for load in (plain, secure):
                load.more(30)
    assert [set(load.seen) for load in (plain, secure)] == [{"200"}] * 2
    assert [load.dials for load in (plain, secure)] == [3, 3]
    assert set(more.seen) <= {"200", "again", "refused"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_loses_no_request(
    directory: Path, shop: Shop, root: Authority, context: ssl.SSLContext, workers: int
) -> None:
    with Gateway(directory, INI.format(workers=workers, port=shop.port), listeners=3) as gateway:
        if workers > 1:
            ready(gateway, workers)
        with (
            Http2Load(gateway.ports["plain"]) as plain,
            Http2Load(gateway.ports["secure"], context=context) as secure,
        ):
            for load in (plain, secure):
                load.more(50)
            gateway.signal(signal.SIGTERM)
            assert gateway.ends() == 0
    for load in (plain, secure):
        assert load.seen["200"] > 50
        assert set(load.seen) <= {"200", "again", "refused"}
