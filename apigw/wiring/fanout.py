"""From the section of a route to what asks its services, where that may be more than one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from attrs import evolve

from apigw.config import GatewayConfig
from apigw.config.aggregating import PartTarget
from apigw.config.fallback import ServiceFallback
from apigw.config.model import RouteSection, ServiceSection
from apigw.config.sending import ServiceHedge
from apigw.config.sharing import Mirrored
from apigw.dates import HttpDate
from apigw.errors import Maintenance
from apigw.messages import Exchange, Field, Response
from apigw.pipeline import Across, Route, Stage
from apigw.policy.maintenance import Door
from apigw.stages.aggregate import FOR_PARTS, OF_THE_WHOLE, Aggregate, Attempted, Part
from apigw.stages.mirror import FIELD, Copies, Mirror
from apigw.stages.target import MadeTarget
from apigw.telemetry.fanout import FanoutMetrics
from apigw.upstream.forwarder import Forwarder
from apigw.upstream.keys import hash_key
from apigw.upstream.split import Split, Target
from apigw.upstream.upstream import Upstream
from apigw.wiring.closing import service_door


class Forward(Protocol):
    def __call__(
        self,
        service: ServiceSection,
        made: type[Forwarder] = ...,
        *,
        priority: str = ...,
        target: MadeTarget | None = ...,
        total: float | None = ...,
        removed: Sequence[bytes] = ...,
        added: Sequence[Field] = ...,
    ) -> Across:
        """
        What asks one service, with all that the route says of it.

        :param priority: where the service is at its limit. :param target: path and query.
        :param total: seconds that it has. :param removed: fields that it doesn't get, as
            :class:`~apigw.policy.field_changes.FieldChanges` has them. :param added: those that it gets besides.
        """


class Fanout:
    """
    Of one route.

    :param metrics: where it is counted what becomes of copies and parts.
    :param attempted: is told of the attempts to get parts.
    :param seconds: monotonic.
    """

    def __init__(
        self,
        config: GatewayConfig,
        route: RouteSection,
        upstreams: Mapping[str, Upstream],
        forward: Forward,
        metrics: FanoutMetrics,
        attempted: Attempted,
        date: HttpDate,
        reactor: Any,
        seconds: Callable[[], float],
    ) -> None:
        self._config = config
        self._route = route
        self._upstreams = upstreams
        self._forward = forward
        self._metrics = metrics
        self._attempted = attempted
        self._date = date
        self._reactor = reactor
        self._seconds = seconds
        self._splits: list[Split] = []

    def across(self, made: type[Forwarder]) -> Across:
        """What asks the service, or one of those that share the route."""
        route, config = self._route, self._config
        if route.service is not None:
            return self._forward(config.service(route.service), made)
        if route.parts:
            return self._aggregate()
        targets = []
        for one in route.shares:
            service = config.service(one.service)
            across, upstream = self._forward(service, made), self._upstreams[one.service]
            targets.append(Target(one.service, one.weight, across, upstream, service_door(config, service)))
        split = Split(targets, None if route.split.on is None else hash_key(route.split.on), self._seconds)
        self._splits.append(split)
        return split

    def _aggregate(self) -> Aggregate:
        route, own = self._route, self._route.aggregate
        parts = [self._part(one) for one in route.parts]
        return Aggregate(
            route.name,
            parts,
            own.failure,
            own.max_body,
            self._reactor,
            self._date,
            self._metrics.parts,
            self._attempted,
        )

    def _part(self, part: PartTarget) -> Part:
        route, service = self._route, self._config.service(part.service)
        total = route.timeout.total or service.timeout.total
        seconds = min(total, route.aggregate.timeout or total)
        target = MadeTarget(part.target)
        across = self._forward(service, target=target, total=seconds, removed=OF_THE_WHOLE, added=FOR_PARTS)
        door = service_door(self._config, service)
        return Part(part.name, part.service, across if door is None else partial(_through, door, across), seconds)

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


def _through(door: Door, across: Across, exchange: Exchange) -> Response | Awaitable[Response]:
    if not door.admits(exchange.client_ip):
        raise Maintenance(retry_after=door.seconds)
    return across(exchange)
