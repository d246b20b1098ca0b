"""Peers from a real name server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from random import Random

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.names import dns

from apigw.upstream.discovery.dns import DnsSource, SrvSource, TtlBounds, host_of
from apigw.upstream.discovery.names import Names
from apigw.upstream.discovery.nameserver import ask
from apigw.upstream.discovery.resolv_conf import ResolverSettings
from apigw.upstream.discovery.source import Found, SourceFailed
from apigw.upstream.discovery.watch import Watch
from tests.upstream.discovery.name_server import NameServer


@pytest.fixture
def server() -> Iterator[NameServer]:
    server = NameServer(reactor)
    yield server
    server.close()


def names(server: NameServer, clock: Clock | None = None) -> Names:
    settings = ResolverSettings(servers=(server.address,), attempts=1)
    return Names(
        partial(ask, reactor), lambda: settings, lambda: "127.0.0.1 localhost", (clock or Clock()).seconds, 60.0
    )


def host(server: NameServer, name: str = "user.example", clock: Clock | None = None) -> DnsSource:
    return DnsSource(names(server, clock), "https", name, 8443, 3, True, TtlBounds())


def srv(server: NameServer) -> SrvSource:
    return SrvSource(names(server), "http", "_user._tcp.example", False, TtlBounds(least=1.0))


@pytest_twisted.ensureDeferred
async def test_each_address_is_a_peer_with_the_name_of_the_url(server):
    server.zone.a("user.example", "10.0.0.1", "10.0.0.2", ttl=20)
    answer = await host(server, "user.example.").fetch()
    assert sorted(answer.found, key=lambda found: found.host) == [
        Found(scheme="https", host="10.0.0.1", port=8443, name="user.example", weight=3, backup=True),
        Found(scheme="https", host="10.0.0.2", port=8443, name="user.example", weight=3, backup=True),
    ]
    assert answer.ttl == 20


@given(st.floats(min_value=0.0))
def test_the_ttl_has_bounds(ttl):
    bounds = TtlBounds(5.0, 60.0)
    assert 5.0 <= bounds(ttl) <= 60.0
    assert bounds(ttl) == ttl or not 5.0 <= ttl <= 60.0


@pytest_twisted.ensureDeferred
async def test_what_is_in_the_hosts_file_is_looked_at_again_too(server):
    assert (await host(server, "localhost").fetch()).ttl == TtlBounds().most


@pytest_twisted.ensureDeferred
async def test_srv_records_give_ports_weights_and_backups(server):
    server.zone.set(
        "_user._tcp.example",
        dns.Record_SRV(10, 60, 9001, "one.example"),
        dns.Record_SRV(10, 0, 9002, "two.example"),
        dns.Record_SRV(20, 5, 9003, "three.example"),
        ttl=40,
    )
    server.zone.a("one.example", "10.0.0.1", ttl=30)
    server.zone.a("two.example", "10.0.0.2")
    server.zone.a("three.example", "10.0.0.3", "10.0.0.4")
    answer = await srv(server).fetch()
    assert {(one.host, one.port, one.weight, one.backup) for one in answer.found} == {
        ("10.0.0.1", 9001, 60, False),
        ("10.0.0.2", 9002, 1, False),
        ("10.0.0.3", 9003, 5, True),
        ("10.0.0.4", 9003, 5, True),
    }
    assert {(one.scheme, one.name) for one in answer.found} == {("http", "example")}
    assert answer.ttl == 30


@pytest_twisted.ensureDeferred
async def test_a_target_without_address_is_left_out(server):
    server.zone.set(
        "_user._tcp.example", dns.Record_SRV(1, 1, 9001, "gone.example"), dns.Record_SRV(1, 1, 9002, "two.example")
    )
    server.zone.a("two.example", "10.0.0.2")
    assert [one.host for one in (await srv(server).fetch()).found] == ["10.0.0.2"]


@pytest_twisted.ensureDeferred
async def test_half_a_list_is_no_list(server):
    server.zone.set(
        "_user._tcp.example", dns.Record_SRV(1, 1, 9001, "one.example"), dns.Record_SRV(1, 1, 9002, "two.example")
    )
    server.zone.a("one.example", "10.0.0.1")
    server.zone.failing.add("two.example")
    with pytest.raises(SourceFailed, match="SERVFAIL"):
        await srv(server).fetch()


@pytest_twisted.ensureDeferred
async def test_a_service_that_is_said_not_to_be_there(server):
    server.zone.set("_user._tcp.example", dns.Record_SRV(0, 0, 0, ""))
    with pytest.raises(SourceFailed, match="no such service"):
        await srv(server).fetch()


@pytest.mark.parametrize(
    ("name", "domain"),
    [("_user._tcp.example.", "example"), ("user.service.consul", "user.service.consul"), ("_a._b", "_b")],
)
def test_the_name_of_peers(name, domain):
    assert host_of(name) == domain


@pytest_twisted.ensureDeferred
async def test_a_name_is_asked_for_once_a_ttl(server):
    server.zone.a("user.example", "10.0.0.1", ttl=20)
    clock = Clock()
    told: list[tuple[str, ...]] = []
    waiting: list[Deferred[None]] = [Deferred()]

    def changed(found: tuple[Found, ...]) -> None:
        told.append(tuple(one.host for one in found))
        reactor.callLater(0, waiting[-1].callback, None)

    watch = Watch("user", host(server, clock=clock), changed, clock, clock.seconds, Random(1))
    watch.startService()
    await waiting[-1]
    clock.advance(19.9)
    assert server.zone.asked["user.example", dns.A] == 1
    server.zone.a("user.example", "10.0.0.2", ttl=20)
    waiting.append(Deferred())
    clock.advance(2.2)
    await waiting[-1]
    assert told == [("10.0.0.1",), ("10.0.0.2",)]
    assert server.zone.asked["user.example", dns.A] == 2
    await watch.stopService()
