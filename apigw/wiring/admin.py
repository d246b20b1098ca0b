"""The admin listener: the same path of a request, with places and stages of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from apigw import __version__
from apigw.admin import openapi
from apigw.admin.access import AdminOnly
from apigw.admin.actions import ROUTE, Actions
from apigw.admin.api import AdminApi
from apigw.admin.cache import CacheOperations
from apigw.admin.dashboard import PATH as DASHBOARD_PATH
from apigw.admin.dashboard import Dashboard
from apigw.admin.explain import Explainer
from apigw.admin.health import Version
from apigw.admin.operations import Operation, Operations
from apigw.admin.plan import Planner
from apigw.admin.reload import PATH as RELOAD_PATH
from apigw.admin.reload import ReloadApi
from apigw.admin.revocations import PATH as REVOCATIONS_PATH
from apigw.admin.revocations import RevocationsApi
from apigw.admin.scrape import Scrape
from apigw.admin.versions import VersionsView
from apigw.config import GatewayConfig
from apigw.core import GatewayCore
from apigw.finder import ProxyRoutes, refuse
from apigw.pipeline import Route, Stage
from apigw.reload import in_turns
from apigw.routes import GatewayRoutes, Place
from apigw.routing import RouteMatch, RouteTable
from apigw.stages.origin import Origin
from apigw.wiring.around import Around
from apigw.wiring.common import Common
from apigw.wiring.parts import Parts
from apigw.wiring.services import Services

Beside = Callable[[str, Callable[[ProxyRoutes], Awaitable[dict[str, Any]]]], Awaitable[dict[str, Any]]]
"""Has something done with the routes of another configuration."""


class AdminListener:
    """
    The places of the admin listener.

    :param upstreams: by the names of services. :param find: the routes of clients. :param beside: for plans.
    """

    def __init__(
        self,
        config: GatewayConfig,
        around: Around,
        parts: Parts,
        common: Common,
        services: Services,
        find: ProxyRoutes,
        beside: Beside,
    ) -> None:
        self._config = config
        self._around = around
        self._parts = parts
        self._common = common
        self._services = services
        self._find = find
        self._beside = beside
        self._reactor = around.reactor
        self._date = around.date
        self._seconds = around.seconds
        self._epoch = around.epoch
        self._metrics = around.metrics

    def build(self) -> tuple[GatewayCore, GatewayRoutes]:
        """The admin listener: the same path of a request, with places and stages of its own."""
        assert self._metrics is not None
        anybody: list[Stage] = [Origin(self._common.forwarding)]
        every = anybody
        if not self._around.private:
            anybody = [*self._common.logging(), *anybody]
            every = [*anybody, AdminOnly(self._common.access)]
        scrape = Scrape(self._metrics.registry, self._reactor, self._seconds, self._date)
        api = self.api = Operations(self._operations(), self._date, self._around.steering.done)
        reloads = ReloadApi(
            self._around.reload, self._around.reloads.told, self._date, self._around.steering.done.check
        )
        places = {
            "/metrics": Route("admin-metrics", "", every, scrape),
            "/api": Route("admin-api", "", every, api),
            RELOAD_PATH: Route("admin-reload", "", every, reloads),
            "/health": Route("admin-health", "", every, self._common.health()),
            DASHBOARD_PATH: Route("admin-dashboard", "", anybody, Dashboard(self._date)),
            "/version": Route("admin-version", "", every, Version(__version__, self._date)),
        }
        if self._parts.tokens is not None:
            revocations = RevocationsApi(
                self._parts.revocations,
                self._config.revocation.keep,
                self._epoch,
                self._date,
                self._around.steering.done.check,
                lambda: self._parts.behind,
            )
            places[REVOCATIONS_PATH] = Route("admin-revocations", "", every, revocations)
        missing = Route("-", "", every, refuse)
        whole = Route("*", "", every, self._common.whole)
        entries = [(RouteMatch(path), route) for path, route in places.items()]
        entries.append((RouteMatch("=/"), places[DASHBOARD_PATH]))
        core = GatewayCore(ProxyRoutes(RouteTable(entries), missing, whole), missing, self._common.problem())
        routes = GatewayRoutes(Place(core))
        for path, route in places.items():
            routes.add(path.encode(), Place(core, route))
        return core, routes

    def _operations(self) -> list[Operation]:
        """Views and actions."""
        config, live = self._config, self._around.live
        assert live is not None
        closed = {"": config.gateway.maintenance} | {one.name: one.maintenance for one in config.services}
        closed |= {f"{ROUTE}{one.name}": one.maintenance for one in config.routes}
        operations = [
            *AdminApi(config, __version__, self._services.states, self._around.uptime, live, self._date).operations(),
            *Actions(self._services.upstreams, self._around.steering, closed).operations(),
            *CacheOperations(self._parts.cache, config.cache.size).operations(),
            *VersionsView(config, self._parts.calls, self._epoch).operations(),
            *Explainer(self._find, self._services.upstreams, self._seconds).operations(),
            *Planner(self._find, live, self._beside, partial(in_turns, clock=self._reactor)).operations(),
        ]
        return [*operations, openapi.operation(operations, __version__, self._parts.tokens is not None)]
