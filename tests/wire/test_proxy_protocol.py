"""Connections that a proxy passes on, with and without TLS."""

from __future__ import annotations

import ssl
from pathlib import Path
from time import monotonic

import pytest

from tests.authority import Authority, write
from tests.wire.gateway import Gateway
from tests.wire.sockets import BOUND, Service, Wire, connect

INI = """\
[gateway]
trusted_proxies = {trusted}
[listener:secure]
endpoint = tcp:0:interface=127.0.0.1
tls = yes
certificates = some.pem
proxy_protocol = yes
handshake_timeout = 500ms
[listener:plain]
endpoint = tcp:0:interface=127.0.0.1
proxy_protocol = yes
handshake_timeout = 500ms
[service:user]
urls = http://127.0.0.1:{port}
[route:users]
path = /
service = user
"""

V1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x27" + bytes.fromhex("20010db8" + "0" * 23 + "7") + bytes(20) + b"\x04\x00\x00"
GET = b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def start(directory: Path, own_service: Service):
    root = Authority("root")
    write(directory / "root.pem", root.pem)
    write(directory / "some.pem", root.issue("a.test"))

    def gateway(trusted: str = "127.0.0.0/8") -> Gateway:
        return Gateway(directory, INI.format(trusted=trusted, port=own_service.port), listeners=2)

    return gateway


def client_of(wire: Wire, service: Service) -> str:
    """Whom the service takes a request for."""
    wire.send(GET)
    peer = service.accept()
    request = peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    assert wire.answer().body == b"ok"
    peer.close()
    return request.text("X-Forwarded-For")


def test_the_header_tells_the_client(start, own_service, directory):
    with start() as gateway:
        for header, client in ((V1, "203.0.113.7"), (V2, "2001:db8::7"), (b"PROXY UNKNOWN\r\n", "127.0.0.1")):
            for cut in (0, 1, 13, len(header) - 1):
                wire = connect(gateway.ports["plain"])
                wire.send(header[:cut])
                wire.send(header[cut:])
                assert client_of(wire, own_service) == client
                wire.close()
            wire = connect(gateway.ports["secure"])
            wire.send(header)
            context = ssl.create_default_context(cafile=str(directory / "root.pem"))
            wire = Wire(context.wrap_socket(wire.socket, server_hostname="a.test"))
            assert client_of(wire, own_service) == client
            wire.close()


def test_header_and_request_at_once(start, own_service):
    with start() as gateway:
        wire = connect(gateway.ports["plain"])
        wire.send(V1 + b"GET /health HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert wire.answer().status == 200
        wire.close()


@pytest.mark.parametrize("data", [GET, b"PROXY TCP4 1.2.3.4\r\n" + GET, b"PROXY", b""])
def test_a_trusted_proxy_must_send_one(start, own_service, data):
    with start() as gateway:
        begun = monotonic()
        for listener in ("plain", "secure"):
            wire = connect(gateway.ports[listener])
            wire.send(data)
            wire.gone()
            wire.close()
        assert monotonic() - begun < BOUND
        assert own_service.untouched()


def test_a_slow_header_and_a_slow_handshake_share_a_deadline(start):
    with start() as gateway:
        wire = connect(gateway.ports["secure"])
        begun = monotonic()
        wire.send(V1 + b"\x16\x03\x01")
        wire.gone()
        assert 0.3 < monotonic() - begun < 0.9
        wire.close()


def test_others_may_not(start, own_service):
    with start("10.0.0.0/8") as gateway:
        wire = connect(gateway.ports["plain"])
        wire.send(V1 + GET)
        assert wire.answer().status == 400
        wire = connect(gateway.ports["plain"])
        assert client_of(wire, own_service) == "127.0.0.1"
        wire.close()
