"""From the section of a route to what asks its services, where that may be more than one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from apigw.config import GatewayConfig
from apigw.config.model import RouteSection
from apigw.pipeline import Across, Route
from apigw.upstream.forwarder import Forwarder
from apigw.upstream.keys import hash_key
from apigw.upstream.split import Split, Target
from apigw.upstream.upstream import Upstream

Forward = Callable[[str, type[Forwarder]], Across]
"""From the name of a service, and the kind of forwarder, to what has its answers."""


class Fanout:
    """
    Of one route.

    :param forward: makes what asks one service, with all that the route says of it.
    :param seconds: monotonic.
    """

    def __init__(
        self,
        config: GatewayConfig,
        route: RouteSection,
        upstreams: Mapping[str, Upstream],
        forward: Forward,
        seconds: Callable[[], float],
    ) -> None:
        self._config = config
        self._route = route
        self._upstreams = upstreams
        self._forward = forward
        self._seconds = seconds
        self._splits: list[Split] = []

    def across(self, made: type[Forwarder]) -> Across:
        """What asks the service, or one of those that share the route."""
        route = self._route
        if route.service is not None:
            return self._forward(route.service, made)
        targets = [
            Target(
                one.service,
                one.weight,
                self._forward(one.service, made),
                self._upstreams[one.service],
                self._config.service(one.service).maintenance,
            )
            for one in route.shares
        ]
        split = Split(targets, None if route.split.on is None else hash_key(route.split.on), self._seconds)
        self._splits.append(split)
        return split

    def settle(self, made: Route) -> Route:
        """Let what it has made know the route that it is part of."""
        for split in self._splits:
            split.settle(made)
        return made
