"""Shares the requests of a route among several services, by weight."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from attrs import define

from apigw.errors import Maintenance
from apigw.messages import Exchange, Response
from apigw.pipeline import Across, Route
from apigw.policy.maintenance import Door, wait
from apigw.policy.split import Draw, Entry
from apigw.upstream.upstream import Upstream

Key = Callable[[Exchange], bytes | None]


@define(eq=False)
class Target:
    """
    :ivar service: its name. :ivar across: what answers there.
    :ivar door: while it is in maintenance, so that it has part in the draws of those alone whom that admits.
    :ivar route: what an exchange has for its route from the draw on.
    """

    service: str
    weight: int
    across: Across
    upstream: Upstream
    door: Door | None = None
    route: Route | None = None

    def admits(self, client: str) -> bool:
        return self.door is None or self.door.admits(client)


class Split:
    """
    What a route has across where several services share its requests.

    A service that is closed, or of whose peers none can be asked, is left out until that changes: its keys go to the
    others in the meantime. Where no peer of any can be asked it is drawn as if all were well, and the service drawn
    says what is wrong.

    :param key: of which the same draws the same; None for each request by itself. So it is too where a request has no
        key, or an empty one.
    :param seconds: monotonic.
    """

    def __init__(self, targets: Sequence[Target], key: Key | None, seconds: Callable[[], float]) -> None:
        self._targets = tuple(targets)
        self._draw = Draw([Entry(target.service, target.weight) for target in targets])
        self._key = key
        self._seconds = seconds

    def settle(self, route: Route) -> None:
        """Name the drawn service in all that is said of an exchange from the draw on. To be called once."""
        for target in self._targets:
            target.route = Route(route.name, target.service, route.stages, target.across)

    def __call__(self, exchange: Exchange) -> Response | Awaitable[Response]:
        """:raises Maintenance: all are closed that have a weight."""
        target = self._targets[self._drawn(exchange, self._draw.turn)]
        exchange.route = target.route
        return target.across(exchange)

    def explain(self, exchange: Exchange) -> dict[str, Any]:
        """
        What the service would get that is drawn next, or for the key.

        :raises LoopDetected: the request has come through here before. :raises Maintenance: all are closed.
        """
        target = self._targets[self._drawn(exchange, self._draw.peek)]
        explain = getattr(target.across, "explain", None)
        planned: dict[str, Any] = {} if explain is None else explain(exchange)
        now, client = self._seconds(), exchange.client_ip
        shares = [
            {
                "service": one.service,
                "weight": one.weight,
                "usable": one.admits(client) and one.upstream.askable(now),
            }
            for one in self._targets
        ]
        return planned | {"service": target.service, "split": shares}

    def _drawn(self, exchange: Exchange, turn: Callable[[Callable[[int], object]], int | None]) -> int:
        targets, now = self._targets, self._seconds()
        key = None if self._key is None else self._key(exchange)
        draw = turn if not key else lambda usable: self._draw.of(key, usable)
        client = exchange.client_ip
        found = draw(lambda index: targets[index].admits(client) and targets[index].upstream.askable(now))
        if found is None:
            found = draw(lambda index: targets[index].admits(client))
        if found is None:
            raise Maintenance(retry_after=wait([one.door for one in targets if one.door is not None], client))
        return found
