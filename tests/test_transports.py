"""Ports on real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol

from apigw.transports import listen

CLIENTS = 5


class Greeting(Protocol):
    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello")
        self.transport.loseConnection()


@pytest.fixture(params=["tcp", "unix"])
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    if request.param == "tcp":
        found = socket.create_server(("127.0.0.1", 0))
    else:
        found = socket.socket(socket.AF_UNIX)
        found.bind(str(tmp_path / "s"))
        found.listen()
    found.setblocking(False)
    with found:
        yield found


@pytest.mark.parametrize("shared", [False, True])
@pytest_twisted.ensureDeferred
async def test_who_has_connected_before_the_end_is_let_in(listening: socket.socket, shared: bool) -> None:
    factory = Factory.forProtocol(Greeting)
    port = listen(reactor, listening, factory, (lambda: True) if shared else None)
    clients = []
    for _ in range(CLIENTS):
        client = socket.socket(listening.family)
        client.connect(listening.getsockname())
        clients.append(client)
    listening.close()
    await port.stopListening()
    for client in clients:
        with client:
            client.settimeout(5.0)
            assert client.recv(100) == b"hello"


@pytest_twisted.ensureDeferred
async def test_who_was_not_to_be_let_in_yet_is_not_at_the_end_either(listening: socket.socket) -> None:
    factory = Factory.forProtocol(Greeting)
    port = listen(reactor, listening, factory)
    port.stopReading()  # type: ignore[attr-defined]
    port.held = True  # type: ignore[attr-defined]
    with socket.socket(listening.family) as client:
        client.connect(listening.getsockname())
        await port.stopListening()
        listening.setblocking(True)
        accepted, _ = listening.accept()
        with accepted:
            accepted.send(b"somebody else")
        assert client.recv(100) == b"somebody else"
