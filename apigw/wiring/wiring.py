"""From one configuration to all that answers requests by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred

from apigw.admin.actions import NotPossible
from apigw.admin.live import Seen
from apigw.admin.operations import Operations
from apigw.config import ConfigErrors, GatewayConfig
from apigw.config.steps import Steps
from apigw.core import GatewayCore
from apigw.finder import ProxyRoutes
from apigw.policy.revocations import Revocations
from apigw.reload import CannotStart, in_turns
from apigw.routes import GatewayRoutes
from apigw.telemetry.upstreams import ServiceState
from apigw.wiring.admin import AdminListener, Beside
from apigw.wiring.around import Around
from apigw.wiring.common import Common
from apigw.wiring.edge import Edge
from apigw.wiring.entry import Entry
from apigw.wiring.forwarders import Forwarders
from apigw.wiring.parts import Parts
from apigw.wiring.routing import Routing
from apigw.wiring.services import Services


@frozen
class Kept:
    """What of one configuration the next one takes over where it doesn't change."""

    edge: Edge
    services: Services
    parts: Parts


class Wiring:
    """
    All that one configuration needs to answer requests, listeners apart. Nothing works before :meth:`commit`.

    Nothing that it makes leads back to it: once the next one is in force and the last request has ended, all of it
    is freed without the collector, which would stop the loop to find it.

    :param before: of the one in use.
    :ivar kept: of this one, for the next.
    """

    core: GatewayCore
    routes: GatewayRoutes
    admin: tuple[GatewayCore, GatewayRoutes]
    api: Operations | None = None
    """What operators may do; None without an admin listener."""
    kept: Kept
    _parts: Parts
    _routing: Routing

    def __init__(self, config: GatewayConfig, around: Around, before: Kept | None = None) -> None:
        self._config = config
        self._around = around
        self._before = before
        self._edge = Edge(config, around.date, around.seconds, around.epoch, None if before is None else before.edge)
        self._services = Services(config, around.builder, None if before is None else before.services)

    def build(self) -> Steps[None]:
        """
        Make what is new.

        :raises CannotStart: something can't be used; it is to be given up then.
        """
        config, around, before = self._config, self._around, self._before
        services, edge = self._services, self._edge
        yield from services.build()
        parts = self._parts = Parts(config, around, edge, None if before is None else before.parts)
        kept = self.kept = Kept(edge, services, parts)
        common = Common(config, around, services.states)
        forwarders = Forwarders(config, around, services.upstreams, parts.traces)
        entry = Entry(config, parts.tokens, parts.key_file, around.epoch)
        routing = self._routing = Routing(config, around, parts, edge, common, forwarders, entry)
        yield from routing.build()
        self.core, self.routes = routing.core, routing.resources
        if config.admin is not None:
            beside: Beside = partial(_beside, around, kept)
            listener = AdminListener(config, around, parts, common, services, routing.find, beside)
            self.admin = listener.build()
            self.api = listener.api

    def commit(self) -> None:
        """Begin to work, and end what of the configuration before isn't needed any more."""
        self._before = None
        self._parts.start()
        self._services.commit()

    def give_up(self) -> None:
        """It will not be used; the one before goes on."""
        self._services.give_up()

    def stop(self) -> Deferred[Any]:
        """The end. :return: fires when all has been sent that is kept for others; within a second or so."""
        ended = self._parts.stop()
        self._services.abort()
        return ended

    def redirecting(self, port: int) -> GatewayRoutes:
        """For a listener all of whose requests take one route: to https, on that port."""
        return self._routing.redirecting(port)

    @property
    def revocations(self) -> Revocations:
        """The same as that of the configuration before."""
        return self._parts.revocations

    def known(self) -> Deferred[None]:
        """:return: fires when it is known what others have revoked, or won't be for a while; at once without others."""
        return self._parts.known()

    def states(self) -> list[ServiceState]:
        """How the services are at this moment."""
        return self._services.states()

    def seen(self) -> list[Seen]:
        """All services, for who looks at them each second."""
        return self._services.seen()


async def _beside(
    around: Around, kept: Kept, text: str, use: Callable[[ProxyRoutes], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """
    Have something done with the routes of another configuration.

    :param kept: of the one in use.
    :raises NotPossible: it can't be used.
    """
    try:
        config = await in_turns(around.steering.load(text), around.reactor)
        other = Wiring(config, around, kept)
        try:
            await in_turns(other.build(), around.reactor)
            return await use(other._routing.find)
        finally:
            other.give_up()
    except (ConfigErrors, CannotStart) as wrong:
        raise NotPossible(str(wrong)) from None
