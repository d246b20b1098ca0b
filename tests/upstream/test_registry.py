"""New lists against the peers there are, over real connections on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from random import Random
from time import monotonic
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from apigw.messages import Attempt, Timeouts
from apigw.policy.balance import Group
from apigw.policy.breaker import Breaker, BreakerPolicy
from apigw.upstream import dial
from apigw.upstream.discovery.source import Found
from apigw.upstream.peer import Peer
from apigw.upstream.pool import Pool, PoolSettings
from apigw.upstream.registry import Registry
from apigw.upstream.upstream import Upstream
from tests.kit import asking

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Conversation(Protocol):
    """Answers at once, unless its service waits."""

    def connectionMade(self) -> None:
        self.factory.service.connections.append(self)
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        service = self.factory.service
        service.requests += 1
        asked, service.asked = service.asked, Deferred()
        if not service.waits:
            self.transport.write(ANSWER)
        asked.callback(self)

    def connectionLost(self, reason: object = None) -> None:
        self.lost.callback(None)


class Service:
    """
    A service on loopback.

    :ivar waits: answers are the test's affair.
    :ivar asked: fires with the connection of the next request.
    """

    def __init__(self) -> None:
        self.waits = False
        self.requests = 0
        self.connections: list[Conversation] = []
        self.asked: Deferred[Conversation] = Deferred()
        factory = Factory.forProtocol(Conversation)
        factory.noisy = False
        factory.service = self
        self.listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.port = self.listening.getHost().port

    def found(self, **more: Any) -> Found:
        return Found(scheme="http", host="127.0.0.1", port=self.port, **more)


class Side:
    """The gateway's side: an upstream whose peers a registry makes."""

    def __init__(self, fixed: tuple[Found, ...] = (), max_connections: int = 10) -> None:
        self.settings = PoolSettings(max_connections=max_connections)
        self.upstream = Upstream("user", Group("round_robin", Random(1)), reactor, monotonic, 10, 5.0)
        self.made: list[Peer] = []
        self.dropped: list[Peer] = []
        self.broken = False
        self.registry = Registry(self.upstream, [self.make(one) for one in fixed], self.make, self.dropped.append)

    def make(self, found: Found) -> Peer:
        if self.broken:
            raise OSError("no certificate")
        way = dial.tcp(reactor, found.host, found.port)
        pool = Pool(way, reactor, monotonic, self.settings, freed=self.upstream.freed)
        breaker = Breaker(BreakerPolicy())
        peer = Peer(found.label, b"http://a", b"a", pool, breaker, found.weight, found.backup)
        breaker.on_change(partial(self.upstream.breaker_changed, peer))
        self.made.append(peer)
        return peer

    def get(self) -> Deferred[Any]:
        attempt = Attempt(monotonic(), None, monotonic() + 20.0, Timeouts())
        return Deferred.fromCoroutine(self.upstream.request(asking(), attempt, b"/", False, b""))

    @property
    def labels(self) -> list[str]:
        return [peer.label for peer in self.upstream.peers]


@pytest.fixture
def services() -> Iterator[tuple[Service, Service]]:
    both = Service(), Service()
    yield both
    for service in both:
        service.listening.stopListening()


def found(host: str, **more: Any) -> Found:
    return Found(scheme="http", host=host, port=80, **more)


def test_peers_that_stay_keep_all_and_get_their_new_weights():
    side = Side()
    side.registry.changed("dns", [found("10.0.0.1"), found("10.0.0.2")])
    one, two = side.upstream.peers
    side.registry.changed("dns", [found("10.0.0.3"), found("10.0.0.2", weight=7)])
    assert {peer.label for peer in side.upstream.peers} == {"10.0.0.3:80", "10.0.0.2:80"}
    assert two in side.upstream.peers
    assert two.candidate.weight == 7
    assert not two.pool.closed
    assert one.pool.closed
    assert side.dropped == [one]
    assert len(side.made) == 3


def test_weights_change_who_is_picked():
    side = Side()
    side.registry.changed("dns", [found("10.0.0.1"), found("10.0.0.2")])
    side.registry.changed("dns", [found("10.0.0.1", weight=3), found("10.0.0.2")])
    group = side.upstream._group
    picked = [group.pick(0.0, lambda _: True).peer.label for _ in range(400)]
    assert picked.count("10.0.0.1:80") == 300


@pytest.mark.parametrize("other", [found("10.0.0.1", name="b"), found("10.0.0.1", backup=True)])
def test_what_is_another_peer_at_the_same_address_replaces_it(other):
    side = Side()
    side.registry.changed("dns", [found("10.0.0.1", name="a")])
    side.registry.changed("dns", [other])
    assert side.labels == ["10.0.0.1:80"]
    assert side.upstream.peers == (side.made[1],)
    assert side.dropped == side.made[:1]


def test_lists_of_several_sources_and_fixed_peers_are_one_without_doubles():
    side = Side(fixed=(found("10.0.0.1"),))
    assert side.labels == ["10.0.0.1:80"]
    side.registry.changed("backup", [found("10.0.0.2", backup=True), found("10.0.0.3", backup=True)])
    side.registry.changed("dns", [found("10.0.0.1"), found("10.0.0.2")])
    backups = {peer.label: peer.candidate.backup for peer in side.upstream.peers}
    assert backups == {"10.0.0.1:80": False, "10.0.0.2:80": False, "10.0.0.3:80": True}
    assert side.upstream.peers[0] is side.made[0]
    side.registry.changed("dns", [])
    backups = {peer.label: peer.candidate.backup for peer in side.upstream.peers}
    assert backups == {"10.0.0.1:80": False, "10.0.0.2:80": True, "10.0.0.3:80": True}


def test_when_a_peer_can_not_be_made_nothing_changes_and_the_next_list_counts():
    side = Side()
    side.registry.changed("dns", [found("10.0.0.1")])
    side.broken = True
    with pytest.raises(OSError):
        side.registry.changed("dns", [found("10.0.0.2")])
    assert side.labels == ["10.0.0.1:80"]
    assert side.dropped == []
    side.broken = False
    side.registry.changed("dns", [found("10.0.0.2")])
    assert side.labels == ["10.0.0.2:80"]


@pytest_twisted.ensureDeferred
async def test_a_peer_that_goes_closes_what_is_idle_and_ends_what_it_is_at(services):
    old, new = services
    side = Side()
    side.registry.changed("dns", [old.found()])
    old.waits = True
    idle, busy = side.get(), side.get()
    while old.requests < 2:
        await old.asked
    first, second = old.connections
    first.transport.write(ANSWER)
    assert (await idle).status == 200
    side.registry.changed("dns", [new.found()])
    await first.lost
    assert (await side.get()).status == 200
    assert new.requests == 1
    assert old.requests == 2
    second.transport.write(ANSWER)
    assert (await busy).status == 200
    await second.lost
    side.upstream.close()
    await new.connections[0].lost


@pytest_twisted.ensureDeferred
async def test_who_waits_for_a_connection_gets_one_to_a_peer_that_came(services):
    old, new = services
    old.waits = True
    side = Side(max_connections=1)
    side.registry.changed("dns", [old.found()])
    stuck = side.get()
    held = await old.asked
    waiting = side.get()
    assert side.upstream.waiting == 1
    side.registry.changed("dns", [old.found(), new.found()])
    assert (await waiting).status == 200
    assert new.requests == 1
    held.transport.write(ANSWER)
    assert (await stuck).status == 200
    side.upstream.close()
    await held.lost
    await new.connections[0].lost
