"""From the configuration to the stages that decide at the edge: addresses, origins, maintenance, limits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from apigw.config import GatewayConfig
from apigw.config.graphql import GraphqlSection
from apigw.config.limiting import Limit
from apigw.config.model import CorsSection, RouteSection
from apigw.config.units import Rate
from apigw.dates import HttpDate
from apigw.pipeline import Stage
from apigw.policy.cors import Cors
from apigw.policy.gcra import CAPACITY, LocalQuotas, Quota
from apigw.policy.ip_lists import IpLists, Network, Networks
from apigw.policy.limit_fields import draft
from apigw.policy.maintenance import Door
from apigw.policy.security_headers import OFF, SecurityHeaders
from apigw.stages.concurrency import Bounds, Concurrency, InFlight
from apigw.stages.cors import CrossOrigin
from apigw.stages.graphql import ByCost
from apigw.stages.idempotency import Answers
from apigw.stages.limits import (
    AddressFirst,
    Allowance,
    Combined,
    Exempt,
    LimitFields,
    Limits,
    QuotaStore,
    legacy_lines,
)
from apigw.stages.security import AddressLists, Closed, ResponseHeaders
from apigw.stages.upgrade import TunnelBounds, Upgrades
from apigw.state.answers import LocalAnswers
from apigw.state.inflight import LocalInFlight
from apigw.state.shared import SharedMemory
from apigw.state.zone import Zone
from apigw.streams import Streams
from apigw.wiring.closing import doors

if TYPE_CHECKING:
    from apigw.redis.client import Redis
    from apigw.state.redis_quotas import LocalStore


class Edge:
    """
    Builds the stages of all routes, with the quotas that they share.

    :param seconds: a clock that doesn't jump.
    :param epoch: seconds since 1970.
    :param before: of the configuration before, whose quotas go on where they fit.
    """

    def __init__(
        self,
        config: GatewayConfig,
        date: HttpDate,
        seconds: Callable[[], float],
        epoch: Callable[[], float],
        before: Edge | None = None,
    ) -> None:
        self._config = config
        self._date = date
        self._seconds = seconds
        self._epoch = epoch
        limits = config.limits
        self._keys = CAPACITY if limits is None else limits.keys
        self._shared: SharedMemory | None = SharedMemory.passed(os.environ) if before is None else before._shared
        same = before is not None and (self._shared is not None or before._keys == self._keys)
        self._local: LocalStore = before._local if before is not None and same else self._quotas()
        self._store: QuotaStore = self._local
        self._in_flight: InFlight | None = None if before is None else before._in_flight
        self._exempt = Exempt(Networks(()))
        if limits is not None:
            self._exempt = Exempt(Networks(limits.exempt), frozenset(limits.exempt_users))

    @property
    def machine(self) -> str:
        """Names the processes that count together; empty for a process that counts by itself."""
        return self._local.identity if isinstance(self._local, Zone) else ""

    def answers(self, redis: Redis | None) -> Answers:
        """Where answers to idempotency keys are kept."""
        if redis is not None:
            from apigw.state.redis_answers import RedisAnswers  # hiredis need not be installed

            return RedisAnswers(redis)
        return LocalAnswers(self._seconds) if self._shared is None else self._shared.open_answers()

    def count_in(self, redis: Redis) -> None:
        """Count there, with all gateways that do. To be called before any stage is built."""
        from apigw.state.redis_quotas import RedisQuotas  # hiredis need not be installed

        self._store = RedisQuotas(redis, self._local, self._seconds)

    def _quotas(self) -> LocalStore:
        return LocalQuotas(self._keys) if self._shared is None else self._shared.open_quotas()

    # -- for all exchanges ---------------------------------------------------------------------------------------------

    def every(self) -> list[Stage]:
        """What every exchange passes, before it is looked at what its route wants."""
        config = self._config
        stages = self._lists(config.gateway.allow_ips, config.gateway.deny_ips)
        if config.cors is not None:
            stages.append(self._cross_origin(config.cors))
        told = "draft" if config.limits is None else config.limits.headers
        if told != "none" and self._counting():
            stages.append(LimitFields(draft if told == "draft" else legacy_lines(self._epoch)))
        return stages

    def _counting(self) -> bool:
        config = self._config
        if config.limits is not None or any(consumer.limit for consumer in config.consumers):
            return True
        own = (route.limit for route in config.routes)
        return any(limit.ip or limit.user or limit.consumer or limit.route or limit.by for limit in own)

    def _cross_origin(self, cors: CorsSection) -> CrossOrigin:
        policy = Cors(
            cors.origins,
            credentials=cors.credentials,
            methods=cors.methods,
            headers=cors.headers,
            expose=cors.expose,
            max_age=cors.max_age,
            private_network=cors.private_network,
        )
        return CrossOrigin(policy, self._date, cors.refuse)

    # -- for one route -------------------------------------------------------------------------------------------------

    def own(self) -> list[Stage]:
        """For a place that the gateway answers by itself, from memory."""
        return self._headers(self._config.gateway.security_headers)

    def place(self, service: str, ip: str = "ip") -> list[Stage]:
        """
        For a place that has no section, and where it isn't asked who the client is.

        :param service: empty where none answers.
        :param ip: the key in ``[limits]`` of its limit by address.
        """
        limits = self._config.limits
        stages = [*self.own(), *self._closed(doors(self._config, (service,) if service else ()))]
        if limits is not None:
            allowance = Allowance(_quota("ip", limits.rate(ip)), ip_scope="" if ip == "ip" else ip)
            stages += self._limits(allowance, False)[1]
        return stages

    def graphql(self, section: GraphqlSection) -> tuple[list[Stage], list[Stage]]:
        """
        :return: what comes before it is asked who the client is, and what comes after; with ``cost_unit`` that comes
            after it is known what is asked for.
        """
        limits = self._config.limits
        stages = [*self.own(), *self._closed(doors(self._config, [section.service] if section.service else []))]
        asks = section.auth != "none"
        ip = None if limits is None else _quota("ip", limits.rate("ip"))
        user = _quota("user", limits.rate("user")) if asks and limits is not None else None
        allowance = Allowance(ip, user, name=section.name)
        unit = section.cost_unit
        if unit is None:
            first, after = self._limits(allowance, asks)
            return [*stages, *first], after
        arguments = (self._store, self._seconds, allowance, self._exempt)
        first = [] if ip is None else [AddressFirst(*arguments)]
        return [*stages, *first], [ByCost(*arguments, addresses=ip is not None, unit=unit)]

    def route(self, route: RouteSection) -> tuple[list[Stage], list[Stage]]:
        """:return: what comes before it is asked who the client is, and what comes after."""
        limit = route.limit
        ip, ip_scope = self._limit("ip", limit.ip, route.name)
        user, user_scope = self._limit("user", limit.user, route.name)
        allowance = Allowance(
            ip,
            user,
            _quota("consumer", limit.consumer or None),
            _quota("route", limit.route or None),
            [Combined(_named(combined.name, combined.rate), combined.parts) for combined in limit.by],
            ip_scope,
            user_scope,
            route.name,
            float(limit.cost),
            route.enforce,
        )
        headers = route.security_headers or self._config.gateway.security_headers
        first, after = self._limits(allowance, route.auth != "none")
        stages = [
            *self._headers(headers),
            *self._lists(route.allow_ips, route.deny_ips, route.enforce),
            *self._closed(doors(self._config, route.services, route)),
            *first,
        ]
        return stages, [*after, *self._concurrency(route)]

    def _limit(self, key: str, own: Limit | None, name: str) -> tuple[Quota | None, str]:
        """:return: a quota and whose it is: the route's own, or that of all routes that have none."""
        limits = self._config.limits
        if own is not None:
            return _quota(key, own or None), name
        return (None if limits is None else _quota(key, limits.rate(key))), ""

    def _limits(self, allowance: Allowance, asks: bool) -> tuple[list[Stage], list[Stage]]:
        """
        :param asks: it is asked who the client is.
        :return: what comes before that, and what comes after.
        """
        consumers = asks and any(consumer.limit for consumer in self._config.consumers)
        others = consumers or any((allowance.user, allowance.consumer, allowance.route, allowance.combined))
        if not others and allowance.ip is None:
            return [], []
        arguments = (self._store, self._seconds, allowance, self._exempt)
        if not asks or allowance.ip is None:
            return [], [Limits(*arguments)]
        if not others:
            return [Limits(*arguments)], []
        return [AddressFirst(*arguments)], [Limits(*arguments, addresses=True)]

    def _concurrency(self, route: RouteSection) -> list[Stage]:
        bounds = route.concurrent
        if not any((bounds.ip, bounds.user, bounds.consumer, bounds.route)):
            return []
        return [
            Concurrency(
                self._counter(),
                Bounds(route.name, bounds.ip, bounds.user, bounds.consumer, bounds.route, route.enforce),
            )
        ]

    def _counter(self) -> InFlight:
        if self._in_flight is None:
            self._in_flight = LocalInFlight() if self._shared is None else self._shared.open_in_flight()
        return self._in_flight

    def upgrades(self, route: RouteSection | GraphqlSection, streams: Streams) -> list[Stage]:
        """What lets requests change to another protocol; to come after all that may refuse them."""
        if not route.upgrade:
            return []
        protocols = tuple(name.encode() for name in route.upgrade)
        own, cors = route.tunnel, self._config.cors
        return [
            Upgrades(
                protocols,
                streams,
                self._counter(),
                TunnelBounds(route.name, own.user, own.route),
                None if cors is None else Cors(cors.origins),
                idle=own.idle,
                total=own.total,
            )
        ]

    def _lists(self, allow: Iterable[Network], deny: Iterable[Network], enforce: bool = True) -> list[Stage]:
        return [AddressLists(IpLists(allow, deny), enforce)] if allow or deny else []

    @staticmethod
    def _closed(found: Sequence[Door]) -> list[Stage]:
        return [Closed(*found)] if found else []

    @staticmethod
    def _headers(name: str) -> list[Stage]:
        return [] if name == OFF else [ResponseHeaders(SecurityHeaders(name))]


def _quota(name: str, rate: Rate | None) -> Quota | None:
    return None if rate is None else _named(name, rate)


def _named(name: str, rate: Rate) -> Quota:
    return Quota(name, rate.count, rate.period, rate.burst)
