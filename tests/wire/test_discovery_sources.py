"""The real gateway, a name server and a Kubernetes API server: peers come, move and drain, and failures show."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.threads import deferToThread
from twisted.names import dns

from apigw.cli.tables import services
from tests.authority import Authority, write
from tests.upstream.discovery.api_server import ApiServer, endpoint_slice
from tests.upstream.discovery.name_server import NameServer
from tests.wire.gateway import Gateway
from tests.wire.sockets import Message, Service, Wire, connect

COMMON = """
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[route:users]
path = /
service = user
"""

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n", 1)


@pytest.fixture
def pair() -> Iterator[tuple[Service, Service]]:
    services = Service(), Service()
    yield services
    for service in services:
        service.close()


def ask(gateway: Gateway) -> Wire:
    wire = connect(gateway.port)
    wire.send(GET)
    return wire


def served(gateway: Gateway, service: Service, answer: bytes = LAST) -> Message:
    """A request that goes to ``service``, over a new connection."""
    client = ask(gateway)
    peer = service.accept()
    request = peer.request()
    peer.send(answer)
    assert client.answer().status == 200
    client.close()
    peer.close()
    return request


def admin(gateway: Gateway, path: str) -> bytes:
    wire = connect(gateway.ports["admin"])
    wire.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    body = wire.answer().body
    wire.close()
    return body


def sources(gateway: Gateway) -> list[dict[str, Any]]:
    return [one for service in json.loads(admin(gateway, "/api/services"))["services"] for one in service["sources"]]


def measured(gateway: Gateway, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(admin(gateway, "/metrics").decode()):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


async def until(holds: Callable[[], object]) -> None:
    """Ask the gateway until it is so; the test's own time limit ends it otherwise."""
    while not await deferToThread(holds):
        pass


@pytest_twisted.ensureDeferred
async def test_names_are_asked_for_once_a_ttl_and_who_is_gone_drains(
    pair: tuple[Service, Service], tmp_path: Path
) -> None:
    old, new = pair
    names = NameServer(reactor)
    names.zone.a("user.example", "127.0.0.1", ttl=1)
    names.zone.a("one.example", "127.0.0.1", ttl=300)
    names.zone.set("_user._tcp.example", dns.Record_SRV(1, 7, old.port, "one.example"), ttl=1)
    text = f"[discovery]\ndns_servers = 127.0.0.1:{names.address[1]}\ndns_ttl = 100ms..60s\n"
    text += (
        f"[service:user]\nurls = srv+http://_user._tcp.example\n[service:other]\nurls = http://user.example:1\n{COMMON}"
    )
    gateway = await deferToThread(Gateway, tmp_path, text, listeners=2)
    try:
        await until(lambda: all(one["last_success"] for one in sources(gateway)))
        for _ in range(3):  # each over a connection of its own, and none of them asks for a name
            request = await deferToThread(served, gateway, old)
            assert request.first == b"GET / HTTP/1.1"
        assert names.zone.asked["one.example", dns.A] == 1

        client = await deferToThread(ask, gateway)
        under_way = await deferToThread(old.accept)
        await deferToThread(under_way.request)
        names.zone.set("_user._tcp.example", dns.Record_SRV(1, 7, new.port, "one.example"), ttl=1)
        await until(
            lambda: (
                json.loads(admin(gateway, "/api/services"))["services"][0]["peers"][0]["name"]
                == f"127.0.0.1:{new.port}"
            )
        )
        await deferToThread(served, gateway, new)
        under_way.send(OK)
        assert (await deferToThread(client.answer)).status == 200
        assert await deferToThread(under_way.ended)
        assert names.zone.asked["one.example", dns.A] == 1
        client.close()

        names.zone.failing.add("_user._tcp.example")
        await until(lambda: measured(gateway, "apigw_discovery_failing", source="srv:_user._tcp.example") == 1.0)
        [failing] = [one for one in sources(gateway) if one["failing"]]
        assert "SERVFAIL" in failing["error"]
        assert failing["addresses"] == 1
        said = services(json.loads(admin(gateway, "/api/services"))).splitlines()[-1]
        assert said.split()[:2] == ["user", "srv:_user._tcp.example"]
        assert "SERVFAIL" in said
        assert measured(gateway, "apigw_discovery_failures_total", kind="unreachable", service="user") >= 1.0
        assert measured(gateway, "apigw_discovery_failing", source="dns:user.example") == 0.0
        await deferToThread(served, gateway, new)
        names.zone.failing.clear()
        await until(lambda: measured(gateway, "apigw_discovery_failing", service="user") == 0.0)
    finally:
        await deferToThread(gateway.stop)
        names.close()


@pytest_twisted.ensureDeferred
async def test_endpoint_slices_by_a_service_account(pair: tuple[Service, Service], tmp_path: Path) -> None:
    old, new = pair
    cluster = Authority("cluster")
    api = ApiServer(reactor, PrivateCertificate.loadPEM(cluster.issue("localhost")))
    api.token = "first"
    api.put(endpoint_slice("user-a", "127.0.0.1", port=old.port))
    token = write(tmp_path / "token", b"first\n")
    ca = write(tmp_path / "ca.crt", cluster.pem)
    text = (
        f"[discovery]\nkubernetes.api = https://localhost:{api.port.getHost().port}\nkubernetes.token_file = {token}\n"
    )
    text += f"kubernetes.ca = {ca}\n[service:user]\nurls = kubernetes://shop/user:http\n{COMMON}"
    gateway = await deferToThread(Gateway, tmp_path, text, listeners=2)
    try:
        await until(lambda: api.watches)
        await deferToThread(served, gateway, old)
        client = await deferToThread(ask, gateway)
        under_way = await deferToThread(old.accept)
        await deferToThread(under_way.request)
        api.put(endpoint_slice("user-a", "127.0.0.1", port=new.port))
        await until(
            lambda: (
                json.loads(admin(gateway, "/api/services"))["services"][0]["peers"][0]["name"]
                == f"127.0.0.1:{new.port}"
            )
        )
        await deferToThread(served, gateway, new)
        under_way.send(OK)
        assert (await deferToThread(client.answer)).status == 200
        assert await deferToThread(under_way.ended)  # it drained, and its connection isn't kept
        client.close()
        assert api.lists == 1

        api.token = "second"  # as when a token that was renewed expires
        api.end()
        await until(lambda: measured(gateway, "apigw_discovery_failures_total", kind="status") == 1.0)
        assert measured(gateway, "apigw_discovery_failing", source="kubernetes:shop/user") == 1.0
        await deferToThread(served, gateway, new)
        write(tmp_path / "token", b"second\n")
        await until(lambda: measured(gateway, "apigw_discovery_failing", source="kubernetes:shop/user") == 0.0)
    finally:
        await deferToThread(gateway.stop)
        api.end()
        await api.close()
