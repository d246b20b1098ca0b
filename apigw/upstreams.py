"""From the sections of services to their upstreams: peers, pools, breakers and balancers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from math import inf
from random import Random
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.web.client import Agent
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from apigw.admin.states import service_state
from apigw.config.addresses import PeerAddress
from apigw.config.discovering import DiscoverySection
from apigw.config.model import ServiceSection, ServiceTls
from apigw.demo import DemoService
from apigw.outbound import OneTimeConnections
from apigw.policy.adaptive import HIGH, LOW, NORMAL, AdaptiveLimit, AdaptivePolicy
from apigw.policy.balance import Group
from apigw.policy.breaker import Breaker, BreakerPolicy
from apigw.policy.health import HealthPolicy
from apigw.policy.hedge import Hedge, HedgePolicy
from apigw.policy.outlier import OutlierPolicy
from apigw.policy.retry import RetryPolicy, policy
from apigw.policy.retry_budget import RetryBudget
from apigw.policy.sticky import Sticky
from apigw.sources import SourceBuilder
from apigw.telemetry.upstreams import ServiceState
from apigw.upstream import dial
from apigw.upstream.adaptive import Adaptive
from apigw.upstream.dial import Dials
from apigw.upstream.discovery.source import Found, Source
from apigw.upstream.discovery.watch import Changed, Watch
from apigw.upstream.health import CheckSettings, HealthCheck
from apigw.upstream.hedged import Hedged
from apigw.upstream.peer import Peer
from apigw.upstream.pool import Pool, PoolSettings
from apigw.upstream.registry import Registry
from apigw.upstream.retries import Retries, RetryCounts
from apigw.upstream.send import Send
from apigw.upstream.sticky import StickyPeers
from apigw.upstream.tls import client_creator
from apigw.upstream.upstream import Upstream

PRIORITIES = {"high": HIGH, "normal": NORMAL, "low": LOW}

Verdict = Callable[[str, str, bool, str], object]
"""Gets a service, a peer, whether it is healthy, and what was wrong."""

MAX_CREATORS = 256
"""Ways to verify peers, by name, that are kept: to read the system's authorities takes some 10 ms."""


