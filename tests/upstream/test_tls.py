"""Sessions with a real OpenSSL server are resumed, as long as the chain that they go back to is fresh."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import frozen
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from apigw.upstream.tls import MAX_AGE, ResumingFactory, Sessions, client_creator
from tests.authority import Authority, write


@frozen
class Settings:
    ca: str | None
    client_cert: str | None = None
    server_name: str | None = None


class Page(Protocol):
    """Asks for the page on which ``s_server`` says what it knows of the connection."""

    def __init__(self, cut: bool) -> None:
        self.cut = cut
        self.data = b""
        self.done: Deferred[str] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"GET / HTTP/1.0\r\n\r\n")

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if self.cut and b"</pre>" in self.data.lower():
            self.transport.abortConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if b"</pre>" in self.data.lower():
            self.done.callback(self.data.decode())
        else:
            self.done.errback(reason)


class Peer:
    """``openssl s_server -www`` and the gateway's side of it."""

    def __init__(self, port: int, ca: bytes, directory: Path) -> None:
        self.now = 0.0
        self.port = port
        self.trust(ca, directory)

    def trust(self, ca: bytes, directory: Path, name: str = "user.internal") -> None:
        """Begin anew, with this authority and this name of the peer."""
        self.sessions = Sessions(lambda: self.now)
        self._creator = client_creator(name, Settings(write(directory / "ca.pem", ca)))

    async def ask(self, cut: bool = False) -> str:
        """:return: ``New`` or ``Reused``."""
        page = Page(cut)
        wrapped = ClientFactory.forProtocol(lambda: page)
        factory = ResumingFactory(self._creator, self.sessions, wrapped, reactor)
        reactor.connectTCP("127.0.0.1", self.port, factory)  # type: ignore[attr-defined]
        text = await page.done
        await deferLater(reactor, 0)  # type: ignore[arg-type]
        [word] = {line.split(",")[0] for line in text.splitlines() if line.startswith(("New,", "Reused,"))}
        return word


@pytest.fixture
def root() -> Authority:
    return Authority("root")


@pytest.fixture(params=["-tls1_3", "-tls1_2"])
def peer(request: Any, root: Authority, tmp_path: Path) -> Iterator[Peer]:
    openssl = shutil.which("openssl")
    assert openssl, "install openssl"
    write(tmp_path / "service.pem", root.issue("user.internal"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [openssl, "s_server", "-www", request.param, "-accept", f"127.0.0.1:{port}", "-cert", "service.pem"]
    with subprocess.Popen(
        [*command, "-key", "service.pem"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            assert server.stdout is not None
            while b"ACCEPT" not in server.stdout.readline():
                pass
            yield Peer(port, root.pem, tmp_path)
        finally:
            server.kill()


@pytest_twisted.ensureDeferred
async def test_a_session_is_resumed_until_its_chain_is_to_be_verified_again(peer: Peer) -> None:
    assert await peer.ask() == "New"
    assert [await peer.ask() for _ in range(3)] == ["Reused"] * 3
    peer.now = MAX_AGE
    assert await peer.ask() == "New"
    assert await peer.ask() == "Reused"


@pytest_twisted.ensureDeferred
async def test_the_session_of_a_connection_that_was_cut_is_good(peer: Peer) -> None:
    assert await peer.ask(cut=True) == "New"
    assert await peer.ask(cut=True) == "Reused"
    assert await peer.ask() == "Reused"


@pytest_twisted.ensureDeferred
async def test_a_session_with_somebody_else_is_worth_nothing(peer: Peer, root: Authority, tmp_path: Path) -> None:
    """The chain is good, so there is a session; the name isn't, each time."""
    peer.trust(root.pem, tmp_path, "other.internal")
    for _ in range(3):
        with pytest.raises(VerificationError):
            await peer.ask()


@pytest_twisted.ensureDeferred
async def test_a_chain_that_is_not_trusted_leaves_no_session(peer: Peer, tmp_path: Path) -> None:
    peer.trust(Authority("other").pem, tmp_path)
    for _ in range(3):
        with pytest.raises(SSL.Error):
            await peer.ask()
