"""Streams through a real gateway: each event is at the client before the next one leaves the service."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGTERM
from time import monotonic, time

import brotli
import pytest
import zstandard

from apigw.config.loader import loads
from tests.examples import ini_examples
from tests.tokens import SECRET, signed
from tests.wire.gateway import Gateway
from tests.wire.sockets import Service, Wire, connect

INI = """\
[gateway]
drain_timeout = 1s
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:news]
urls = http://127.0.0.1:{port}
[jwt]
algorithms = HS256
secret_env = JWT_SECRET
[route:news]
path = /news
service = news
events.heartbeat = 100ms
[route:small]
path = /small
service = news
compression = on
[route:mine]
path = /mine
service = news
auth = required
"""

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

Decode = Callable[[bytes], bytes]


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture
def gateway(service: Service, tmp_path: Path) -> Iterator[Gateway]:
    text = INI.format(port=service.port)
    with Gateway(tmp_path, text, environ={"JWT_SECRET": SECRET.decode()}) as gateway:
        yield gateway
        assert gateway.troubles() == []


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def read_chunk(wire: Wire) -> bytes:
    data = wire.exactly(int(wire.until(b"\r\n"), 16) + 2)
    return data[:-2]


def open_stream(
    gateway: Gateway, service: Service, path: str, fields: str = "", head: bytes = EVENTS
) -> tuple[Wire, Wire, str]:
    """:return: the client and the service, after the heads, and the coding."""
    client = connect(gateway.port)
    client.send(f"GET {path} HTTP/1.1\r\nHost: gw\r\n{fields}\r\n".encode())
    there = service.accept()
    there.request()
    there.send(head)
    answer = client.head()
    assert answer.status == 200
    return client, there, b"".join(answer.all(b"content-encoding")).decode()


@pytest.mark.parametrize("coding", ["", "gzip", "br", "zstd"])
def test_each_event_arrives_before_the_next_is_sent(gateway: Gateway, service: Service, coding: str) -> None:
    path, fields = ("/small", f"Accept-Encoding: {coding}\r\n") if coding else ("/news", "")
    client, there, chosen = open_stream(gateway, service, path, fields)
    assert chosen == coding
    decoders: dict[str, Decode] = {
        "": bytes,
        "gzip": zlib.decompressobj(31).decompress,
        "br": brotli.Decompressor().process,
        "zstd": zstandard.ZstdDecompressor().decompressobj().decompress,
    }
    waits = []
    for number in range(20):
        event = f"data: {number}\n\n".encode()
        begun = monotonic()
        there.send(chunk(event))
        seen = b""
        while seen != event:
            seen += decoders[coding](read_chunk(client)).replace(b":\n\n", b"")
            assert event.startswith(seen)
        waits.append(monotonic() - begun)
    # A machine that is busy may hold up some of them.
    assert sorted(waits)[10] < 0.05
    there.send(b"0\r\n\r\n")
    while data := read_chunk(client):
        assert decoders[coding](data) in (b"", b":\n\n")
    there.close()
    client.close()


def test_a_silent_stream_has_a_heartbeat(gateway: Gateway, service: Service) -> None:
    client, there, _ = open_stream(gateway, service, "/news")
    assert [read_chunk(client) for _ in range(3)] == [b":\n\n"] * 3
    client.reset()
    there.gone()


def test_a_stream_ends_with_its_token(gateway: Gateway, service: Service) -> None:
    token = signed({"exp": int(time()) + 2}).decode()
    client, there, _ = open_stream(gateway, service, "/mine", f"Authorization: Bearer {token}\r\n")
    there.send(chunk(b"data: 1\n\n"))
    assert read_chunk(client) == b"data: 1\n\n"
    assert read_chunk(client).startswith(b"event: token-expired\ndata: {")
    assert read_chunk(client) == b""
    there.gone()
    gateway.wait(lambda: gateway.logged)
    [line] = gateway.logged
    assert (line["status"], line["error"]) == (200, "token-expired")
    client.close()


def test_a_drain_ends_events_and_cuts_other_streams_at_its_deadline(gateway: Gateway, service: Service) -> None:
    client, _, _ = open_stream(gateway, service, "/mine", f"Authorization: Bearer {signed().decode()}\r\n")
    other, there, _ = open_stream(gateway, service, "/news", "", EVENTS.replace(b"event-stream", b"plain"))
    begun = monotonic()
    gateway.signal(SIGTERM)
    assert read_chunk(client).startswith(b"event: shutting-down\n")
    assert read_chunk(client) == b""
    there.send(chunk(b"on and on"))
    assert read_chunk(other) == b"on and on"
    assert gateway.ends() == 0
    assert 0.9 < monotonic() - begun < 5.0
    other.gone()
    assert {line["error"] for line in gateway.logged} == {"shutting-down"}


@pytest.mark.parametrize("page", ["upgrades", "streams", "compression"])
def test_the_pages_examples_load(page: str) -> None:
    for text in ini_examples(f"stages/{page}.md"):
        [route] = loads(text, "f", {"JWT_SECRET": SECRET.decode()}).routes
        given = {"upgrades": route.upgrade, "streams": route.events.heartbeat, "compression": route.compression}
        assert given[page] == {"upgrades": ("websocket",), "streams": 15.0, "compression": "public"}[page]