class UpstreamBuilder:
    """
    :param chance: for the balancers.
    :param dials: how peers are reached.

    :ivar watches: of the sources of addresses, to be started with the gateway.
    :ivar on_verdict: told of what a check has found, where that is new.
    :ivar demos: embedded services that are listening, by name; to be started with the gateway.
    """

    def __init__(
        self,
        reactor: Any,
        seconds: Callable[[], float],
        chance: Random,
        discovery: DiscoverySection,
        dials: Dials = dial,
    ) -> None:
        self._dials = dials
        self._reactor = reactor
        self._seconds = seconds
        self._chance = chance
        self._sources = SourceBuilder(reactor, seconds, discovery)
        self._checks: dict[Peer, HealthCheck] = {}
        self._checking = False
        self._verdicts: dict[tuple[str, str], tuple[bool, str]] = {}
        self.on_verdict: Verdict | None = None
        self._creator = lru_cache(MAX_CREATORS)(_creator)
        self.watches: list[Watch] = []
        self._registries: dict[Upstream, Registry] = {}
        self._watches_of: dict[Upstream, list[Watch]] = {}
        self._limits: dict[Upstream, AdaptiveLimit] = {}
        self._hedges: dict[Upstream, Hedge] = {}
        self._budgets: dict[tuple[str, float], RetryBudget] = {}
        self._counts: dict[str, RetryCounts] = {}
        self.demos: dict[str, DemoService] = {}
        self._demo_ports: dict[str, int] = {}

    def upstream(self, service: ServiceSection) -> Upstream:
        """The upstream of a service, with its peers."""
        group: Group[Peer] = Group(
            service.balance, self._chance, slow_start=service.slow_start or 0.0, panic=service.panic
        )
        outliers = OutlierPolicy(
            consecutive_5xx=service.outlier.consecutive_5xx,
            consecutive_connect=service.outlier.consecutive_connect,
            eject_for=service.outlier.eject_for,
            max_ejected=service.outlier.max_ejected,
        )
        upstream = Upstream(
            service.name,
            group,
            self._reactor,
            self._seconds,
            service.max_queue,
            service.queue_timeout,
            outliers,
            _sticky(service),
        )
        every = addresses(service)
        fixed = [self.peer(upstream, service, one, backup) for one, backup in every if not one.discovered]
        registry = self._registries[upstream] = Registry(
            upstream, fixed, partial(self._found, upstream, service), self._dropped
        )
        for one, backup in every:
            if one.discovered:
                source = self._sources.source(one, backup)
                changed = partial(registry.changed, source)
                self._watch(upstream, source, changed, f"{one.url}{' backup' if backup else ''}")
        return upstream

    def _watch(self, upstream: Upstream, source: Source, changed: Changed, url: str) -> None:
        """:param url: what sources are called by that are called the same otherwise."""
        others = self._watches_of.setdefault(upstream, [])
        label = url if any(other.label == source.label for other in others) else source.label
        watch = Watch(upstream.name, source, changed, self._reactor, self._seconds, self._chance, label)
        others.append(watch)
        self.watches.append(watch)

    def state(self, upstream: Upstream) -> ServiceState:
        """How a service is at this moment."""
        name = upstream.name
        return service_state(upstream, self._counts.get(name, RetryCounts()), self._watches_of.get(upstream, ()))

    def watches_of(self, upstream: Upstream) -> Sequence[Watch]:
        """What finds its peers."""
        return self._watches_of.get(upstream, ())

    def rediscover(self, discovery: DiscoverySection) -> None:
        """Find the peers of upstreams that are made from now on in another way."""
        self._sources = SourceBuilder(self._reactor, self._seconds, discovery)

    def revise(self, upstream: Upstream, service: ServiceSection) -> None:
        """Let an upstream have the addresses that ``service`` has now; a peer that stays is as it was."""
        there = {(peer.label, peer.origin, peer.candidate.backup): peer for peer in self._registries[upstream].fixed}
        peers = []
        for address, backup in addresses(service):
            if not address.discovered:
                origin = b"%b://%b" % (b"https" if address.scheme == "https" else b"http", address.authority.encode())
                peer = there.pop((address.label, origin, backup), None)
                if peer is None:
                    peer = self.peer(upstream, service, address, backup)
                    if self._checking and peer in self._checks:
                        self._checks[peer].start()
                peer.candidate.weight = address.weight
                peers.append(peer)
        self._registries[upstream].fix(peers)

    def begin(self, upstream: Upstream) -> None:
        """Start the checks of an upstream that was made while others were in use."""
        for peer in upstream.peers:
            if self._checking and peer in self._checks:
                self._checks[peer].start()

    def forget(self, upstream: Upstream) -> None:
        """It gets no more requests: those under way end as they would."""
        upstream.close()
        for peer in upstream.peers:
            self._dropped(peer)
        self._registries.pop(upstream)
        self._limits.pop(upstream, None)
        self._hedges.pop(upstream, None)
        for watch in self._watches_of.pop(upstream, ()):
            self.watches.remove(watch)
            if watch.parent is not None:
                watch.disownServiceParent()

    def _checked(self, service: str, peer: Peer) -> None:
        health = peer.health
        assert health is not None
        verdict = (health.healthy, health.reason)
        if self.on_verdict is not None and self._verdicts.get((service, peer.label)) != verdict:
            self._verdicts[service, peer.label] = verdict
            self.on_verdict(service, peer.label, *verdict)

    def told(self, service: str, label: str, healthy: bool, reason: str) -> None:
        """What the checks of another process have found; holds for a peer that is found later too."""
        self._verdicts[service, label] = (healthy, reason)
        for upstream in self._registries:
            if upstream.name == service:
                for peer in upstream.peers:
                    if peer.label == label and peer in self._checks:
                        self._checks[peer].told(healthy, reason)

    def start_checks(self) -> None:
        """Of peers that there are, and from now on of each that is found."""
        self._checking = True
        for check in self._checks.values():
            check.start()

    def stop_checks(self) -> None:
        self._checking = False
        for check in self._checks.values():
            check.stop()

    def _found(self, upstream: Upstream, service: ServiceSection, found: Found) -> Peer:
        address = PeerAddress(
            scheme=found.scheme, host=found.host, port=found.port, weight=found.weight, name=found.name
        )
        peer = self.peer(upstream, service, address, found.backup)
        if self._checking and peer in self._checks:
            self._checks[peer].start()
        return peer

    def _dropped(self, peer: Peer) -> None:
        check = self._checks.pop(peer, None)
        if check is not None:
            check.stop()

    def send(self, upstream: Upstream, service: ServiceSection, priority: str = "normal", hedged: bool = True) -> Send:
        """
        What gets the answers for a route to ``service``.

        :param hedged: copies of requests may be sent, where the service has it so.
        """
        send: Send = upstream.request
        own = service.adaptive
        if own.limit is not None:
            limit = self._limits.get(upstream)
            if limit is None:
                bounds = AdaptivePolicy(
                    initial=own.limit, lowest=own.lowest, highest=own.highest, tolerance=1.0 + own.tolerance
                )
                limit = self._limits[upstream] = AdaptiveLimit(bounds)
            send = Adaptive(send, limit, PRIORITIES[priority], self._seconds)
        if hedged and service.hedge.after is not None:
            hedge = self._hedges.get(upstream)
            if hedge is None:
                when = HedgePolicy(service.hedge.after, service.hedge.samples, service.hedge.shortest)
                hedge = self._hedges[upstream] = Hedge(when)
            methods = self._retry_policy(service).methods
            budget, counts = self._budget(service), self._retry_counts(service)
            send = Hedged(send, upstream, hedge, budget, counts, methods, self._reactor, self._seconds)
        return send

    def retries(self, service: ServiceSection) -> Retries:
        """The retries of one route to ``service``; all routes to it share a budget."""
        chosen, budget = self._retry_policy(service), self._budget(service)
        return Retries(chosen, budget, self._reactor, self._seconds, self._chance, self._retry_counts(service))

    @staticmethod
    def _retry_policy(service: ServiceSection) -> RetryPolicy:
        own = service.retry
        return policy(own.attempts, own.on, own.methods, *own.backoff)

    def _budget(self, service: ServiceSection) -> RetryBudget:
        share = service.retry.budget
        return self._budgets.setdefault((service.name, share), RetryBudget(share))

    def _retry_counts(self, service: ServiceSection) -> RetryCounts:
        return self._counts.setdefault(service.name, RetryCounts())

    def peer(self, upstream: Upstream, service: ServiceSection, address: PeerAddress, backup: bool) -> Peer:
        """A peer of ``upstream`` that isn't in use yet."""
        timeout = service.timeout
        settings = PoolSettings(
            max_connections=service.max_connections,
            connect_timeout=timeout.connect,
            idle_timeout=service.keepalive.idle,
            max_age=service.keepalive.max_age,
            max_requests=service.keepalive.max_requests,
            timer_period=min(timeout.first_byte, timeout.idle, timeout.total),
        )
        secure = address.scheme == "https"
        if address.scheme == "unix":
            way = self._dials.unix(self._reactor, address.path)
        elif address.scheme == "demo":
            way = self._dials.tcp(self._reactor, "127.0.0.1", self._demo(address.host))
        else:
            way = self._dials.tcp(self._reactor, address.host, address.port)
        if secure:
            way = self._dials.tls(way, self._creator(address.name or address.host, service.tls), self._reactor)
        pool = Pool(way, self._reactor, self._seconds, settings, tls=secure, freed=upstream.freed)
        authority = address.authority.encode()
        origin = (b"https://" if secure else b"http://") + authority
        breaker = Breaker(breaker_policy(service))
        peer = Peer(address.label, origin, authority, pool, breaker, address.weight, backup)
        breaker.on_change(partial(upstream.breaker_changed, peer))
        if service.health.path is not None:
            self._checks[peer] = self._check(upstream, service, peer, address)
        return peer

    def _check(self, upstream: Upstream, service: ServiceSection, peer: Peer, address: PeerAddress) -> HealthCheck:
        own = service.health
        health = HealthPolicy(
            interval=own.interval,
            interval_down=own.interval if own.interval_down is None else own.interval_down,
            healthy_after=own.healthy_after,
            unhealthy_after=own.unhealthy_after,
            statuses=own.status,
            body=(own.body or "").encode(),
        )
        settings = CheckSettings(health, own.path or "/health", own.timeout, own.host or "")
        agent = Agent.usingEndpointFactory(
            self._reactor, _Fixed(self._endpoint(service, address)), OneTimeConnections(self._reactor)
        )
        check = HealthCheck(
            peer,
            agent,
            settings,
            self._reactor,
            self._seconds,
            self._chance,
            upstream.fitness_changed,
            partial(self._checked, upstream.name),
        )
        known = self._verdicts.get((upstream.name, peer.label))
        if known is not None and not self._checking:
            check.told(*known)
        return check

    def _endpoint(self, service: ServiceSection, address: PeerAddress) -> IStreamClientEndpoint:
        """The address for Twisted's own agent."""
        if address.scheme == "unix":
            return UNIXClientEndpoint(self._reactor, address.path)
        host, port = address.host, address.port
        if address.scheme == "demo":
            host, port = "127.0.0.1", self._demo(address.host)
        endpoint: IStreamClientEndpoint = HostnameEndpoint(self._reactor, host, port)
        if address.scheme == "https":
            endpoint = wrapClientTLS(self._creator(address.name or address.host, service.tls), endpoint)
        return endpoint

    def _demo(self, name: str) -> int:
        if name not in self.demos:
            demo = self.demos[name] = DemoService(self._reactor, name)
            self._demo_ports[name] = demo.listen()
        return self._demo_ports[name]


