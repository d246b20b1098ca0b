"""Reloads and stops of the real gateway while clients of HTTP/2 ask for many things at once: no request is lost."""

from __future__ import annotations

import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.authority import Authority, write
from tests.wire.gateway import Gateway
from tests.wire.http2_load import Http2Load
from tests.wire.shop import Shop
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
