"""The whole path in memory, under Twisted's Clock: clients and services are pipes of which a test holds an end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_network
from os import urandom
from random import Random
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from apigw.core import GatewayCore
from apigw.dates import HttpDate
from apigw.messages import ClientAddress, Exchange, Outlet, Request, Timeouts
from apigw.pipeline import Route, Stage
from apigw.policy.balance import Group
from apigw.policy.breaker import Breaker, BreakerPolicy
from apigw.policy.forwarded import Forwarding
from apigw.policy.paths import Rewrite
from apigw.policy.requestid import RequestIds
from apigw.policy.retry import RetryPolicy
from apigw.policy.retry_budget import RetryBudget
from apigw.routes import GatewayRoutes, Place
from apigw.stages.origin import Origin
from apigw.stages.request_id import RequestId
from apigw.upstream.forwarder import Forwarder
from apigw.upstream.peer import Peer
from apigw.upstream.pool import Pool, PoolSettings
from apigw.upstream.retries import Retries, RetryCounts
from apigw.upstream.send import Send
from apigw.upstream.sticky import StickyPeers
from apigw.upstream.upstream import Upstream
from apigw.web.problem import Problem
from apigw.web.site import ChannelSettings, Site


def asking(method: bytes = b"GET") -> Exchange:
    """An exchange of a request without fields, for what looks at nothing else of it."""
    client = ClientAddress("192.0.2.7", 40000, b"http")
    request = Request(method, b"/", b"/", b"", b"gw", [], (), b"1.1", client, {})
    return Exchange(request, cast(Outlet, None), 0.0)


@implementer(ITCPTransport)
class Pipe:
    """
    One end of a connection.

    :ivar written: bytes that came out and were not taken yet.
    :ivar closed: empty, or how it ended: ``lost`` in order, ``aborted`` by a reset.
    :ivar half_closed: no more will be written.
    :ivar paused: the other side doesn't want to read.
    """

    disconnecting = False

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.written = b""
        self.closed = ""
        self.half_closed = False
        self.paused = False
        self.producer: Any = None
        protocol.makeConnection(self)

    def take(self) -> bytes:
        """What was written since the last call."""
        written, self.written = self.written, b""
        return written

    def feed(self, data: bytes) -> None:
        """Bytes arrive."""
        assert not self.closed
        self.protocol.dataReceived(data)

    def end(self) -> None:
        """The far side closes in order."""
        self._over("ended", ConnectionDone())

    def reset(self) -> None:
        """The far side resets."""
        self._over("reset", ConnectionLost())

    def shut(self) -> None:
        """The far side sends no more."""
        self.protocol.readConnectionLost()

    def _over(self, how: str, reason: Exception) -> None:
        if not self.closed:
            self.closed = how
            if self.producer is not None:
                self.producer.stopProducing()
            self.protocol.connectionLost(Failure(reason))

    def write(self, data: bytes) -> None:
        if not self.closed and not self.half_closed:
            self.written += data

    def writeSequence(self, data: Sequence[bytes]) -> None:
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None:
        self.loseConnection()

    def loseConnection(self) -> None:
        self._over("lost", ConnectionDone())

    def abortConnection(self) -> None:
        self._over("aborted", ConnectionAborted())

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.7", 40000)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 80)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed here."""

    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nothing dies here."""

    def getTcpKeepAlive(self) -> bool:
        return False


class Memory:
    """
    A gateway with one service, in memory.

    :ivar dials: connections the gateway made to the service.
    :ivar dialled: the number of the peer that each was made to.
    :ivar refuse_dials: what connecting fails with, at all peers or by number.
    :ivar done: exchanges that ended, in order.
    """

    def __init__(
        self,
        *,
        stages: Sequence[Stage] = (),
        settings: ChannelSettings | None = None,
        pool: PoolSettings | None = None,
        timeouts: Timeouts | None = None,
        max_queue: int = 10,
        queue_timeout: float = 1.0,
        breaker: BreakerPolicy | None = None,
        retry: RetryPolicy | None = None,
        peers: int = 1,
        trusted: Sequence[str] = (),
        across: Callable[[Exchange], Any] | None = None,
        around: Callable[[Memory], Send] | None = None,
        sticky: StickyPeers | None = None,
    ) -> None:
        self.clock = Clock()
        self.done: list[Exchange] = []
        self.dials: list[Pipe] = []
        self.date = HttpDate()
        self.dialled: list[int] = []
        self.refuse_dials: Exception | dict[int, Exception] | None = None
        self.hang_dials = False
        seconds = self.clock.seconds
        group: Group[Peer] = Group("round_robin", Random(1))
        self.upstream = Upstream("memory", group, self.clock, seconds, max_queue, queue_timeout, sticky=sticky)
        self.peers = [
            self._peer(number, pool or PoolSettings(), breaker or BreakerPolicy(volume=1000)) for number in range(peers)
        ]
        self.upstream.replace(self.peers)
        self.pool = self.peers[0].pool
        outer = self

        class Note(Stage):
            def done(self, exchange: Exchange) -> None:
                outer.done.append(exchange)

        ids = RequestIds(urandom)
        every = (RequestId(ids, seconds, False, False), Note(), Origin(Forwarding(map(ip_network, trusted))), *stages)
        self.counts = RetryCounts()
        self.budget = RetryBudget()
        self.retries = Retries(
            retry or RetryPolicy(attempts=1), self.budget, self.clock, seconds, Random(1), self.counts
        )
        self.across = across or Forwarder(
            self.upstream.request if around is None else around(self),
            timeouts or Timeouts(),
            Rewrite("/"),
            seconds,
            self.date,
            self.retries,
            sticky=sticky,
        )
        self.route = Route("memory", "memory", every, self.across)
        refused = Route("refused", "", every, self._refuse)
        core = GatewayCore(lambda exchange: self.route, refused, Problem(False, "apigw", self.date))
        self.site = Site(GatewayRoutes(Place(core)), core, settings or ChannelSettings(), self.clock, seconds=seconds)

    @staticmethod
    def _refuse(exchange: Exchange) -> Any:
        assert exchange.error is not None
        raise exchange.error

    def _peer(self, number: int, settings: PoolSettings, policy: BreakerPolicy) -> Peer:
        def dial(factory: Any, timeout: float) -> Any:
            refused = self.refuse_dials
            if isinstance(refused, dict):
                refused = refused.get(number)
            if refused is not None:
                factory.clientConnectionFailed(None, Failure(refused))
            elif not self.hang_dials:
                self.dialled.append(number)
                self.dials.append(Pipe(factory.buildProtocol(None)))
            return self

        breaker = Breaker(policy)
        pool = Pool(dial, self.clock, self.clock.seconds, settings, freed=self.upstream.freed)
        label = f"peer{number}:80"
        peer = Peer(label, b"http://" + label.encode(), label.encode(), pool, breaker)
        breaker.on_change(partial(self.upstream.breaker_changed, peer))
        return peer

    def disconnect(self) -> None:
        """Part of IConnector."""

    def client(self) -> Pipe:
        """A new client connection."""
        return Pipe(self.site.buildProtocol(None))