def addresses(service: ServiceSection) -> list[tuple[PeerAddress, bool]]:
    """All that the section has, and whether it is for backup."""
    return [*((one, False) for one in service.urls), *((one, True) for one in service.backup_urls)]


def _sticky(service: ServiceSection) -> StickyPeers | None:
    own = service.sticky
    if own.cookie is None:
        return None
    max_age = None if own.max_age is None else int(own.max_age)
    return StickyPeers(Sticky(own.secret, service.name), own.cookie.encode(), max_age)


def _creator(host: str, settings: ServiceTls) -> IOpenSSLClientConnectionCreator:
    return client_creator(host, settings)


@implementer(IAgentEndpointFactory)
class _Fixed:
    """One endpoint, whatever the URL."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: object) -> IStreamClientEndpoint:
        return self._endpoint


def breaker_policy(service: ServiceSection) -> BreakerPolicy:
    """The ``breaker.*`` keys of a service."""
    own = service.breaker
    return BreakerPolicy(
        ratio=own.ratio,
        volume=own.volume,
        window=own.window,
        consecutive=own.consecutive,
        slow_after=inf if own.slow_after is None else own.slow_after,
        slow_ratio=own.slow_ratio,
        open_for=own.open_for,
        half_open=own.half_open,
        closes_after=own.closes_after,
    )
