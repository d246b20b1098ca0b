"""From the sections of services to their upstreams: peers, pools, breakers and balancers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from random import Random
from typing import Any

from apigw.config.addresses import PeerAddress
from apigw.config.model import ServiceSection
from apigw.demo import DemoService
from apigw.policy.balance import Group
from apigw.policy.breaker import Breaker, BreakerPolicy
from apigw.policy.retry import policy
from apigw.policy.retry_budget import RetryBudget
from apigw.upstream import dial
from apigw.upstream.peer import Peer
from apigw.upstream.pool import Pool, PoolSettings
from apigw.upstream.retries import Retries
from apigw.upstream.tls import client_creator
from apigw.upstream.upstream import Upstream


class UpstreamBuilder:
    """
    :param chance: for the balancers.

    :ivar demos: embedded services that are listening, by name; to be started with the gateway.
    """

    def __init__(self, reactor: Any, seconds: Callable[[], float], chance: Random) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._chance = chance
        self._budgets: dict[str, RetryBudget] = {}
        self.demos: dict[str, DemoService] = {}
        self._demo_ports: dict[str, int] = {}

    def upstream(self, service: ServiceSection) -> Upstream:
        """The upstream of a service, with its peers."""
        group: Group[Peer] = Group(
            service.balance, self._chance, slow_start=service.slow_start or 0.0, panic=service.panic
        )
        upstream = Upstream(service.name, group, self._reactor, self._seconds, service.max_queue, service.queue_timeout)
        peers = [self.peer(upstream, service, address, backup=False) for address in service.urls]
        peers += [self.peer(upstream, service, address, backup=True) for address in service.backup_urls]
        upstream.replace(peers)
        return upstream

    def retries(self, service: ServiceSection) -> Retries:
        """The retries of one route to ``service``; all routes to it share a budget."""
        own = service.retry
        budget = self._budgets.setdefault(service.name, RetryBudget(own.budget))
        chosen = policy(own.attempts, own.on, own.methods, *own.backoff)
        return Retries(chosen, budget, self._reactor, self._seconds, self._chance)

    def peer(self, upstream: Upstream, service: ServiceSection, address: PeerAddress, backup: bool) -> Peer:
        """A peer of ``upstream`` that isn't in use yet."""
        timeout = service.timeout
        settings = PoolSettings(
            max_connections=service.max_connections,
            connect_timeout=timeout.connect,
            timer_period=min(timeout.first_byte, timeout.idle, timeout.total),
        )
        secure = address.scheme == "https"
        if address.scheme == "unix":
            way = dial.unix(self._reactor, address.path)
        elif address.scheme == "demo":
            way = dial.tcp(self._reactor, "127.0.0.1", self._demo(address.host))
        else:
            way = dial.tcp(self._reactor, address.host, address.port)
        if secure:
            way = dial.tls(way, client_creator(address.host, service.tls), self._reactor)
        pool = Pool(way, self._reactor, self._seconds, settings, tls=secure, freed=upstream.freed)
        authority = address.authority.encode()
        origin = (b"https://" if secure else b"http://") + authority
        breaker = Breaker(breaker_policy(service))
        peer = Peer(address.label, origin, authority, pool, breaker, address.weight, backup)
        breaker.on_change(partial(upstream.breaker_changed, peer))
        return peer

    def _demo(self, name: str) -> int:
        if name not in self.demos:
            demo = self.demos[name] = DemoService(self._reactor, name)
            self._demo_ports[name] = demo.listen()
        return self._demo_ports[name]


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
