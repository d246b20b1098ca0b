"""Services as the configuration has them, with peers that are found: everything real, on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from time import monotonic
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import deferLater
from twisted.names import dns
from twisted.web.server import Request

from apigw.config.loader import loads
from apigw.errors import TlsFailed, UpstreamUnavailable
from apigw.messages import Attempt, Timeouts
from apigw.upstream.upstream import Upstream
from apigw.upstreams import UpstreamBuilder
from tests.authority import Authority, write
from tests.kit import asking
from tests.upstream.discovery.api_server import ApiServer, endpoint_slice
from tests.upstream.discovery.http_server import HttpServer
from tests.upstream.discovery.name_server import NameServer


class Service(HttpServer):
    """Answers with the Host field; also over TLS."""

    def __init__(self, certificate: PrivateCertificate | None = None) -> None:
        super().__init__(reactor, self._say, certificate)
        self.number = self.port.getHost().port

    def _say(self, request: Request) -> bytes:
        request.setResponseCode(204)
        request.setHeader("X-Host", request.getHeader("host"))
        return b""


class Side:
    """The gateway's side of one service, as a file says."""

    def __init__(self, text: str) -> None:
        config = loads(text, "f", {})
        self.builder = UpstreamBuilder(reactor, monotonic, Random(1), config.discovery)
        self.upstream: Upstream = self.builder.upstream(config.services[0])
        for watch in self.builder.watches:
            watch.startService()
        self.builder.start_checks()

    async def get(self) -> str:
        attempt = Attempt(monotonic(), None, monotonic() + 20.0, Timeouts())
        response = await self.upstream.request(asking(), attempt, b"/", False, b"")
        assert response.status == 204
        return {name.lower(): value.decode() for name, value in response.fields}[b"x-host"]

    @property
    def labels(self) -> list[str]:
        return sorted(peer.label for peer in self.upstream.peers)

    async def until(self, holds: Callable[[], object]) -> None:
        """Let the reactor go round until it is so."""
        while not holds():
            await deferLater(reactor, 0)

    async def close(self) -> None:
        for watch in self.builder.watches:
            await (watch.stopService() or deferLater(reactor, 0))
        self.builder.stop_checks()
        self.upstream.abort()


@pytest_twisted.async_yield_fixture
async def side():
    """Makes the gateway's side; all are closed in the end."""
    made: list[Side] = []

    def make(text: str) -> Side:
        made.append(Side(text))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest_twisted.async_yield_fixture
async def service():
    service = Service()
    yield service
    await service.close()


@pytest.fixture
def names():
    server = NameServer(reactor)
    yield server
    server.close()


def discovery(names: NameServer, more: str = "") -> str:
    return f"[discovery]\ndns_servers = 127.0.0.1:{names.address[1]}\n{more}\n[service:user]\n"


@pytest_twisted.ensureDeferred
async def test_what_is_in_the_hosts_file_is_there_at_once(side, service):
    one = side(f"[service:user]\nurls = http://localhost:{service.number}\n")
    assert one.labels == [f"127.0.0.1:{service.number}"]
    assert await one.get() == f"localhost:{service.number}"


@pytest_twisted.ensureDeferred
async def test_a_name_becomes_peers_that_keep_the_name(side, service, names):
    names.zone.a("user.example", "127.0.0.1", "127.0.0.9")
    one = side(f"{discovery(names)}urls = http://user.example:{service.number} weight=3, http://127.0.0.8:1\n")
    assert one.labels == ["127.0.0.8:1"]
    await one.until(lambda: len(one.upstream.peers) == 3)
    peers = {peer.label: peer for peer in one.upstream.peers}
    assert {label: peer.candidate.weight for label, peer in peers.items()} == {
        "127.0.0.8:1": 1,
        f"127.0.0.1:{service.number}": 3,
        f"127.0.0.9:{service.number}": 3,
    }
    assert peers[f"127.0.0.1:{service.number}"].authority == f"user.example:{service.number}".encode()


