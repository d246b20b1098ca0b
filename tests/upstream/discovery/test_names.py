"""Names become addresses by the hosts file, then by a real name server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import inf
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.names import dns

from apigw.upstream.discovery.names import MAX_ALIASES, Names, NotFound, Resolved
from apigw.upstream.discovery.nameserver import ask
from apigw.upstream.discovery.resolv_conf import ResolverSettings
from apigw.upstream.discovery.source import SourceFailed
from tests.upstream.discovery.name_server import NameServer


@pytest.fixture
def server() -> Iterator[NameServer]:
    server = NameServer(reactor)
    yield server
    server.close()


def names(server: NameServer, hosts: str = "", clock: Clock | None = None, **settings: Any) -> Names:
    clock = clock or Clock()
    found = ResolverSettings(servers=(server.address,), timeout=5.0, attempts=1, **settings)
    return Names(partial(ask, reactor), lambda: found, lambda: hosts, clock.seconds, 60.0)


@pytest_twisted.ensureDeferred
async def test_the_ttl_is_the_least_of_the_records(server):
    server.zone.a("user.example", "10.0.0.1", "10.0.0.2", ttl=17)
    server.zone.records["user.example", dns.A][1].ttl = 11
    resolved = await names(server).addresses("user.example")
    assert sorted(resolved.values) == ["10.0.0.1", "10.0.0.2"]
    assert resolved.ttl == 11


@pytest_twisted.ensureDeferred
async def test_aliases_are_followed_and_their_ttl_counts(server):
    server.zone.set("user.example", dns.Record_CNAME("eu.Example"), ttl=9)
    server.zone.set("eu.example", dns.Record_CNAME("one.example"), ttl=40)
    server.zone.a("one.example", "10.0.0.1", ttl=60)
    assert await names(server).addresses("User.example") == Resolved(("10.0.0.1",), 9)


@pytest_twisted.ensureDeferred
async def test_an_alias_that_the_server_does_not_follow_is_asked_for(server):
    server.zone.set("user.example", dns.Record_CNAME("one.example"), ttl=9)
    server.zone.follows = False
    server.zone.a("one.example", "10.0.0.1", ttl=60)
    assert await names(server).addresses("user.example") == Resolved(("10.0.0.1",), 9)


@pytest.mark.parametrize("follows", [True, False])
@pytest_twisted.ensureDeferred
async def test_a_circle_of_aliases_ends(server, follows):
    server.zone.set("a.example", dns.Record_CNAME("b.example"))
    server.zone.set("b.example", dns.Record_CNAME("a.example"))
    server.zone.follows = follows
    with pytest.raises(SourceFailed):
        await names(server).addresses("a.example")
    assert server.zone.asked.total() <= 2 * MAX_ALIASES


@pytest_twisted.ensureDeferred
async def test_ipv6_only_where_there_is_no_ipv4(server):
    server.zone.set("six.example", dns.Record_AAAA("fd00::0:1"), ttl=7)
    assert await names(server).addresses("six.example") == Resolved(("fd00::1",), 7)
    server.zone.a("six.example", "10.0.0.1")
    assert (await names(server).addresses("six.example")).values == ("10.0.0.1",)


@pytest_twisted.ensureDeferred
async def test_the_hosts_file_comes_first_and_no_dns_is_asked(server):
    server.zone.a("user.example", "10.0.0.1")
    looked = names(server, "192.0.2.1 user.example\n127.0.0.1 localhost\n::1 localhost six\n")
    assert await looked.addresses("user.example") == Resolved(("192.0.2.1",), inf)
    assert await looked.addresses("localhost") == Resolved(("127.0.0.1",), inf)
    assert await looked.addresses("six") == Resolved(("::1",), inf)
    assert await names(server).addresses("localhost") == Resolved(("127.0.0.1",), inf)
    assert not server.zone.asked


@pytest_twisted.ensureDeferred
async def test_short_names_are_searched_for(server):
    server.zone.a("user.ns.svc", "10.0.0.1")
    server.zone.a("user", "10.0.0.9")
    looked = names(server, search=("other.svc", "ns.svc"), ndots=5)
    assert (await looked.addresses("user")).values == ("10.0.0.1",)
    assert (await looked.addresses("user.")).values == ("10.0.0.9",)


@pytest_twisted.ensureDeferred
async def test_trouble_with_a_domain_is_not_taken_for_absence(server):
    server.zone.failing.add("user.ns.svc")
    server.zone.a("user", "10.0.0.9")
    with pytest.raises(SourceFailed, match="SERVFAIL") as caught:
        await names(server, search=("ns.svc",), ndots=5).addresses("user")
    assert not isinstance(caught.value, NotFound)


@pytest_twisted.ensureDeferred
async def test_absence_is_told(server):
    server.zone.set("user.example", dns.Record_TXT(b"x"))
    with pytest.raises(NotFound):
        await names(server).addresses("user.example")
    with pytest.raises(NotFound):
        await names(server).addresses("other.example")
    with pytest.raises(NotFound):
        await names(server).services("user.example")


@pytest_twisted.ensureDeferred
async def test_settings_are_read_each_time(server):
    server.zone.a("user.example", "10.0.0.1")
    found = [ResolverSettings(servers=(("127.0.0.1", 1),), attempts=1)]
    looked = Names(partial(ask, reactor), lambda: found[-1], lambda: "", Clock().seconds, 60.0)
    with pytest.raises(SourceFailed):
        await looked.addresses("user.example")
    found.append(ResolverSettings(servers=(server.address,)))
    assert (await looked.addresses("user.example")).values == ("10.0.0.1",)


@pytest_twisted.ensureDeferred
async def test_addresses_are_kept_for_their_ttl_or_the_longest_that_may_be(server):
    clock = Clock()
    looked = names(server, clock=clock)
    server.zone.a("user.example", "10.0.0.1", ttl=20)
    server.zone.a("long.example", "10.0.0.2", ttl=3600)
    for name in ("user.example", "long.example", "user.example"):
        await looked.addresses(name)
    clock.advance(15.0)
    assert await looked.addresses("user.example") == Resolved(("10.0.0.1",), 5.0)
    assert server.zone.asked["user.example", dns.A] == 1
    server.zone.a("user.example", "10.0.0.3", ttl=20)
    clock.advance(5.0)
    assert await looked.addresses("user.example") == Resolved(("10.0.0.3",), 20)
    clock.advance(39.0)
    await looked.addresses("long.example")
    assert server.zone.asked["long.example", dns.A] == 1
    clock.advance(1.0)
    await looked.addresses("long.example")
    assert server.zone.asked["long.example", dns.A] == 2


@pytest_twisted.ensureDeferred
async def test_a_name_that_could_not_be_told_is_asked_for_again(server):
    looked = names(server)
    with pytest.raises(NotFound):
        await looked.addresses("user.example")
    server.zone.a("user.example", "10.0.0.1")
    assert (await looked.addresses("user.example")).values == ("10.0.0.1",)
