"""From one configuration to all that answers requests by it: services, stages, routes, the admin listener's places."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve, frozen
from OpenSSL.crypto import Error as SslError
from twisted.internet.defer import Deferred, DeferredList

from apigw import __version__
from apigw.admin import openapi
from apigw.admin.access import AdminAccess, AdminOnly
from apigw.admin.actions import ROUTE, Actions, NotPossible, Steering
from apigw.admin.api import AdminApi
from apigw.admin.dashboard import PATH as DASHBOARD_PATH
from apigw.admin.dashboard import Dashboard
from apigw.admin.explain import Explainer
from apigw.admin.forward_auth import ForwardAuth
from apigw.admin.health import READ, Health, Version
from apigw.admin.health import whole as seen
from apigw.admin.live import Live, Seen
from apigw.admin.operations import Operation, Operations
from apigw.admin.plan import Planner
from apigw.admin.reload import PATH as RELOAD_PATH
from apigw.admin.reload import ReloadApi
from apigw.admin.revocations import PATH as REVOCATIONS_PATH
from apigw.admin.revocations import RevocationsApi
from apigw.admin.scrape import Scrape
from apigw.admin.session import Session
from apigw.admin.versions import VersionsView
from apigw.config import ConfigErrors, GatewayConfig
from apigw.config.adding import StageSection
from apigw.config.caching import OFF
from apigw.config.certificates import stamp
from apigw.config.files import absolute
from apigw.config.graphql import GraphqlSection
from apigw.config.loader import SOME, Steps
from apigw.config.model import RouteSection, ServiceRetry, ServiceSection
from apigw.config.tracing import TracingSection
from apigw.config.transforming import RouteRequest, RouteResponse, statuses
from apigw.config.versioning import UNVERSIONED
from apigw.core import GatewayCore
from apigw.dates import HttpDate
from apigw.edge import Edge
from apigw.fanout import Fanout
from apigw.finder import VERSION, ProxyRoutes, VersionedRoutes, refuse
from apigw.graphs import graphql_stages, rules_of
from apigw.keys.key_file import KeyFile
from apigw.messages import Attempt, Field, Fields, Response, Timeouts
from apigw.pipeline import Across, Route, Stage
from apigw.policy import redact
from apigw.policy.cache.terms import Rules
from apigw.policy.cors import Cors
from apigw.policy.field_changes import FieldChanges
from apigw.policy.fields import FOLD
from apigw.policy.forwarded import Forwarding
from apigw.policy.graphql.rules import Firewall
from apigw.policy.outgoing import Outgoing
from apigw.policy.paths import Rewrite
from apigw.policy.requestid import RequestIds
from apigw.policy.revocations import Revocations
from apigw.policy.token_counts import TokenCounts
from apigw.policy.versions import Versions
from apigw.reload import CannotStart, in_turns
from apigw.routes import GatewayRoutes, Place
from apigw.routing import RouteMatch, RouteTable
from apigw.stages import added
from apigw.stages.access_log import AccessLog
from apigw.stages.api_key import ApiKey
from apigw.stages.body_limit import BodyLimit
from apigw.stages.cache import Cached, Invalidation, ResponseCache
from apigw.stages.client_certificate import CertificateFields, ClientAuthChecked
from apigw.stages.codings import available
from apigw.stages.compression import Compression
from apigw.stages.cross_site import CrossSite
from apigw.stages.events import EventStreams
from apigw.stages.idempotency import Claims, Once
from apigw.stages.identity import Identity
from apigw.stages.json_body import OF_THE_SERVICE, JsonBody
from apigw.stages.jwt import Jwt
from apigw.stages.metrics import Metrics
from apigw.stages.origin import Origin
from apigw.stages.recording import Recording
from apigw.stages.request_id import RequestId
from apigw.stages.target import MadeTarget
from apigw.stages.transform import RequestFields, ResponseFields
from apigw.stages.transport_security import StrictTransport, ToHttps
from apigw.stages.versions import ContractVersion, VersionCalls, Versioned
from apigw.streams import Streams
from apigw.telemetry.access_log import AccessLogFormat
from apigw.telemetry.fanout import FanoutMetrics
from apigw.telemetry.lines import Lines
from apigw.telemetry.metrics import GatewayMetrics
from apigw.telemetry.reloads import Reloads
from apigw.telemetry.span_counts import SpanCounts
from apigw.telemetry.spans import Spans
from apigw.telemetry.streams import StreamMetrics
from apigw.telemetry.upstreams import ServiceState
from apigw.traces import FIELDS, Traces
from apigw.upstream.fallback import Fallback
from apigw.upstream.forwarder import Forwarder
from apigw.upstream.keys import hash_key
from apigw.upstream.upgrading import Either, UpgradingForwarder
from apigw.upstream.upstream import Upstream
from apigw.upstreams import UpstreamBuilder, addresses
from apigw.web.entrance import host_auths
from apigw.web.problem import Problem

if TYPE_CHECKING:
    from apigw.keys.build import Tokens
    from apigw.keys.shared import SharedRevocations
    from apigw.redis.client import Redis

P = TypeVar("P")


AUTH_PATH = "/api/v1/auth"
"""Where the founding system has its sign-in; goes to the service ``user`` unless a route says otherwise."""

AUTH_REWRITE = "/api/auth"

LOGGED = {"redacted": redact.redacted, "full": redact.full, "none": redact.path_only}
"""What may be told of a path and its query, by ``log_query``."""

SESSION_PATH = f"{AUTH_PATH}/session"
"""Where a client asks what the gateway makes of its token."""


@frozen
class Around:
    """
    What outlives a configuration.

    :ivar seconds: monotonic. :ivar epoch: seconds since 1970.
    :ivar lines: of the access log; it stays where the log is turned off, for requests under way.
    :ivar metrics: None where nobody could see them.
    :ivar live: what operators see; None where nobody could.
    :ivar private: whoever asks on the admin listener has been let in already, and logged.
    :ivar reload: takes the configuration that there is now; :return: whether it is in force.
    """

    reactor: Any
    seconds: Callable[[], float]
    epoch: Callable[[], float]
    date: HttpDate
    builder: UpstreamBuilder
    lines: Lines | None
    metrics: GatewayMetrics | None
    reloads: Reloads
    reload: Callable[[], Awaitable[bool]]
    pseudonym: str
    uptime: Callable[[], float]
    draining: Callable[[], bool]
    tokens: TokenCounts
    live: Live | None
    steering: Steering
    private: bool = False


@frozen(eq=False)
class Part:
    """
    Something that works beside the requests, such as what keeps the keys of tokens fresh.

    :ivar of: what it was made of; as long as that stays the same so does the part.
    """

    of: object
    made: Any
    start: Callable[[], object]
    stop: Callable[[], object]


@frozen
class Served:
    """A service. :ivar stamps: of the files that its section names."""

    section: ServiceSection
    stamps: object
    upstream: Upstream


class Wiring:
    """
    All that one configuration needs to answer requests, listeners apart. Nothing works before :meth:`commit`.

    :param before: the one in use, of which all is kept that doesn't change.
    :raises CannotStart: see :meth:`build`.
    """

    core: GatewayCore
    routes: GatewayRoutes
    admin: tuple[GatewayCore, GatewayRoutes]
    _edge: Edge

    def __init__(self, config: GatewayConfig, around: Around, before: Wiring | None = None) -> None:
        self._config = config
        self._around = around
        self._before = before
        self._reactor = around.reactor
        self._date = around.date
        self._builder = around.builder
        self._lines = None if config.gateway.access_log == "off" else around.lines
        self._metrics = around.metrics
        self._live = None if config.admin is None else around.live
        self._seconds = around.seconds
        self._epoch = around.epoch
        self._pseudonym = around.pseudonym
        self._uptime = around.uptime
        self._draining = around.draining
        self._access = AdminAccess(b"" if config.admin is None else config.admin.token)
        self._served: dict[str, Served] = {}
        self._upstreams: dict[str, Upstream] = {}
        self._revised: list[Served] = []
        self._parts: dict[str, Part] = {}
        self._edge = Edge(config, around.date, self._seconds, self._epoch, None if before is None else before._edge)

    # -- one after the other -------------------------------------------------------------------------------------------

    def build(self) -> Steps[None]:
        """
        Make what is new.

        :raises CannotStart: something can't be used; it is to be given up then.
        """
        config, before = self._config, self._before
        if before is not None and before._config.discovery != config.discovery:
            self._builder.rediscover(config.discovery)
        for number, service in enumerate(config.services):
            if number % SOME == 0:
                yield
            served = self._served[service.name] = self._serve(service)
            self._upstreams[service.name] = served.upstream
        self._wire_parts()
        yield from self._build_routes()
        if config.admin is not None:
            self.admin = self._build_admin()

    def _serve(self, service: ServiceSection) -> Served:
        files = [Path(file) for file in (service.tls.ca, service.tls.client_cert) if file is not None]
        stamps = (tuple(map(stamp, files)), self._config.discovery if _found(service) else None)
        before = None if self._before is None else self._before._served.get(service.name)
        if before is not None and before.stamps == stamps and _pooled(before.section) == _pooled(service):
            served = Served(service, stamps, before.upstream)
            if addresses(before.section) != addresses(service):
                self._revised.append(served)
            return served
        try:
            return Served(service, stamps, self._builder.upstream(service))
        except (OSError, ValueError, SslError) as error:
            raise CannotStart(f"[service:{service.name}] {error}") from None

    def _part(
        self,
        name: str,
        of: object,
        make: Callable[[], P | None],
        start: Callable[[P], object],
        stop: Callable[[P], object],
    ) -> P | None:
        """What ``make`` makes, or the one of the configuration before, if that was made ``of`` the same."""
        part = None if self._before is None else self._before._parts.get(name)
        if part is None or part.of != of:
            made = make()
            if made is None:
                return None
            part = Part(of, made, partial(start, made), partial(stop, made))
        self._parts[name] = part
        there: P = part.made
        return there

    def commit(self) -> None:
        """Begin to work, and end what of the configuration before isn't needed any more."""
        before, self._before = self._before, None
        had = {} if before is None else before._parts
        self._revocations.size = self._config.revocation.entries
        if self._metrics is not None:
            self._metrics.cache.cache = self._cache
            self._metrics.versions.calls = self._calls
        if self._cache is not None:
            self._cache.resize(self._config.cache.size, self._config.cache.max_body)
        for name, part in self._parts.items():
            if had.get(name) is not part:
                part.start()
        for name, part in had.items():
            if self._parts.get(name) is not part:
                part.stop()
        if before is None:
            return
        there = {served.upstream for served in before._served.values()}
        for served in self._revised:
            self._builder.revise(served.upstream, served.section)
        for upstream in self._upstreams.values():
            if upstream not in there:
                self._builder.begin(upstream)
        for upstream in there - set(self._upstreams.values()):
            self._builder.forget(upstream)

    def give_up(self) -> None:
        """It will not be used; the one before goes on."""
        before = self._before
        assert before is not None
        if before._config.discovery != self._config.discovery:
            self._builder.rediscover(before._config.discovery)
        for name, served in self._served.items():
            other = before._served.get(name)
            if other is None or other.upstream is not served.upstream:
                self._builder.forget(served.upstream)

    def stop(self) -> Deferred[Any]:
        """The end. :return: fires when all has been sent that is kept for others; within a second or so."""
        ended = [made for part in self._parts.values() if isinstance(made := part.stop(), Deferred)]
        for upstream in self._upstreams.values():
            upstream.abort()
        return DeferredList(ended, consumeErrors=True)

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _wire_parts(self) -> None:
        config = self._config
        issuers = [issuer for issuer in (config.jwt, *config.issuers) if issuer is not None]
        files = [issuer.public_key_file or issuer.jwks_file for issuer in issuers]
        made = self._part("revocations", None, lambda: Revocations(self._epoch), _nothing, _nothing)
        assert made is not None
        self._revocations = made
        streams = self._part("streams", None, self._build_streams, _nothing, _nothing)
        assert streams is not None
        self._streams = streams
        self._tokens = self._part(
            "tokens",
            (issuers, self._revocations, [stamp(absolute(file)) for file in files if file is not None]),
            self._build_tokens,
            lambda tokens: tokens.start(),
            lambda tokens: tokens.stop(),
        )
        limits = config.limits
        redis = self._part(
            "redis",
            None if limits is None else (limits.redis, limits.redis_ca, limits.redis_deadline),
            self._build_redis,
            self._start_redis,
            self._stop_redis,
        )
        if redis is not None:
            self._edge.count_in(redis)
        self._shared = self._part(
            "shared revocations",
            (redis, self._tokens is not None),
            lambda: self._build_shared(redis),
            lambda shared: shared.start(),
            lambda shared: shared.stop(),
        )
        keyed = any(route.idempotency for route in config.routes)
        self._claims = self._part(
            "claims", (keyed, redis), lambda: self._build_claims(keyed, redis), _nothing, _nothing
        )
        some = any(route.cache != OFF for route in config.routes)
        self._cache = self._part("cache", some, lambda: self._build_cache(some), _nothing, _nothing)
        calls = config.versioning is not None
        self._calls = self._part(
            "versions", calls, lambda: VersionCalls(self._epoch) if calls else None, _nothing, _nothing
        )
        tracing = config.tracing
        self._traces = self._part(
            "traces",
            tracing,
            lambda: None if tracing is None else self._build_traces(tracing),
            _nothing,
            lambda traces: traces.stop(),
        )
        self._added = {section.name: self._add(section) for section in config.stages}
        keys = config.api_keys
        file = None if keys is None else keys.file
        self._key_file = self._part(
            "api_keys",
            (keys, config.consumers, None if file is None else stamp(Path(file))),
            self._build_key_file,
            lambda keys: keys.watch(self._reactor),
            KeyFile.unwatch,
        )

    def _build_traces(self, section: TracingSection) -> Traces:
        path = LOGGED[self._config.gateway.log_query]
        spans = Spans(self._epoch, self._seconds, path)
        metrics = self._metrics
        counts = SpanCounts if metrics is None else lambda: metrics.spans
        return Traces(section, __version__, self._pseudonym, spans, counts, self._reactor)

    def _add(self, section: StageSection) -> Stage:
        def make() -> Stage:
            try:
                return added.added(section)
            except ValueError as wrong:
                raise CannotStart(f"[stage:{section.name}] {wrong}") from wrong.__cause__

        made = self._part(
            f"stage:{section.name}", section, make, lambda stage: added.start(stage, self._reactor), added.stop
        )
        assert made is not None
        return made

    def _build_streams(self) -> Streams:
        streams = Streams(self._reactor, self._epoch, self._revocations.revoked)
        self._revocations.on_add(streams.revoked)
        if self._metrics is not None:
            self._metrics.registry.register(StreamMetrics(lambda: streams.active, lambda: streams.opened))
        return streams

    def _build_tokens(self) -> Tokens | None:
        """What verifies tokens; None where nobody issues any."""
        jwt = self._config.jwt
        issuers = [issuer for issuer in (jwt, *self._config.issuers) if issuer is not None and issuer.sources]
        if not issuers:
            return None
        from apigw.keys.build import Tokens  # takes 100 ms

        return Tokens(jwt, issuers, self._revocations, self._reactor, self._epoch, self._around.tokens)

    def _build_redis(self) -> Redis | None:
        """What gateways share; None where there is but this one."""
        limits = self._config.limits
        if limits is None or limits.redis is None:
            return None
        try:
            from apigw.stores import redis_of

            return redis_of(limits, self._edge.machine or self._pseudonym, self._reactor, self._seconds)
        except ImportError:
            raise CannotStart("[limits] store: redis needs a package, pip install apigw[redis]") from None
        except (OSError, SslError) as error:
            raise CannotStart(f"[limits] redis_ca: {error}") from None

    def _behind(self) -> bool | None:
        return None if self._shared is None else self._shared.behind

    def _build_shared(self, redis: Redis | None) -> SharedRevocations | None:
        """Who else is told of revocations; None where nobody is, or where there are no tokens."""
        if redis is None or self._tokens is None:
            return None
        from apigw.keys.shared import SharedRevocations

        return SharedRevocations(self._revocations, redis, self._reactor, self._epoch)

    def _start_redis(self, redis: Redis) -> None:
        redis.start()
        if self._metrics is not None:
            self._metrics.redis.redis = redis

    def _stop_redis(self, redis: Redis) -> None:
        redis.stop()
        if self._metrics is not None and self._metrics.redis.redis is redis:
            self._metrics.redis.redis = None

    def _build_claims(self, keyed: bool, redis: Redis | None) -> Claims | None:
        """What becomes of idempotency keys; None where no route has any."""
        if not keyed:
            return None
        return Claims(self._edge.answers(redis), self._reactor, self._seconds, partial(os.urandom, 16))

    def _build_cache(self, some: bool) -> ResponseCache | None:
        """What keeps answers; None where no route has any kept."""
        if not some:
            return None
        section = self._config.cache
        return ResponseCache(section.size, section.max_body, self._reactor, self._seconds, self._epoch)

    def _build_key_file(self) -> KeyFile | None:
        """Who has API keys; None where there are none."""
        section = self._config.api_keys
        try:
            if section is None or section.file is None:
                return None
            return KeyFile(section.file, self._config.consumers)
        except ValueError as wrong:
            raise CannotStart(f"[api_keys] file: {wrong}") from None

    # -- routes --------------------------------------------------------------------------------------------------------

    def _build_routes(self) -> Steps[None]:
        config = self._config
        every = self._stages()
        missing = Route("-", "", [*every, *self._edge.place("")], refuse)
        whole = Route("*", "", [*every, *self._edge.own()], self._whole)
        places = self._places(every)
        entries = []
        for number, route in enumerate(config.routes):
            if number % SOME == 0:
                yield
            entries.append((self._match(route), self._route(route, every)))
        taken = {match.path for match, _ in entries}
        entries += [(RouteMatch(path), route) for path, route in places.items() if path not in taken]
        find = self._find = self._finder(RouteTable(entries), missing, whole)
        core = GatewayCore(find, missing, self._problem())
        routes = GatewayRoutes(Place(core))
        for path, place in places.items():
            routes.add(path.encode(), Place(core, place))
        self.core, self.routes = core, routes

    def _finder(self, table: RouteTable[Route], missing: Route, whole: Route) -> ProxyRoutes:
        config = self._config
        preflights, section = config.cors is not None, config.versioning
        if section is None:
            return ProxyRoutes(table, missing, whole, preflights)
        versions = Versions(section.sources, config.known_versions, section.default or "")
        unversioned = [route.name for route in config.routes if route.version == UNVERSIONED]
        return VersionedRoutes(table, missing, whole, preflights, versions, unversioned)

    def _versioned(self, route: RouteSection) -> list[Stage]:
        """What knows of versions; nothing where there are none."""
        section = self._config.versioning
        if section is None or route.version == UNVERSIONED:
            return []
        assert self._calls is not None
        vary = [source.field for source in section.sources if source.field]
        lives = {version.name: version.life for version in self._config.versions}
        stages: list[Stage] = [Versioned(lives, self._calls, self._epoch, route.version or "", vary)]
        if section.contract.field is not None:
            contract = section.contract
            stages.append(ContractVersion(section.contract.field, contract.versions, contract.required))
        return stages

    def _build_admin(self) -> tuple[GatewayCore, GatewayRoutes]:
        """The admin listener: the same path of a request, with places and stages of its own."""
        assert self._metrics is not None
        anybody: list[Stage] = [Origin(Forwarding(self._config.gateway.trusted_proxies))]
        every = anybody
        if not self._around.private:
            anybody = [*self._logging(), *anybody]
            every = [*anybody, AdminOnly(self._access)]
        scrape = Scrape(self._metrics.registry, self._reactor, self._seconds, self._date)
        api = Operations(self._operations(), self._date)
        reloads = ReloadApi(self._around.reload, self._around.reloads.told, self._date)
        places = {
            "/metrics": Route("admin-metrics", "", every, scrape),
            "/api": Route("admin-api", "", every, api),
            RELOAD_PATH: Route("admin-reload", "", every, reloads),
            "/health": Route("admin-health", "", every, self._health()),
            DASHBOARD_PATH: Route("admin-dashboard", "", anybody, Dashboard(self._date)),
            "/version": Route("admin-version", "", every, Version(__version__, self._date)),
        }
        if self._tokens is not None:
            revocations = RevocationsApi(
                self._revocations, self._config.revocation.keep, self._epoch, self._date, self._behind
            )
            places[REVOCATIONS_PATH] = Route("admin-revocations", "", every, revocations)
        missing = Route("-", "", every, refuse)
        whole = Route("*", "", every, self._whole)
        entries = [(RouteMatch(path), route) for path, route in places.items()]
        entries.append((RouteMatch("=/"), places[DASHBOARD_PATH]))
        core = GatewayCore(ProxyRoutes(RouteTable(entries), missing, whole), missing, self._problem())
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
            *AdminApi(config, __version__, self.states, self._uptime, live, self._date).operations(),
            *Actions(self._upstreams, self._around.steering, closed).operations(),
            *VersionsView(config, self._calls, self._epoch).operations(),
            *Explainer(self._find, self._upstreams, self._seconds).operations(),
            *Planner(self._find, live, self._beside, partial(in_turns, clock=self._reactor)).operations(),
        ]
        return [*operations, openapi.operation(operations, __version__, self._tokens is not None)]

    async def _beside(self, text: str, use: Callable[[ProxyRoutes], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """
        Have something done with the routes of another configuration.

        :raises NotPossible: it can't be used.
        """
        try:
            config = await in_turns(self._around.steering.load(text), self._reactor)
            other = Wiring(config, self._around, self)
            try:
                await in_turns(other.build(), self._reactor)
                return await use(other._find)
            finally:
                other.give_up()
        except (ConfigErrors, CannotStart) as wrong:
            raise NotPossible(str(wrong)) from None

    def _health(self) -> Health:
        essential = self._config.gateway.ready_needs
        operators = self._access.check_public
        return Health(__version__, self._uptime, self._draining, self.states, essential, operators, self._date)

    def states(self) -> list[ServiceState]:
        return [self._builder.state(upstream) for upstream in self._upstreams.values()]

    def seen(self) -> list[Seen]:
        """All services, for who looks at them each second."""
        builder = self._builder

        def see(upstream: Upstream) -> dict[str, Any]:
            return seen(builder.state(upstream))

        return [(upstream, partial(see, upstream)) for upstream in self._upstreams.values()]

    def _problem(self) -> Problem:
        return Problem(self._config.gateway.error_format == "envelope", "apigw", self._date)

    def _places(self, every: list[Stage]) -> dict[str, Route]:
        """The gateway's own places by path: they come before any configured route."""
        config = self._config
        cap = config.gateway.max_body
        own = [*every, *self._edge.own()]
        places = {
            "/health": Route("health", "", own, self._health()),
            "/version": Route("version", "", own, Version(__version__, self._date)),
        }
        if "user" in self._upstreams and not self._routed(AUTH_PATH):
            across = self._forwarder(config.service("user"), Rewrite(AUTH_PATH, template=AUTH_REWRITE))
            stages = self._limited([*every, *self._edge.place("user", "auth"), *self._certificate("user")], cap)
            places[AUTH_PATH] = Route("auth", "user", stages, across)
        if self._tokens is not None or self._key_file is not None:
            places[SESSION_PATH] = Route(
                "session", "", [*every, *self._edge.place(""), *self._let_in("required")], Session(self._date)
            )
        forward = config.forward_auth
        if forward is not None:
            ways = ForwardAuth(self._let_in(forward.auth), self._date)
            places[forward.path] = Route("forward-auth", "", [*every, *self._edge.own()], ways)
        graphql = config.graphql
        if graphql.service is not None:
            places[graphql.path] = self._graphql_route(graphql, graphql.service, every)
        return places

    def _graphql_route(self, section: GraphqlSection, service: str, every: list[Stage]) -> Route:
        rules = rules_of(section)
        firewall = self._part("graphql", rules, lambda: None if rules is None else Firewall(rules), _nothing, _nothing)
        metrics = None if self._metrics is None else self._metrics.graphql
        let_in = self._let_in(section.auth)
        cap = self._config.gateway.max_body
        stages = graphql_stages(section, self._edge, self._streams, let_in, firewall, metrics, cap, self._reactor)
        rewrite = Rewrite(section.path)
        there = self._config.service(service)
        across: Across = self._forwarder(there, rewrite)
        if section.upgrade:
            upgrading = self._forwarder(there, rewrite, made=UpgradingForwarder)
            assert isinstance(upgrading, UpgradingForwarder)
            across = Either(across, upgrading)
        return Route(section.name, service, [*every, *self._certificate(service), *stages], across)

    def _stages(self) -> list[Stage]:
        """What every exchange passes, in order."""
        stages = self._logging()
        if self._metrics is not None:
            stages.append(Metrics(self._metrics.requests))
        if self._live is not None:
            stages.append(Recording(self._live.recent.ended))
        forwarding = Forwarding(self._config.gateway.trusted_proxies)
        stages.append(Origin(forwarding))
        if self._traces is not None:
            stages.append(self._traces.stage(forwarding))
        if self._config.gateway.hsts is not None:
            stages.append(StrictTransport(self._config.gateway.hsts))
        if self._config.hosts:
            stages.append(ClientAuthChecked(host_auths(self._config.hosts)))
        return [*stages, *self._edge.every()]

    def _logging(self) -> list[Stage]:
        """What gives an exchange its id and its line in the log."""
        gateway = self._config.gateway
        stages: list[Stage] = [
            RequestId(
                RequestIds(os.urandom), self._seconds, gateway.response_time_header, gateway.target_service_header
            )
        ]
        if self._lines is not None:
            path = LOGGED[gateway.log_query]
            stages.append(AccessLog(AccessLogFormat(self._epoch, self._seconds, path).line, self._lines.write))
        return stages

    @staticmethod
    def _limited(stages: list[Stage], cap: int) -> list[Stage]:
        """:param cap: bytes, 0 for no cap."""
        return [*stages, BodyLimit(cap)] if cap else stages

    @staticmethod
    def _match(route: RouteSection) -> RouteMatch:
        headers = tuple((condition.name, condition.value) for condition in route.headers)
        if route.version is not None and route.version != UNVERSIONED:
            headers += ((VERSION, route.version),)
        return RouteMatch(str(route.path), route.host, route.takes, headers)

    def _route(self, route: RouteSection, stages: list[Stage]) -> Route:
        cap = self._config.gateway.max_body if route.max_body is None else route.max_body
        template = None if route.rewrite is None else str(route.rewrite)
        rewrite = Rewrite(str(route.path), route.strip_prefix, template)
        fanout = self._fanout(route, rewrite)
        across = fanout.across(Forwarder)
        if route.idempotency:
            assert self._claims is not None
            totals = [self._config.service(service).timeout.total for service in route.services]
            across = Once(across, self._claims, route.idempotency, route.timeout.total or max(totals))
        stages = [*stages, *self._certificate(*route.services)]
        if self._cache is not None and route.cache != OFF:
            rules = Rules(route.cache, route.stale_while_revalidate or 0.0, route.stale_if_error or 0.0)
            across = Cached(across, self._cache, rules, route.name, repr(route))
        elif self._cache is not None:
            stages.append(Invalidation(self._cache))
        body = route.response.body
        if body.changes:
            across = JsonBody(across, body.shape, body.wrap != "off", body.max, body.otherwise == "refuse", self._epoch)
        before, after = self._edge.route(route)
        stages = [
            *stages,
            *self._versioned(route),
            *before,
            *self._let_in(route.auth, route.roles, route.scopes, route.enforce),
            *after,
            *(self._added[name] for name in route.stages),
        ]
        stages = [
            *self._compression(route),
            *stages,
            *self._edge.upgrades(route, self._streams),
            EventStreams(self._streams, self._reactor, self._seconds, route.events.heartbeat),
            *self._transformed(route),
            *fanout.stages(),
        ]
        if route.upgrade:
            across = Either(across, fanout.across(UpgradingForwarder))
        return fanout.settle(Route(route.name, route.service or "", self._limited(stages, cap), across, route.services))

    def _fanout(self, route: RouteSection, rewrite: Rewrite) -> Fanout:
        own = None if route.request.target is None else MadeTarget(route.request.target)

        def forward(
            service: ServiceSection,
            made: type[Forwarder] = Forwarder,
            *,
            priority: str = route.priority,
            target: MadeTarget | None = own,
            total: float | None = route.timeout.total,
            removed: Sequence[bytes] = (),
            added: Sequence[Field] = (),
        ) -> Across:
            outgoing = self._changed(route, removed, added)
            return self._forwarder(service, rewrite, total, priority, made, outgoing, target)

        metrics = self._metrics
        counts = FanoutMetrics() if metrics is None else metrics.fanout
        attempted = _unseen if metrics is None else metrics.requests.attempted
        return Fanout(
            self._config, route, self._upstreams, forward, counts, attempted, self._date, self._reactor, self._seconds
        )

    @staticmethod
    def _transformed(route: RouteSection) -> list[Stage]:
        """Stands last, for on the way up it sees what the service has said before anybody else adds to it."""
        stages: list[Stage] = []
        request, response = route.request, route.response
        sent = [(one.name, one.value) for one in (*request.set, *request.add) if one.value.variables]
        if sent:
            stages.append(RequestFields(sent))
        told = [(one.name, one.value) for one in (*response.set, *response.add)]
        changes = _changes(response)
        if told or changes or response.status:
            stages.append(ResponseFields(changes, told, statuses(response.status)))
        return stages

    @staticmethod
    def _changed(route: RouteSection, less: Sequence[bytes] = (), more: Sequence[Field] = ()) -> FieldChanges | None:
        """What the service gets of the fields of a client, and what it gets besides; None for all of them."""
        request = route.request
        fixed = [one for one in (*request.set, *request.add) if not one.value.variables]
        added = [*more] + [(one.name.encode("ascii"), one.value.parts[0].encode()) for one in fixed]
        whole = route.response.body.changes
        if whole and (b"Accept-Encoding", b"identity") not in added:
            added.append((b"Accept-Encoding", b"identity"))
        return _changes(request, (*less, *(OF_THE_SERVICE if whole else ())), added) or None

    @staticmethod
    def _compression(route: RouteSection) -> list[Stage]:
        """Stands first, for it comes last on the way up; it reads the request, but has no say in it."""
        if route.compression == "off":
            return []
        own = route.compress
        return [Compression(available(), own.types, own.min_size, route.compression == "public")]

    def _certificate(self, *services: str) -> list[Stage]:
        told = any(self._config.service(service).client_certificate for service in services)
        return [CertificateFields()] if told else []

    def _let_in(
        self, auth: str, roles: tuple[str, ...] = (), scopes: tuple[str, ...] = (), enforce: bool = True
    ) -> list[Stage]:
        """The stages for who asks: none where the route doesn't want to know."""
        if auth == "none":
            return []
        required = auth == "required"
        way: Stage | None = None
        checks: list[Stage] = []
        if self._tokens is not None:
            way = Jwt(self._tokens.authority, self._tokens.source, required, roles, scopes)
            checks = self._cross_site(self._tokens.source.cookie, enforce)
        section = self._config.api_keys
        if section is not None and self._key_file is not None:
            way = ApiKey(self._key_file.keys, section.field.lower().encode(), required, roles, scopes, way)
        if way is None:
            return []
        return [*checks, way, self._identity()]

    def _cross_site(self, cookie: bytes, enforce: bool) -> list[Stage]:
        """For routes that a cookie opens."""
        config = self._config
        if not cookie or config.jwt is None:
            return []
        origins = list(config.jwt.token.cookie_origins)
        if config.cors is not None and config.cors.credentials:
            origins += config.cors.origins
        return [CrossSite(cookie, Cors(origins).allows, enforce)]

    def _identity(self) -> Identity:
        section = self._config.identity
        if section is None:
            return Identity(b"", self._epoch)
        return Identity(section.secret, self._epoch, [(one.name.encode(), one.claim) for one in section.claims])

    def _outgoing(self, service: ServiceSection) -> Outgoing | None:
        """What a service gets of a client's fields; None for all."""
        keys, identity, own = self._config.api_keys, self._config.identity, service.own_authorization
        names = [] if keys is None else [keys.field]
        names += [] if identity is None else [one.name for one in identity.claims]
        names += [] if self._traces is None else FIELDS
        names += [] if service.authorization == "pass" else ["authorization"]
        added = [] if own is None else [(b"Authorization", own.value)]
        return Outgoing([name.lower().encode() for name in names], added) or None

    def _forwarder(
        self,
        service: ServiceSection,
        rewrite: Rewrite,
        total: float | None = None,
        priority: str = "normal",
        made: type[Forwarder] = Forwarder,
        outgoing: FieldChanges | None = None,
        target: MadeTarget | None = None,
    ) -> Forwarder | Fallback:
        timeout = service.timeout
        upstream = self._upstreams[service.name]
        plain = made is Forwarder
        send = self._builder.send(upstream, service, priority, hedged=plain)
        forwarder = made(
            send if self._traces is None else self._traces.around(send),
            Timeouts(timeout.first_byte, timeout.idle, timeout.total if total is None else total),
            rewrite,
            self._seconds,
            self._date,
            self._builder.retries(service),
            key=hash_key(service.hash_on) if service.balance == "consistent_hash" else None,
            preserve_host=service.preserve_host,
            pseudonym=self._pseudonym.encode(),
            sticky=upstream.sticky,
            outgoing=_both(self._outgoing(service), outgoing),
            target=target,
        )
        own = service.fallback
        if own.content is None or not plain:
            return forwarder
        return Fallback(forwarder, self._date, own.content, own.type.encode(), own.status)

    def _routed(self, path: str) -> bool:
        return any(str(route.path).removeprefix("=").startswith(path) for route in self._config.routes)

    def _whole(self, _: object) -> Response:
        """The answer to ``OPTIONS *`` (RFC 9110 section 9.3.7)."""
        allow = b", ".join([*READ, b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"])
        return Response(204, b"No Content", [(b"Date", self._date.now()), (b"Allow", allow)], b"", bodyless=True)

    def redirecting(self, port: int) -> GatewayRoutes:
        """All requests take one route: to https."""
        stages = self._logging()
        if self._metrics is not None:
            stages.append(Metrics(self._metrics.requests))
        stages.append(Origin(Forwarding(self._config.gateway.trusted_proxies)))
        return GatewayRoutes(Place(self.core, Route("redirect", "", stages, ToHttps(port, self._date))))


def _nothing(_: object) -> None:
    """To be done to start or stop a part that only remembers."""


def _unseen(service: str, attempts: Sequence[Attempt]) -> None:
    """Nobody could see what is counted."""


def _changes(
    own: RouteRequest | RouteResponse, removed: Sequence[bytes] = (), added: Sequence[Field] = ()
) -> FieldChanges:
    names = [*own.remove, *(one.name for one in own.set)]
    renamed = {one.old.lower().encode("ascii").translate(FOLD): one.new.encode("ascii") for one in own.rename}
    return FieldChanges([*(name.encode("ascii").translate(FOLD) for name in names), *removed], renamed, added)


def _both(first: Outgoing | None, then: FieldChanges | None) -> Callable[[Fields], Fields] | None:
    """One after the other."""
    if first is None or then is None:
        return first or then
    return lambda fields: then(first(fields))


def _found(service: ServiceSection) -> bool:
    """Some of its addresses have to be found."""
    return any(address.discovered for address, _ in addresses(service))


def _pooled(service: ServiceSection) -> ServiceSection:
    """What a service's connections and breakers depend on, all else being the same: not the addresses of others."""
    return evolve(
        service,
        urls=tuple(address for address in service.urls if address.discovered),
        backup_urls=tuple(address for address in service.backup_urls if address.discovered),
        hash_on="",
        preserve_host=True,
        client_certificate=False,
        maintenance=0.0,
        maintenance_allow=(),
        retry=ServiceRetry(),
    )
