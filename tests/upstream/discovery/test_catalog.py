"""An HTTP registry on loopback, and all that one may answer."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.web.client import Agent

from apigw.upstream.discovery.catalog import AGAIN, Catalog, CatalogSource, parse_catalog
from apigw.upstream.discovery.dns import TtlBounds
from apigw.upstream.discovery.names import Names
from apigw.upstream.discovery.nameserver import ask
from apigw.upstream.discovery.resolv_conf import ResolverSettings
from apigw.upstream.discovery.source import Found, SourceFailed
from tests.upstream.discovery.http_server import HttpServer, never
from tests.upstream.discovery.name_server import NameServer

ENTRY = {"name": "user", "host": "10.0.0.1", "port": 9001, "weight": 2}


def document(*entries: object) -> dict[str, object]:
    return {"services": list(entries), "version": 7}


def test_a_catalog():
    known = parse_catalog(
        document(
            ENTRY,
            {"name": "user", "host": "User-2.Example", "port": 443, "scheme": "https", "uptime": 3},
            {"name": "user", "host": "10.0.0.3", "port": 1, "healthy": False},
            {"name": "user", "host": "10.0.0.4", "port": 1, "weight": 0},
            {"name": "music", "host": "FD00::0:1", "port": 9001, "healthy": True},
        )
    )
    assert known == {
        "user": (
            Found(scheme="http", host="10.0.0.1", port=9001, weight=2),
            Found(scheme="https", host="user-2.example", port=443),
        ),
        "music": (Found(scheme="http", host="fd00::1", port=9001),),
    }


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {},
        {"services": {}},
        {"services": "user"},
        document(1),
        document({}),
        document({**ENTRY, "name": 1}),
        document(ENTRY, ["user"]),
    ],
)
def test_what_is_no_catalog(bad):
    with pytest.raises(SourceFailed):
        parse_catalog(bad)


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": None},
        {"host": ""},
        {"host": 1},
        {"host": "a b"},
        {"host": "a/b"},
        {"host": "http://a"},
        {"host": "a\r\nb"},
        {"host": "[::1]"},
        {"host": "fe80::1%eth0"},
        {"host": "ä"},
        {"host": "a" * 300},
        {"port": None},
        {"port": "80"},
        {"port": 0},
        {"port": 65536},
        {"port": 80.0},
        {"port": True},
        {"weight": -1},
        {"weight": "2"},
        {"weight": 1.5},
        {"weight": None},
        {"weight": 65536},
        {"scheme": "ftp"},
        {"scheme": None},
        {"healthy": "no"},
    ],
)
def test_a_malformed_entry_is_the_trouble_of_its_service_alone(wrong):
    known = parse_catalog(document(ENTRY, {**ENTRY, **wrong}, {**ENTRY, "name": "music"}))
    assert isinstance(known["user"], SourceFailed)
    assert "entry 1" in str(known["user"])
    assert known["music"] == (Found(scheme="http", host="10.0.0.1", port=9001, weight=2),)


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
json_values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner))
entries = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b"])}, optional=dict.fromkeys(("host", "port", "weight", "scheme"), leaves)
)


@given(json_values | st.lists(entries | json_values).map(lambda services: {"services": services}))
def test_any_json_is_a_catalog_or_a_failure(value):
    try:
        known = parse_catalog(value)
    except SourceFailed:
        return
    for found in known.values():
        if not isinstance(found, SourceFailed):
            assert all(0 < one.port < 65536 and one.weight > 0 and one.host for one in found)


class Registry:
    """:ivar document: that the server gives, as JSON."""

    def __init__(self) -> None:
        self.document: Any = document(ENTRY, {**ENTRY, "name": "music"})
        self.server = HttpServer(reactor, lambda request: json.dumps(self.document).encode())
        self.name_server = NameServer(reactor)
        self.now = Clock()
        settings = ResolverSettings(servers=(self.name_server.address,), attempts=1)
        self._names = Names(partial(ask, reactor), lambda: settings, lambda: "", self.now.seconds, 60.0)
        self.catalog = Catalog(self.server.url + "/s", Agent(reactor), reactor, self.now.seconds, 45.0)

    def source(self, name: str = "user", backup: bool = False) -> CatalogSource:
        return CatalogSource(self.catalog, self._names, name, backup, TtlBounds())


@pytest_twisted.async_yield_fixture
async def registry():
    registry = Registry()
    yield registry
    registry.name_server.close()
    await registry.server.close()


@pytest_twisted.ensureDeferred
async def test_the_peers_of_a_service(registry):
    answer = await registry.source(backup=True).fetch()
    assert answer.found == (Found(scheme="http", host="10.0.0.1", port=9001, weight=2, backup=True),)
    assert answer.ttl == 45.0
    [request] = registry.server.requests
    assert (request.method, request.uri) == (b"GET", b"/s")
    assert registry.source().label == "registry:user"


@pytest_twisted.ensureDeferred
async def test_the_registry_is_asked_once_an_interval_for_all_services(registry):
    await gatherResults([Deferred.fromCoroutine(registry.source(name).fetch()) for name in ("user", "music", "user")])
    registry.now.advance(44.0)
    assert (await registry.source("music").fetch()).ttl == 1.0
    assert len(registry.server.requests) == 1
    registry.now.advance(1.0)
    registry.document = document({**ENTRY, "port": 2})
    assert [one.port for one in (await registry.source().fetch()).found] == [2]
    assert len(registry.server.requests) == 2


@pytest_twisted.ensureDeferred
async def test_failures_are_told_to_all_and_not_asked_for_again_at_once(registry):
    await registry.server.close()
    for name in ("user", "music"):
        with pytest.raises(SourceFailed, match="refused"):
            await registry.source(name).fetch()
    registry.server.reopen()
    with pytest.raises(SourceFailed, match="refused"):
        await registry.source().fetch()
    registry.now.advance(AGAIN)
    assert (await registry.source().fetch()).found


@pytest_twisted.ensureDeferred
async def test_an_unknown_service_and_a_malformed_one_fail(registry):
    with pytest.raises(SourceFailed, match="knows no service other"):
        await registry.source("other").fetch()
    registry.now.advance(50.0)
    registry.document = document({**ENTRY, "port": "x"})
    with pytest.raises(SourceFailed, match="port is no number"):
        await registry.source().fetch()


@pytest_twisted.ensureDeferred
async def test_names_become_addresses_and_stay_the_names_of_peers(registry):
    registry.name_server.zone.a("one.example", "10.0.0.7", "10.0.0.8", ttl=20)
    registry.document = document(
        {"name": "user", "host": "one.example", "port": 443, "scheme": "https", "weight": 3},
        {"name": "user", "host": "gone.example", "port": 443},
        {"name": "user", "host": "10.0.0.9", "port": 1},
    )
    answer = await registry.source().fetch()
    assert sorted((one.host, one.port, one.name, one.weight) for one in answer.found) == [
        ("10.0.0.7", 443, "one.example", 3),
        ("10.0.0.8", 443, "one.example", 3),
        ("10.0.0.9", 1, "", 1),
    ]
    assert answer.ttl == 20
    registry.now.advance(19.0)
    assert {one.host for one in (await registry.source().fetch()).found} == {"10.0.0.7", "10.0.0.8", "10.0.0.9"}
    assert registry.name_server.zone.asked["one.example", dns.A] == 1
    registry.now.advance(1.0)
    registry.name_server.zone.failing.add("one.example")
    with pytest.raises(SourceFailed, match="SERVFAIL"):
        await registry.source().fetch()
    assert registry.name_server.zone.asked["one.example", dns.A] == 2


@pytest_twisted.ensureDeferred
async def test_who_stops_waiting_does_not_stop_it_for_others(registry):
    hold: list[Any] = []

    def answer(request: Any) -> int:
        hold.append(request)
        return never(request)

    registry.server.answer = answer
    one = Deferred.fromCoroutine(registry.source().fetch())
    two = Deferred.fromCoroutine(registry.source("music").fetch())
    await registry.server.asked
    one.cancel()
    with pytest.raises(CancelledError):
        await one
    hold[0].write(json.dumps(registry.document).encode())
    hold[0].finish()
    assert (await two).found


@pytest_twisted.ensureDeferred
async def test_when_nobody_waits_the_question_is_given_up(registry):
    registry.server.answer = never
    one = Deferred.fromCoroutine(registry.source().fetch())
    request = await registry.server.asked
    gone = request.notifyFinish()
    one.cancel()
    for over in (one, gone):
        with pytest.raises(Exception):  # noqa: B017 it differs with who notices first
            await over
