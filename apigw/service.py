"""From a configuration to a running gateway: the only place where objects are wired together."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from random import Random
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from twisted.application.service import MultiService
from twisted.internet import endpoints, error
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from apigw import __version__
from apigw.admin.access import AdminAccess, AdminOnly
from apigw.admin.api import AdminApi
from apigw.admin.health import READ, Health, Version
from apigw.admin.revocations import PATH as REVOCATIONS_PATH
from apigw.admin.revocations import RevocationsApi
from apigw.admin.scrape import Scrape
from apigw.admin.session import Session
from apigw.config import GatewayConfig
from apigw.config.endpoints import ListenEndpoint
from apigw.config.model import ListenerSection, RouteSection
from apigw.core import GatewayCore
from apigw.dates import HttpDate
from apigw.demo import tour
from apigw.edge import Edge
from apigw.finder import ProxyRoutes, refuse
from apigw.http1.head import HeadLimits
from apigw.keys.key_file import KeyFile
from apigw.loop import lean
from apigw.messages import Response, Timeouts
from apigw.pipeline import Route, Stage
from apigw.policy import redact
from apigw.policy.forwarded import Forwarding
from apigw.policy.outgoing import Outgoing
from apigw.policy.paths import Rewrite
from apigw.policy.requestid import RequestIds
from apigw.routes import GatewayRoutes, Place
from apigw.routing import RouteMatch, RouteTable
from apigw.stages.access_log import AccessLog
from apigw.stages.api_key import ApiKey
from apigw.stages.body_limit import BodyLimit
from apigw.stages.client_certificate import CertificateFields, ClientAuthChecked
from apigw.stages.identity import Identity
from apigw.stages.jwt import Jwt
from apigw.stages.metrics import Metrics
from apigw.stages.origin import Origin
from apigw.stages.request_id import RequestId
from apigw.stages.transport_security import StrictTransport, ToHttps
from apigw.telemetry.access_log import AccessLogFormat
from apigw.telemetry.lines import LineWriter, target
from apigw.telemetry.metrics import GatewayMetrics
from apigw.telemetry.upstreams import ServiceState
from apigw.transports import accept_promptly
from apigw.upstream.forwarder import Forwarder
from apigw.upstream.keys import hash_key
from apigw.upstreams import UpstreamBuilder
from apigw.web.entrance import certificates, entrance, host_auths
from apigw.web.problem import Problem
from apigw.web.site import ChannelSettings, Site

if TYPE_CHECKING:
    from apigw.web.tls import Certificates

if TYPE_CHECKING:
    from apigw.keys.build import Tokens

AUTH_PATH = "/api/v1/auth"
"""Where the founding system has its sign-in; goes to the service ``user`` unless a route says otherwise."""

AUTH_REWRITE = "/api/auth"

SESSION_PATH = f"{AUTH_PATH}/session"
"""Where a client asks what the gateway makes of its token."""

GC_THRESHOLDS = (10_000, 20, 50)
"""
Requests leave no cyclic garbage, so the collector has little to find; with the stock threshold of 700 it took 8 % of
the time of a request.
"""


class CannotStart(Exception):
    """The gateway can't run as configured; one line says why."""


