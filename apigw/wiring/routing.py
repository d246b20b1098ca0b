"""The routes of one configuration, with their stages."""

from __future__ import annotations

from apigw import __version__
from apigw.admin.forward_auth import ForwardAuth
from apigw.admin.health import Version
from apigw.admin.session import Session
from apigw.config import GatewayConfig
from apigw.config.caching import OFF
from apigw.config.graphql import GraphqlSection
from apigw.config.model import RouteSection
from apigw.config.steps import SOME, Steps
from apigw.config.versioning import UNVERSIONED
from apigw.core import GatewayCore
from apigw.finder import VERSION, ProxyRoutes, VersionedRoutes, refuse
from apigw.pipeline import Across, Route, Stage
from apigw.policy.cache.terms import Rules
from apigw.policy.fields import FOLD
from apigw.policy.paths import Rewrite
from apigw.policy.versions import Versions
from apigw.routes import GatewayRoutes, Place
from apigw.routing import RouteMatch, RouteTable
from apigw.stages.body_limit import BodyLimit
from apigw.stages.cache import Cached, Invalidation
from apigw.stages.client_certificate import CertificateFields, ClientAuthChecked
from apigw.stages.events import EventStreams
from apigw.stages.idempotency import Once
from apigw.stages.json_body import JsonBody
from apigw.stages.metrics import Metrics
from apigw.stages.origin import Origin
from apigw.stages.recording import Recording
from apigw.stages.transport_security import StrictTransport, ToHttps
from apigw.stages.versions import ContractVersion, Versioned
from apigw.upstream.forwarder import Forwarder
from apigw.upstream.upgrading import Either, UpgradingForwarder
from apigw.web.entrance import host_auths
from apigw.wiring.around import Around
from apigw.wiring.changes import compression, transformed
from apigw.wiring.common import Common
from apigw.wiring.edge import Edge
from apigw.wiring.entry import Entry
from apigw.wiring.forwarders import Forwarders
from apigw.wiring.graphs import graphql_stages, rules_of
from apigw.wiring.parts import Parts

AUTH_PATH = "/api/v1/auth"
"""Where the founding system has its sign-in; goes to the service ``user`` unless a route says otherwise."""

AUTH_REWRITE = "/api/auth"

SESSION_PATH = f"{AUTH_PATH}/session"
"""Where a client asks what the gateway makes of its token."""


