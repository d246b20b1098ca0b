"""From the section of a route to what asks its services, where that may be more than one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import evolve

from apigw.config import GatewayConfig
from apigw.config.fallback import ServiceFallback
from apigw.config.model import RouteSection, ServiceSection
from apigw.config.sending import ServiceHedge
from apigw.config.sharing import Mirrored
from apigw.messages import Field
from apigw.pipeline import Across, Route, Stage
from apigw.stages.mirror import FIELD, Copies, Mirror
from apigw.telemetry.fanout import FanoutMetrics
from apigw.upstream.forwarder import Forwarder
from apigw.upstream.keys import hash_key
from apigw.upstream.split import Split, Target
from apigw.upstream.upstream import Upstream


class Forward(Protocol):
    def __call__(
        self, service: ServiceSection, made: type[Forwarder] = ..., priority: str = ..., added: Sequence[Field] = ...
    ) -> Across:
        """What asks one service, with all that the route says of it. :param added: fields that it gets besides."""


class Fanout:
    """
    Of one route.

    :param metrics: where it is counted what becomes of copies.
    :param seconds: monotonic.
    """

    def __init__(
        self,
        config: GatewayConfig,
        route: RouteSection,
        upstreams: Mapping[str, Upstream],
        forward: Forward,
        metrics: FanoutMetrics,
        reactor: Any,
        seconds: Callable[[], float],
    ) -> None:
        self._config = config
        self._route = route
        self._upstreams = upstreams
        self._forward = forward
        self._metrics = metrics
        self._reactor = reactor
        self._seconds = seconds
        self._splits: list[Split] = []

    def across(self, made: type[Forwarder]) -> Across:
        """What asks the service, or one of those that share the route."""
        route, config = self._route, self._config
        if route.service is not None:
            return self._forward(config.service(route.service), made)
        targets = []
        for one in route.shares:
            service = config.service(one.service)
            across, upstream = self._forward(service, made), self._upstreams[one.service]
            targets.append(Target(one.service, one.weight, across, upstream, service.maintenance))
        split = Split(targets, None if route.split.on is None else hash_key(route.split.on), self._seconds)
        self._splits.append(split)
        return split

    def settle(self, made: Route) -> Route:
        """Let what it has made know the route that it is part of."""
        for split in self._splits:
            split.settle(made)
        return made

    def stages(self) -> list[Stage]:
        """To stand last, for what is refused isn't copied. A service in maintenance gets no copies."""
        mirrored = [one for one in self._route.copies if not self._config.service(one.service).maintenance]
        if not mirrored:
            return []
        return [Mirror([self._copies(one) for one in mirrored], self._route.mirror.max_body)]

    def _copies(self, mirrored: Mirrored) -> Copies:
        """
        A copy is made once: not again where it fails, nor twice where it is slow; and it is the first to be refused.
        Its answer may take as long again as its head.
        """
        section = self._config.service(mirrored.service)
        once = evolve(
            section, retry=evolve(section.retry, attempts=1), hedge=ServiceHedge(), fallback=ServiceFallback()
        )
        return Copies(
            self._route.name,
            mirrored.service,
            mirrored.share,
            self._forward(once, priority="low", added=[(FIELD, self._route.name.encode())]),
            self._route.mirror.max_in_flight,
            2.0 * (self._route.timeout.total or section.timeout.total),
            self._reactor,
            self._metrics.copies,
        )