class Gateway(MultiService):
    """
    :param config: validated.
    :raises CannotStart: a listener's address is taken or not permitted, a file can't be opened.

    Listeners are bound here, before twistd becomes a daemon and sheds its privileges, so that a taken port is an
    error message and an exit status, not a daemon that nobody can reach. Nothing is accepted until the reactor runs.
    """

    _log = Logger()

    def __init__(self, config: GatewayConfig, reactor: Any) -> None:
        super().__init__()
        self._config = config
        self._reactor = reactor
        self._date = HttpDate()
        self._started = monotonic()
        self._draining = False
        self._pseudonym = f"apigw-{os.urandom(4).hex()}"
        self._lines = self._line_writer()
        builder = self._builder = UpstreamBuilder(reactor, monotonic, Random(), config.discovery)
        self._upstreams = {service.name: builder.upstream(service) for service in config.services}
        self._demos = builder.demos
        for child in (*self._demos.values(), *builder.watches):
            child.setServiceParent(self)
        self._access = AdminAccess(b"" if config.admin is None else config.admin.token)
        self._metrics = None if config.admin is None else self._build_metrics()
        self._tokens = self._build_tokens()
        self._key_file = self._build_key_file()
        self._edge = Edge(config, self._date, monotonic, time)
        self._core, self._routes = self._build_routes()
        self._sites: list[Site] = []
        self._ports: list[IListeningPort] = []
        self._listening: list[str] = []
        self._certificates: list[Certificates] = []
        for listener in config.listeners:
            self._open(listener)
        if config.admin is not None:
            self._listen("admin", config.admin.endpoint, *self._build_admin())

    # -- wiring ----------------------------------------------------------------------------------------------------

    def _line_writer(self) -> LineWriter | None:
        where = self._config.gateway.access_log
        if where == "off":
            return None
        try:
            return LineWriter(target(where), self._reactor)
        except OSError as failed:
            raise CannotStart(f"[gateway] access_log: can't open {where}: {failed.strerror}") from None

    def _build_routes(self) -> tuple[GatewayCore, GatewayRoutes]:
        config = self._config
        every = self._stages()
        missing = Route("-", "", [*every, *self._edge.place("")], refuse)
        whole = Route("*", "", [*every, *self._edge.own()], self._whole)
        places = self._places(every)
        entries = [(self._match(route), self._route(route, every)) for route in config.routes]
        taken = {match.path for match, _ in entries}
        entries += [(RouteMatch(path), route) for path, route in places.items() if path not in taken]
        find = ProxyRoutes(RouteTable(entries), missing, whole, preflights=config.cors is not None)
        core = GatewayCore(find, missing, self._problem())
        routes = GatewayRoutes(Place(core))
        for path, route in places.items():
            routes.add(path.encode(), Place(core, route))
        return core, routes

    def _build_tokens(self) -> Tokens | None:
        """What verifies tokens; None where nobody issues any."""
        jwt = self._config.jwt
        issuers = [issuer for issuer in (jwt, *self._config.issuers) if issuer is not None and issuer.sources]
        if not issuers:
            return None
        from apigw.keys.build import Tokens  # takes 100 ms

        return Tokens(jwt, issuers, self._config.revocation, self._reactor, time)

    def _build_key_file(self) -> KeyFile | None:
        """Who has API keys; None where there are none."""
        section = self._config.api_keys
        try:
            if section is None or section.file is None:
                return None
            return KeyFile(section.file, self._config.consumers)
        except ValueError as wrong:
            raise CannotStart(f"[api_keys] file: {wrong}") from None

    def _build_metrics(self) -> GatewayMetrics:
        return GatewayMetrics(CollectorRegistry(), __version__, self._states, self._reactor, monotonic)

    def _build_admin(self) -> tuple[GatewayCore, GatewayRoutes]:
        """The admin listener: the same path of a request, with places and stages of its own."""
        assert self._metrics is not None
        every = [*self._logging(), Origin(Forwarding(self._config.gateway.trusted_proxies)), AdminOnly(self._access)]
        scrape = Scrape(self._metrics.registry, self._reactor, monotonic, self._date)
        api = AdminApi(self._config, __version__, self._states, self._uptime, self._date)
        places = {
            "/metrics": Route("admin-metrics", "", every, scrape),
            "/api": Route("admin-api", "", every, api),
            "/health": Route("admin-health", "", every, self._health()),
            "/version": Route("admin-version", "", every, Version(__version__, self._date)),
        }
        if self._tokens is not None:
            revocations = RevocationsApi(self._tokens.revocations, self._config.revocation.keep, time, self._date)
            places[REVOCATIONS_PATH] = Route("admin-revocations", "", every, revocations)
        missing = Route("-", "", every, refuse)
        whole = Route("*", "", every, self._whole)
        entries = [(RouteMatch(path), route) for path, route in places.items()]
        core = GatewayCore(ProxyRoutes(RouteTable(entries), missing, whole), missing, self._problem())
        routes = GatewayRoutes(Place(core))
        for path, route in places.items():
            routes.add(path.encode(), Place(core, route))
        return core, routes

    def _health(self) -> Health:
        essential = self._config.gateway.ready_needs
        operators = self._access.check_public
        return Health(__version__, self._uptime, lambda: self._draining, self._states, essential, operators, self._date)

    def _states(self) -> list[ServiceState]:
        return [self._builder.state(upstream) for upstream in self._upstreams.values()]

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
            across = self._forwarder("user", Rewrite(AUTH_PATH, template=AUTH_REWRITE))
            stages = self._limited([*every, *self._edge.place("user", "auth")], cap)
            places[AUTH_PATH] = Route("auth", "user", stages, across)
        if self._tokens is not None or self._key_file is not None:
            places[SESSION_PATH] = Route(
                "session", "", [*every, *self._edge.place(""), *self._let_in("required")], Session(self._date)
            )
        graphql = config.graphql
        if graphql.service is not None:
            across = self._forwarder(graphql.service, Rewrite(graphql.path))
            stages = self._limited([*every, *self._edge.place(graphql.service)], cap)
            places[graphql.path] = Route("graphql", graphql.service, stages, across)
        return places

    def _stages(self) -> list[Stage]:
        """What every exchange passes, in order."""
        stages = self._logging()
        if self._metrics is not None:
            stages.append(Metrics(self._metrics.requests))
        stages.append(Origin(Forwarding(self._config.gateway.trusted_proxies)))
        if self._config.gateway.hsts is not None:
            stages.append(StrictTransport(self._config.gateway.hsts))
        if self._config.hosts:
            stages.append(ClientAuthChecked(host_auths(self._config.hosts)))
        return [*stages, *self._edge.every()]

    def _logging(self) -> list[Stage]:
        """What gives an exchange its id and its line in the log."""
        gateway = self._config.gateway
        stages: list[Stage] = [
            RequestId(RequestIds(os.urandom), monotonic, gateway.response_time_header, gateway.target_service_header)
        ]
        if self._lines is not None:
            path = {"redacted": redact.redacted, "full": redact.full, "none": redact.path_only}[gateway.log_query]
            stages.append(AccessLog(AccessLogFormat(time, monotonic, path).line, self._lines.write))
        return stages

    @staticmethod
    def _limited(stages: list[Stage], cap: int) -> list[Stage]:
        """:param cap: bytes, 0 for no cap."""
        return [*stages, BodyLimit(cap)] if cap else stages

    @staticmethod
    def _match(route: RouteSection) -> RouteMatch:
        headers = tuple((condition.name, condition.value) for condition in route.headers)
        return RouteMatch(str(route.path), route.host, route.methods, headers)

    def _route(self, route: RouteSection, stages: list[Stage]) -> Route:
        cap = self._config.gateway.max_body if route.max_body is None else route.max_body
        template = None if route.rewrite is None else str(route.rewrite)
        rewrite = Rewrite(str(route.path), route.strip_prefix, template)
        across = self._forwarder(route.service, rewrite, route.timeout.total)
        if self._config.service(route.service).client_certificate:
            stages = [*stages, CertificateFields()]
        before, after = self._edge.route(route)
        stages = [*stages, *before, *self._let_in(route.auth, route.roles, route.scopes), *after]
        return Route(route.name, route.service, self._limited(stages, cap), across)

    def _let_in(self, auth: str, roles: tuple[str, ...] = (), scopes: tuple[str, ...] = ()) -> list[Stage]:
        """The stages for who asks: none where the route doesn't want to know."""
        if auth == "none":
            return []
        required = auth == "required"
        way: Stage | None = None
        if self._tokens is not None:
            way = Jwt(self._tokens.authority, self._tokens.source, required, roles, scopes)
        section = self._config.api_keys
        if section is not None and self._key_file is not None:
            otherwise = None if way is None else way.request
            way = ApiKey(self._key_file.keys, section.field.lower().encode(), required, roles, scopes, otherwise)
        if way is None:
            return []
        identity = self._config.identity
        return [way, Identity(b"" if identity is None else identity.secret, time)]

    def _outgoing(self) -> Outgoing | None:
        """What a service gets of a client's fields; None for all."""
        section = self._config.api_keys
        outgoing = Outgoing([] if section is None else [section.field.lower().encode()])
        return outgoing or None

    def _forwarder(self, name: str, rewrite: Rewrite, total: float | None = None) -> Forwarder:
        service = self._config.service(name)
        timeout = service.timeout
        return Forwarder(
            self._upstreams[name],
            Timeouts(timeout.first_byte, timeout.idle, timeout.total if total is None else total),
            rewrite,
            monotonic,
            self._date,
            self._builder.retries(service),
            key=hash_key(service.hash_on) if service.balance == "consistent_hash" else None,
            preserve_host=service.preserve_host,
            pseudonym=self._pseudonym.encode(),
            outgoing=self._outgoing(),
        )

    def _routed(self, path: str) -> bool:
        return any(str(route.path).removeprefix("=").startswith(path) for route in self._config.routes)

    def _whole(self, _: object) -> Response:
        """The answer to ``OPTIONS *`` (RFC 9110 section 9.3.7)."""
        allow = b", ".join([*READ, b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"])
        return Response(204, b"No Content", [(b"Date", self._date.now()), (b"Allow", allow)], b"", bodyless=True)

    def _open(self, listener: ListenerSection) -> None:
        header = f"listener:{listener.name}"
        try:
            shown = certificates(listener, self._config.hosts)
        except ValueError as wrong:
            raise CannotStart(f"[{header}] certificates: {wrong}") from None
        if shown is not None:
            self._certificates.append(shown)
        scheme = b"https" if listener.tls else b"http"
        trusted = Forwarding(self._config.gateway.trusted_proxies)
        before = partial(entrance, listener, shown, trusted)
        routes = self._routes if listener.redirect is None else self._redirecting(listener.redirect)
        self._listen(header, listener.endpoint, self._core, routes, scheme, before)

    def _redirecting(self, port: int) -> GatewayRoutes:
        """All requests take one route: to https."""
        stages = self._logging()
        if self._metrics is not None:
            stages.append(Metrics(self._metrics.requests))
        stages.append(Origin(Forwarding(self._config.gateway.trusted_proxies)))
        return GatewayRoutes(Place(self._core, Route("redirect", "", stages, ToHttps(port, self._date))))

    def _listen(
        self,
        header: str,
        where: ListenEndpoint,
        core: GatewayCore,
        routes: GatewayRoutes,
        scheme: bytes = b"http",
        before: Callable[[Site], IProtocolFactory] = lambda site: site,
    ) -> None:
        """
        :param header: of the section, for messages.
        :param before: what clients meet before the site.
        """
        gateway = self._config.gateway
        settings = ChannelSettings(
            HeadLimits(size=gateway.max_header_size, line=min(8192, gateway.max_header_size)),
            gateway.header_timeout,
            gateway.body_idle_timeout,
            gateway.keepalive_timeout,
            gateway.write_idle_timeout,
        )
        site = Site(routes, core, settings, self._reactor, scheme)
        outcome: list[IListeningPort | Failure] = []
        try:
            endpoint = endpoints.serverFromString(self._reactor, str(where))
            maybeDeferred(endpoint.listen, before(site)).addBoth(outcome.append)
        except (ValueError, TypeError) as bad:
            raise CannotStart(f"[{header}] endpoint: {where}: {bad}") from None
        port = outcome[0] if outcome else None
        if isinstance(port, Failure):
            raise CannotStart(f"[{header}] endpoint: {where}: {_reason(port)}")
        assert port is not None
        accept_promptly(port)
        self._sites.append(site)
        self._ports.append(port)
        self._listening.append(header)

    # -- running -------------------------------------------------------------------------------------------------

    def startService(self) -> None:
        super().startService()
        if self._lines is not None:
            self._lines.start()
        if self._metrics is not None:
            self._metrics.lag.start()
        if self._tokens is not None:
            self._tokens.start()
        if self._key_file is not None:
            self._key_file.watch(self._reactor)
        lean(self._reactor)
        self._builder.start_checks()
        for shown in self._certificates:
            shown.watch(self._reactor)
        for number in (signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, self._reread)
        self._reactor.callWhenRunning(self._take_stop_signals)
        for header, port in zip(self._listening, self._ports, strict=True):
            self._log.info("[{header}] {address}", header=header, address=port.getHost())
        if self._demos and sys.__stdout__ is not None:
            host = self._ports[0].getHost()
            base = f"http://127.0.0.1:{getattr(host, 'port', 8080)}"
            sys.__stdout__.write("\n".join(["", "Try:", *tour(base), "", ""]))
            sys.__stdout__.flush()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)

    def stopService(self) -> Deferred[Any]:
        """
        End in order: stop listening, let requests in flight finish, cut what is left after ``drain_timeout``.

        :return: fires when all is ended; bounded by ``drain_timeout`` and a little.
        """
        self._draining = True
        closing = [maybeDeferred(port.stopListening) for port in self._ports]
        ended: Deferred[Any] = gatherResults(closing, consumeErrors=True)
        # Not before: who loses an idle connection makes another at once, which had better be refused than cut.
        ended.addBoth(self._drain)
        ended.addBoth(self._close_rest)
        return ended

    def _drain(self, _: object) -> Deferred[Any]:
        return gatherResults([site.drain(self._config.gateway.drain_timeout) for site in self._sites])

    def _close_rest(self, result: object) -> Deferred[Any]:
        if self._metrics is not None:
            self._metrics.lag.stop()
        if self._tokens is not None:
            self._tokens.stop()
        if self._key_file is not None:
            self._key_file.unwatch()
        self._builder.stop_checks()
        for shown in self._certificates:
            shown.unwatch()
        for upstream in self._upstreams.values():
            upstream.abort()
        if self._lines is not None:
            self._lines.close()
        return maybeDeferred(super().stopService)

    def _take_stop_signals(self) -> None:
        """
        In place of the reactor's own way with them, by which twistd ends as if it were killed (exit status 143, not 0)
        and a second signal is an error in the log.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: self._reactor.callFromThread(self._asked_to_stop, number))

    def _asked_to_stop(self, number: int) -> None:
        """Drain; who asks twice doesn't want to wait for that."""
        self._log.info("{name}: {doing}", name=signal.Signals(number).name, doing="cut" if self._draining else "drain")
        if self._draining:
            for site in self._sites:
                site.abort()
        else:
            self._draining = True  # before the reactor comes to stopService, for the next signal may be due as well
            self._reactor.stop()

    def _reread(self, number: int, _: object) -> None:
        """The log file is reopened, for it may have been moved away, and certificates are read again."""
        if self._lines is not None:
            self._reactor.callFromThread(self._lines.reopen)
        if number == signal.SIGHUP:
            for shown in self._certificates:
                self._reactor.callFromThread(shown.reload, True)
            if self._key_file is not None:
                self._reactor.callFromThread(self._key_file.reload, True)

    def _uptime(self) -> float:
        return monotonic() - self._started


def _reason(failure: Failure) -> str:
    """Why an address can't be listened on, in words."""
    value = failure.value
    if isinstance(value, error.CannotListenError):
        cause = value.socketError
        return getattr(cause, "strerror", None) or str(cause)
    return getattr(value, "strerror", None) or str(value)
