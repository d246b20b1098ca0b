"""Services behind https: whom the gateway trusts, and as whom it comes."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.authority import Authority, write
from tests.wire.gateway import Gateway
from tests.wire.sockets import BOUND, Cut, Wire, connect

INI = """\
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = https://127.0.0.1:{port}
tls.server_name = user.internal
tls.ca = root.pem
retry.backoff = 1ms..2ms
breaker.volume = 1000000
{more}
[route:users]
path = /
service = user
"""

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"


class Secured:
    """
    A service with TLS; each connection is answered once.

    :ivar tries: connections so far.
    :ivar resumed: of those that came about, whether they went on with the session of one before.
    :ivar seen: of those that came about, what the gateway has shown: its subject, None for nothing.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(BOUND)
        self.port: int = self._socket.getsockname()[1]
        self.tries = 0
        self.resumed: list[bool | None] = []
        self.seen: list[Any] = []
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            plain, _ = self._socket.accept()
            self.tries += 1
            if self.tries > 100:
                return
            try:
                secure = self._context.wrap_socket(plain, server_side=True)
                wire = Wire(secure)
                wire.request()
                self.resumed.append(secure.session_reused)
                self.seen.append(wire.socket.getpeercert())
                wire.send(OK)
                secure.unwrap().close()
            except (OSError, Cut):
                plain.close()

    def close(self) -> None:
        self.tries = 100
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join(BOUND)
        self._socket.close()


Ask = Callable[..., tuple[int, str, Secured]]


@pytest.fixture
def root() -> Authority:
    return Authority("root")


@pytest.fixture
def ask(directory: Path, root: Authority) -> Iterator[Ask]:
    """Asks a service with the certificate ``pem`` once; returns the status, the error's type, and the service."""
    services: list[Secured] = []

    def once(pem: bytes, more: str = "", clients: Authority | None = None) -> tuple[int, str, Secured]:
        write(directory / "root.pem", root.pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(write(directory / "service.pem", pem))
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(write(directory / "clients.pem", clients.pem))
        service = Secured(context)
        services.append(service)
        with Gateway(directory, INI.format(port=service.port, more=more)) as gateway:
            wire = connect(gateway.port)
            wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            answer = wire.answer()
            wire.close()
        return answer.status, answer.body.decode(), service

    yield once
    for service in services:
        service.close()


def test_a_service_that_is_who_it_should_be(ask, root):
    status, body, service = ask(Authority("middle", root).issue("user.internal"))
    assert (status, body) == (200, "ok")
    assert service.seen == [None]


@pytest.mark.parametrize("why", ["name", "expired", "authority"])
def test_a_service_that_is_not_is_asked_once(ask, root, why):
    pem = {
        "name": lambda: root.issue("other.internal"),
        "expired": lambda: root.issue("user.internal", lasts=timedelta(days=-1)),
        "authority": lambda: Authority("root").issue("user.internal"),
    }[why]()
    status, body, service = ask(pem)
    assert status == 502
    assert '"upstream-tls-failed"' in body
    assert service.tries == 1
    assert service.seen == []


def test_the_gateway_shows_its_certificate_with_the_whole_chain(ask, root, directory):
    clients = Authority("clients")
    own = Authority("lowest", Authority("middle", clients)).issue(subject="gateway", client=True)
    write(directory / "gateway.pem", own)
    status, _, service = ask(root.issue("user.internal"), "tls.client_cert = gateway.pem", clients)
    assert status == 200
    assert service.seen[0]["subject"] == ((("commonName", "gateway"),),)


def test_a_service_that_wants_a_certificate_gets_none(ask, root):
    status, body, service = ask(root.issue("user.internal"), "", Authority("clients"))
    assert status == 502
    assert '"upstream-tls-failed"' in body
    assert service.tries == 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_later_connections_resume_the_session_of_the_first(directory, root, version):
    write(directory / "root.pem", root.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = version
    context.load_cert_chain(write(directory / "service.pem", root.issue("user.internal")))
    service = Secured(context)
    with Gateway(directory, INI.format(port=service.port, more="")) as gateway:
        for _ in range(3):
            wire = connect(gateway.port)
            wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert wire.answer().status == 200
            wire.close()
    service.close()
    assert service.resumed == [False, True, True]