@pytest_twisted.ensureDeferred
async def test_without_an_answer_the_service_is_not_available_until_there_is_one(side, service, names, monkeypatch):
    monkeypatch.setattr("apigw.upstream.discovery.watch.FIRST_RETRY", 0.01)
    names.zone.failing.add("user.example")
    one = side(f"{discovery(names)}urls = http://user.example:{service.number}\n")
    [watch] = one.builder.watches
    await one.until(lambda: watch.failures.total() > 1)
    with pytest.raises(UpstreamUnavailable) as caught:
        await one.get()
    assert (caught.value.status, caught.value.code) == (503, "upstream-unavailable")
    names.zone.failing.clear()
    names.zone.a("user.example", "127.0.0.1")
    await one.until(lambda: one.upstream.peers)
    assert await one.get() == f"user.example:{service.number}"


@pytest_twisted.ensureDeferred
async def test_srv_records_and_backups(side, service, names):
    names.zone.set("_user._tcp.example", dns.Record_SRV(1, 7, service.number, "one.example"))
    names.zone.a("one.example", "127.0.0.1")
    names.zone.a("old.example", "127.0.0.9")
    text = f"{discovery(names)}urls = srv+http://_user._tcp.example\nbackup_urls = http://old.example:1\n"
    one = side(text)
    await one.until(lambda: len(one.upstream.peers) == 2)
    seen = {peer.label: (peer.candidate.weight, peer.candidate.backup) for peer in one.upstream.peers}
    assert seen == {f"127.0.0.1:{service.number}": (7, False), "127.0.0.9:1": (1, True)}
    assert await one.get() == f"example:{service.number}"


@pytest_twisted.ensureDeferred
async def test_a_registry(side, service):
    document = {"services": [{"name": "user", "host": "127.0.0.1", "port": service.number, "weight": 2}]}
    registry = HttpServer(reactor, lambda request: json.dumps(document).encode())
    one = side(f"[discovery]\nurl = {registry.url}/api/discovery/services\n[service:user]\n")
    await one.until(lambda: one.upstream.peers)
    assert one.upstream.peers[0].candidate.weight == 2
    assert await one.get() == f"127.0.0.1:{service.number}"
    await registry.close()


@pytest_twisted.ensureDeferred
async def test_kubernetes_and_peers_that_come_and_go(side, service):
    api = ApiServer(reactor)
    api.put(endpoint_slice("user-a", "127.0.0.1", port=service.number))
    text = f"[discovery]\nkubernetes.api = {api.url}\n[service:user]\nurls = kubernetes://shop/user:http\n"
    one = side(f"{text}health.path = /\nhealth.interval = 20ms\n")
    await one.until(lambda: one.upstream.peers)
    assert await one.get() == f"user.shop.svc:{service.number}"
    [first] = one.upstream.peers
    await one.until(lambda: service.requests[-1].getHeader("user-agent") == "apigw health check")
    api.put(endpoint_slice("user-a", "127.0.0.9", port=service.number))
    await one.until(lambda: first not in one.upstream.peers)
    assert one.labels == [f"127.0.0.9:{service.number}"]
    assert first.pool.closed
    assert list(one.builder._checks) == list(one.upstream.peers)
    await one.close()
    await api.close()


@pytest_twisted.ensureDeferred
async def test_the_certificate_has_to_have_the_name_of_the_url(side, names, tmp_path):
    authority = Authority("services")
    secure = Service(PrivateCertificate.loadPEM(authority.issue("user.example")))
    names.zone.a("user.example", "127.0.0.1")
    names.zone.a("other.example", "127.0.0.1")
    ca = write(tmp_path / "ca.pem", authority.pem)
    good = side(f"{discovery(names)}urls = https://user.example:{secure.number}\ntls.ca = {ca}\n")
    bad = side(f"{discovery(names)}urls = https://other.example:{secure.number}\ntls.ca = {ca}\n")
    await good.until(lambda: good.upstream.peers and bad.upstream.peers)
    assert good.labels == bad.labels == [f"127.0.0.1:{secure.number}"]
    assert await good.get() == f"user.example:{secure.number}"
    with pytest.raises(TlsFailed):
        await bad.get()
    await good.close()
    await secure.close()


@pytest_twisted.ensureDeferred
async def test_peers_that_are_found_after_the_stop_are_not_checked(side, service):
    one = side(f"[service:user]\nurls = http://localhost:{service.number}\nhealth.path = /\n")
    await one.close()
    waiting: Deferred[Any] = deferLater(reactor, 0)
    for watch in one.builder.watches:
        watch.startService()
    await waiting
    assert service.requests == []