class Routing:
    """
    The routes of one configuration, with their stages.

    :ivar find: from an exchange to its route. :ivar core: the path of a request. :ivar resources: the tree of places.
    """

    find: ProxyRoutes
    core: GatewayCore
    resources: GatewayRoutes

    def __init__(
        self,
        config: GatewayConfig,
        around: Around,
        parts: Parts,
        edge: Edge,
        common: Common,
        forwarders: Forwarders,
        entry: Entry,
    ) -> None:
        self._config = config
        self._parts = parts
        self._edge = edge
        self._common = common
        self._forwarders = forwarders
        self._entry = entry
        self._reactor = around.reactor
        self._date = around.date
        self._seconds = around.seconds
        self._epoch = around.epoch
        self._metrics = around.metrics
        self._live = None if config.admin is None else around.live

    def build(self) -> Steps[None]:
        config = self._config
        every = self._stages()
        missing = Route("-", "", [*every, *self._edge.place("")], refuse)
        whole = Route("*", "", [*every, *self._edge.own()], self._common.whole)
        places = self._places(every)
        table: RouteTable[Route] = RouteTable()
        for number, route in enumerate(config.routes):
            if number % SOME == 0:
                yield
            table.add(_match(route), self._route(route, every))
        taken = {match.path for match in table.matches}
        for path, place in places.items():
            if path not in taken:
                table.add(RouteMatch(path), place)
        find = self.find = self._finder(table, missing, whole)
        core = GatewayCore(find, missing, self._common.problem())
        routes = GatewayRoutes(Place(core))
        for path, place in places.items():
            routes.add(path.encode(), Place(core, place))
        self.core, self.resources = core, routes

    def redirecting(self, port: int) -> GatewayRoutes:
        """All requests take one route: to https."""
        stages = self._common.logging()
        if self._metrics is not None:
            stages.append(Metrics(self._metrics.requests))
        stages.append(Origin(self._common.forwarding))
        return GatewayRoutes(Place(self.core, Route("redirect", "", stages, ToHttps(port, self._date))))

    def _finder(self, table: RouteTable[Route], missing: Route, whole: Route) -> ProxyRoutes:
        config = self._config
        preflights, section = config.cors is not None, config.versioning
        if section is None:
            return ProxyRoutes(table, missing, whole, preflights)
        versions = Versions(section.sources, config.known_versions, section.default or "")
        unversioned = [route.name for route in config.routes if route.version == UNVERSIONED]
        return VersionedRoutes(table, missing, whole, preflights, versions, unversioned)

    def _places(self, every: list[Stage]) -> dict[str, Route]:
        """The gateway's own places by path: they come before any configured route."""
        config = self._config
        cap = config.gateway.max_body
        own = [*every, *self._edge.own()]
        places = {
            "/health": Route("health", "", own, self._common.health()),
            "/version": Route("version", "", own, Version(__version__, self._date)),
        }
        if any(service.name == "user" for service in config.services) and not self._routed(AUTH_PATH):
            across = self._forwarders.one(config.service("user"), Rewrite(AUTH_PATH, template=AUTH_REWRITE))
            stages = _limited([*every, *self._edge.place("user", "auth"), *self._certificate("user")], cap)
            places[AUTH_PATH] = Route("auth", "user", stages, across)
        if self._parts.tokens is not None or self._parts.key_file is not None:
            places[SESSION_PATH] = Route(
                "session", "", [*every, *self._edge.place(""), *self._entry.stages("required")], Session(self._date)
            )
        forward = config.forward_auth
        if forward is not None:
            ways = ForwardAuth(self._entry.stages(forward.auth), self._date)
            places[forward.path] = Route("forward-auth", "", [*every, *self._edge.own()], ways)
        graphql = config.graphql
        if graphql.service is not None:
            places[graphql.path] = self._graphql_route(graphql, graphql.service, every)
        return places

    def _graphql_route(self, section: GraphqlSection, service: str, every: list[Stage]) -> Route:
        rules = rules_of(section)
        firewall = self._parts.firewall(rules)
        metrics = None if self._metrics is None else self._metrics.graphql
        let_in = self._entry.stages(section.auth)
        cap = self._config.gateway.max_body
        stages = graphql_stages(section, self._edge, self._parts.streams, let_in, firewall, metrics, cap, self._reactor)
        rewrite = Rewrite(section.path)
        there = self._config.service(service)
        across: Across = self._forwarders.one(there, rewrite)
        if section.upgrade:
            upgrading = self._forwarders.one(there, rewrite, made=UpgradingForwarder)
            assert isinstance(upgrading, UpgradingForwarder)
            across = Either(across, upgrading)
        return Route(section.name, service, [*every, *self._certificate(service), *stages], across)

    def _stages(self) -> list[Stage]:
        """What every exchange passes, in order."""
        stages = self._common.logging()
        if self._metrics is not None:
            stages.append(Metrics(self._metrics.requests))
        if self._live is not None:
            stages.append(Recording(self._live.recent.ended))
        forwarding = self._common.forwarding
        stages.append(Origin(forwarding))
        if self._parts.traces is not None:
            stages.append(self._parts.traces.stage(forwarding))
        if self._config.gateway.hsts is not None:
            stages.append(StrictTransport(self._config.gateway.hsts))
        if self._config.hosts:
            stages.append(ClientAuthChecked(host_auths(self._config.hosts)))
        return [*stages, *self._edge.every()]

    def _route(self, route: RouteSection, stages: list[Stage]) -> Route:
        cap = self._config.gateway.max_body if route.max_body is None else route.max_body
        template = None if route.rewrite is None else str(route.rewrite)
        rewrite = Rewrite(str(route.path), route.strip_prefix, template)
        fanout = self._forwarders.fanout(route, rewrite)
        across = fanout.across(Forwarder)
        if route.idempotency:
            assert self._parts.claims is not None
            totals = [self._config.service(service).timeout.total for service in route.services]
            across = Once(across, self._parts.claims, route.idempotency, route.timeout.total or max(totals))
        stages = [*stages, *self._certificate(*route.services)]
        if self._parts.cache is not None and route.cache != OFF:
            rules = Rules(route.cache, route.stale_while_revalidate or 0.0, route.stale_if_error or 0.0)
            renames = [(one.new.encode("ascii"), one.old.encode("ascii")) for one in route.request.rename]
            old = {new.translate(FOLD): name.translate(FOLD) for new, name in renames}
            across = Cached(across, self._parts.cache, rules, route.name, repr(route), renamed=old)
        elif self._parts.cache is not None:
            stages.append(Invalidation(self._parts.cache))
        body = route.response.body
        if body.changes:
            across = JsonBody(across, body.shape, body.wrap != "off", body.max, body.otherwise == "refuse", self._epoch)
        before, after = self._edge.route(route)
        stages = [
            *stages,
            *self._versioned(route),
            *before,
            *self._entry.stages(route.auth, route.roles, route.scopes, route.enforce),
            *after,
            *(self._parts.added[name] for name in route.stages),
        ]
        stages = [
            *compression(route),
            *stages,
            *self._edge.upgrades(route, self._parts.streams),
            EventStreams(self._parts.streams, self._reactor, self._seconds, route.events.heartbeat),
            *transformed(route),
            *fanout.stages(),
        ]
        if route.upgrade:
            across = Either(across, fanout.across(UpgradingForwarder))
        return fanout.settle(Route(route.name, route.service or "", _limited(stages, cap), across, route.services))

    def _versioned(self, route: RouteSection) -> list[Stage]:
        """What knows of versions; nothing where there are none."""
        section = self._config.versioning
        if section is None or route.version == UNVERSIONED:
            return []
        assert self._parts.calls is not None
        vary = [source.field for source in section.sources if source.field]
        lives = {version.name: version.life for version in self._config.versions}
        stages: list[Stage] = [Versioned(lives, self._parts.calls, self._epoch, route.version or "", vary)]
        if section.contract.field is not None:
            contract = section.contract
            stages.append(ContractVersion(section.contract.field, contract.versions, contract.required))
        return stages

    def _certificate(self, *services: str) -> list[Stage]:
        told = any(self._config.service(service).client_certificate for service in services)
        return [CertificateFields()] if told else []

    def _routed(self, path: str) -> bool:
        return any(str(route.path).removeprefix("=").startswith(path) for route in self._config.routes)


def _match(route: RouteSection) -> RouteMatch:
    headers = tuple((condition.name, condition.value) for condition in route.headers)
    if route.version is not None and route.version != UNVERSIONED:
        headers += ((VERSION, route.version),)
    return RouteMatch(str(route.path), route.host, route.takes, headers)


def _limited(stages: list[Stage], cap: int) -> list[Stage]:
    """:param cap: bytes, 0 for no cap."""
    return [*stages, BodyLimit(cap)] if cap else stages
