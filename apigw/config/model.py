"""
The configuration as values: one frozen class for each kind of section, each option declared once.

The loader, ``--check``, ``--show``, etc/gw.reference.ini and docs/configuration.md follow from what stands here.
"""

# ruff: noqa: RUF009 (option, group and section are attrs fields)
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network

from attrs import field, frozen

from apigw.config.adding import STAGES, StageSection
from apigw.config.addresses import PEERS, PeerAddress
from apigw.config.aggregating import AGGREGATE, PartTarget, RouteAggregate, variables
from apigw.config.caching import CACHE, OFF, CacheSection
from apigw.config.certificates import CERTIFICATES, CertificateFiles
from apigw.config.checking import CHECK_PATH, STATUSES, TEXT
from apigw.config.compressing import COMPRESSION, RouteCompression
from apigw.config.consumers import ApiKeysSection, ConsumerSection
from apigw.config.discovering import DiscoverySection
from apigw.config.endpoints import ENDPOINT, ListenEndpoint, parse_endpoint, parse_port
from apigw.config.fallback import ServiceFallback
from apigw.config.files import CA_FILE, CERTIFICATE_FILE, LOG
from apigw.config.graphql import GraphqlSection
from apigw.config.http2 import Http2Section
from apigw.config.kind import choice, list_of
from apigw.config.limiting import (
    IDEMPOTENCY,
    MAINTENANCE,
    NETWORKS,
    LimitsSection,
    RouteConcurrency,
    RouteLimits,
    parse_maintenance_mode,
)
from apigw.config.matching import (
    FIELDS,
    HOSTS,
    METHOD_LIST,
    PATH,
    PREFIX,
    REWRITE,
    FieldMatch,
    PathPattern,
)
from apigw.config.names import HASH_ON, NAME, SERVER_NAME
from apigw.config.option import Variable, group, option, optional_section, section, sections
from apigw.config.origins import ALLOWED_FIELDS, ALLOWED_METHODS, FIELD_NAMES, ORIGINS
from apigw.config.problems import Origin
from apigw.config.retrying import BACKOFF, RETRY_METHODS, RETRY_ON
from apigw.config.secrets import SECRET_FILE, SECRET_VARIABLE, Secret
from apigw.config.secure import REDIRECT, STRICT_TRANSPORT
from apigw.config.sending import ServiceAdaptive, ServiceHedge, ServiceSticky
from apigw.config.sharing import MIRROR, SPLIT, Mirrored, RouteMirror, RouteSplit, Weighted
from apigw.config.streaming import PROTOCOLS, RouteEvents, RouteTunnel
from apigw.config.tokens import (
    ROLES,
    SCOPES,
    ForwardAuthSection,
    IdentitySection,
    IssuerSection,
    JwtSection,
    RevocationSection,
)
from apigw.config.tracing import TracingSection
from apigw.config.transforming import RouteRequest, RouteResponse, used
from apigw.config.units import (
    DURATION,
    NETWORK,
    PERCENT,
    SIZE,
    SWITCH,
    WORKERS,
    integer,
    parse_body_parser_size,
    parse_milliseconds,
    parse_threshold,
    size_between,
)
from apigw.config.versioning import ROUTE_VERSION, UNVERSIONED, VersioningSection, VersionSection
from apigw.policy.cors import ANY, SAFE_EXPOSED
from apigw.policy.paths import Rewrite
from apigw.policy.templates import OF_A_TOKEN
from apigw.policy.versions import natural

MIN_TOKEN = 16
"""Bytes of the admin token: 64 bits even if they are only hexadecimal digits."""

TOKEN68 = re.compile(rb"[A-Za-z0-9._~+/-]+=*").fullmatch
"""What follows ``Bearer`` (RFC 6750 section 2.1)."""

CREDENTIALS = re.compile(rb"[A-Za-z][A-Za-z0-9-]* [ -~]+").fullmatch
"""The value of an Authorization field (RFC 9110 section 11.6.2)."""

CLIENT_AUTH = choice("none", "optional", "required")

LEVELS = ("debug", "info", "warn", "error", "critical")
"""Of the log, as twisted.logger has them."""


@frozen(kw_only=True)
class GatewaySection:
    """What holds for the gateway as a whole."""

    workers: int = option(
        WORKERS,
        default=1,
        example="auto",
        help="Processes that share the listeners. `1` runs by itself, more have a supervisor.",
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = option(
        list_of(NETWORK, "networks"),
        default=(),
        unset="none",
        example="10.0.0.0/8, 192.168.1.7",
        help="Whose `X-Forwarded-For` and `Forwarded` fields count.",
    )
    drain_timeout: float = option(
        DURATION,
        default=30.0,
        variable=Variable("SHUTDOWN_TIMEOUT_MS", parse_milliseconds),
        help="How long a stop waits for requests in flight.",
    )
    max_header_size: int = option(
        size_between(1024, 1024**2), default=16384, help="Bytes of the head of a request; 431 past it."
    )
    max_body: int = option(
        SIZE,
        default=1024**2,
        variable=Variable("BODY_SIZE_LIMIT", parse_body_parser_size),
        help="Bytes of the body of a request; 413 past it. `0` is no cap.",
    )
    header_timeout: float = option(
        DURATION, default=10.0, help="From the first byte of a request to the end of its head; 408 past it."
    )
    body_idle_timeout: float = option(
        DURATION, default=30.0, help="Without a byte of a request's body that is due; 408 past it."
    )
    keepalive_timeout: float = option(
        DURATION, default=60.0, help="Between two requests on one connection; it is closed past it."
    )
    write_idle_timeout: float = option(
        DURATION,
        default=60.0,
        help="In which a client takes nothing of the answer that waits for it; it is cut past it.",
    )
    error_format: str = option(
        choice("problem", "envelope"),
        default="problem",
        help="The gateway's own errors: RFC 9457 problem details, or `{success: false, error: {...}}`. A client's"
        " `Accept` may choose the other.",
    )
    access_log: str = option(
        LOG,
        default="-",
        help="Where a JSON line for each request goes: standard output, syslog, a file (reopened on SIGHUP and"
        " SIGUSR1), or nowhere.",
    )
    error_log: str = option(
        choice("text", "json"),
        default="text",
        help="The form of what the gateway logs of itself where twistd has its log: text, or a JSON line for each"
        " event.",
    )
    log_level: str = option(
        choice(*LEVELS),
        default="info",
        help="How much it logs there; what operators do is always logged. They may change it while it runs.",
    )
    slow_log: float | None = option(
        DURATION,
        default=None,
        unset="off",
        example="1s",
        help="From when on a request is slow: a warning there says where its time went.",
    )
    log_query: str = option(
        choice("redacted", "full", "none"),
        default="redacted",
        help="What the access log has of query strings: the names alone, all of it, or nothing.",
    )
    maintenance: float = option(
        MAINTENANCE,
        default=0.0,
        variable=Variable("MAINTENANCE_MODE", parse_maintenance_mode),
        help="Answer 503 on all routes, but not at `/health` and `/version`. How long it will take is what clients are"
        " told in `Retry-After`; `yes` is 5 minutes.",
    )
    maintenance_allow: tuple[IPv4Network | IPv6Network, ...] = option(
        NETWORKS,
        default=(),
        unset="none",
        example="10.0.0.0/8",
        help="Addresses that are served during any maintenance, to see whether all is well before it ends.",
    )
    allow_ips: tuple[IPv4Network | IPv6Network, ...] = option(
        NETWORKS, default=(), unset="all", example="10.0.0.0/8", help="Addresses that may ask; 403 for any other."
    )
    deny_ips: tuple[IPv4Network | IPv6Network, ...] = option(
        NETWORKS, default=(), unset="none", example="192.0.2.0/24", help="Addresses that may not, even if allowed; 403."
    )
    security_headers: str = option(
        choice("off", "pages", "api"),
        default="off",
        help="Fields that make browsers careful with an answer, where it doesn't have them: `pages` breaks no ordinary"
        " page, `api` is for answers that are no pages.",
    )
    hsts: str | None = option(
        STRICT_TRANSPORT,
        default=None,
        unset="not sent",
        example="365d includeSubDomains",
        help="Send `Strict-Transport-Security` with each answer over TLS: browsers use https alone for so long.",
    )
    response_time_header: bool = option(SWITCH, default=True, help="Send `x-response-time` with each answer.")
    ready_needs: tuple[str, ...] = option(
        list_of(NAME, "services"),
        default=(),
        unset="none",
        example="user",
        help="Services without which `/health/ready` says no: each needs a peer that gets requests.",
    )
    target_service_header: bool = option(SWITCH, default=True, help="Send `x-target-service` with each answer.")


@frozen(kw_only=True)
class ListenerSection:
    """Where clients connect. Without any such section there is `[listener:default]`."""

    name: str
    endpoint: ListenEndpoint = option(
        ENDPOINT,
        default=parse_endpoint("tcp:8080"),
        variable=Variable("PORT", parse_port),
        help="What to listen on; port 0 lets the kernel choose.",
    )
    tls: bool = option(SWITCH, default=False, help="Speak TLS 1.2 and 1.3 here.")
    certificates: CertificateFiles | None = option(
        CERTIFICATES,
        default=None,
        unset="none",
        example="/etc/apigw/tls/*.pem",
        help="The key and the chain stand in one file, or in NAME.key and NAME.crt. A client gets the one with the"
        " name it asks for, or the first. Files that change are taken up while the gateway runs.",
    )
    client_auth: str = option(
        CLIENT_AUTH,
        default="none",
        help="Whether a client must show a certificate; with `optional` one that can't be trusted is still refused.",
    )
    client_ca: str | None = option(
        CA_FILE,
        default=None,
        unset="none",
        example="/etc/apigw/tls/clients-ca.pem",
        help="The authorities that may have signed the certificates of clients.",
    )
    handshake_timeout: float = option(
        DURATION, default=10.0, help="From the accept to the end of the TLS handshake, or of a PROXY header."
    )
    proxy_protocol: bool = option(
        SWITCH,
        default=False,
        help="Each connection from `trusted_proxies` must begin with a PROXY header, version 1 or 2, before any TLS;"
        " those of others may not.",
    )

    http2: bool | None = option(
        SWITCH,
        default=None,
        unset="as `tls`",
        example="yes",
        help="Speak HTTP/2 here too. Without TLS that is for clients that know of it beforehand (h2c).",
    )

    redirect: int | None = option(
        REDIRECT,
        default=None,
        unset="none",
        example="https",
        help="Serve nothing here, but tell clients to ask the same of https (308).",
    )

    @property
    def speaks_http2(self) -> bool:
        return self.tls if self.http2 is None else self.http2

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        if self.tls and self.redirect is not None:
            yield "redirect", "is for listeners without TLS, write it there"
        if self.tls and self.certificates is None:
            yield (
                "certificates",
                "is missing, tls = yes needs it, write for example certificates = /etc/apigw/tls/*.pem",
            )
        if not self.tls and self.certificates is not None:
            yield "certificates", "is of no use without tls = yes, add that"
        if not self.tls and self.client_auth != "none":
            yield "client_auth", "is of no use without tls = yes, add that"
        yield from _client_auth_problems(self.client_auth, self.client_ca)


@frozen(kw_only=True)
class HostSection:
    """What clients of one host name need beyond the listener's options; NAME is as they ask for it, without a port."""

    name: str
    client_auth: str = option(CLIENT_AUTH, default="none", help="Instead of the listener's.")
    client_ca: str | None = option(
        CA_FILE, default=None, unset="none", example="/etc/apigw/tls/partners-ca.pem", help="Instead of the listener's."
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        yield from _client_auth_problems(self.client_auth, self.client_ca)


def _client_auth_problems(mode: str, ca: str | None) -> Iterator[tuple[str, str]]:
    if mode != "none" and ca is None:
        yield "client_ca", f"is missing, client_auth = {mode} needs to know who may have signed"
    if mode == "none" and ca is not None:
        yield "client_ca", "is of no use with client_auth = none, write client_auth = required or leave it out"


@frozen(kw_only=True)
class AdminSection:
    """The listener for operators: metrics, health, what is going on. Without this section there is none."""

    endpoint: ListenEndpoint = option(
        ENDPOINT,
        default=parse_endpoint("tcp:9900:interface=127.0.0.1"),
        help="What to listen on. Beyond loopback and UNIX sockets a token is needed.",
    )
    token_env: Secret | None = option(
        SECRET_VARIABLE,
        default=None,
        unset="none",
        example="APIGW_ADMIN_TOKEN",
        help="Holds the token that clients must send: `Authorization: Bearer ...`.",
    )
    token_file: Secret | None = option(
        SECRET_FILE,
        default=None,
        unset="none",
        example="/etc/apigw/admin-token",
        help="The same, from a file.",
    )

    @property
    def token(self) -> bytes:
        """Empty where there is none."""
        secret = self.token_env or self.token_file
        return b"" if secret is None else secret.value

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        if self.token_env is not None and self.token_file is not None:
            yield "token_file", "token_env is there too, keep one of the two"
        if self.token and len(self.token) < MIN_TOKEN:
            key = "token_env" if self.token_env is not None else "token_file"
            yield key, f"the token has {len(self.token)} bytes, make one of {MIN_TOKEN} or more: openssl rand -hex 24"
        elif self.token and not TOKEN68(self.token):
            key = "token_env" if self.token_env is not None else "token_file"
            yield key, "the token holds what a bearer token can't, make one by: openssl rand -hex 24"
        if not (self.token or self.endpoint.local):
            yield "endpoint", f"{str(self.endpoint)!r} can be reached from other machines, which needs token_env"


@frozen(kw_only=True)
class ServiceKeepalive:
    idle: float = option(
        DURATION,
        default=60.0,
        help="How long a connection to a peer is kept that carries nothing; the one that was used last is used first.",
    )
    max_age: float = option(
        DURATION, default=3600.0, help="Not used again once it is as old, so that a changed address or balance shows."
    )
    max_requests: int = option(integer(1, 1_000_000_000), default=10000, help="Not used again after as many.")


@frozen(kw_only=True)
class ServiceTimeouts:
    connect: float = option(DURATION, default=2.0, help="To connect to a peer, its TLS handshake included.")
    first_byte: float = option(
        DURATION, default=15.0, help="From the end of the request to the head of the answer, for each attempt."
    )
    idle: float = option(DURATION, default=60.0, help="Without a byte of the answer's body.")
    total: float = option(
        DURATION,
        default=30.0,
        help="From the end of the request to the head of the answer, over all attempts. Neither a long upload nor a"
        " long answer is cut by it.",
    )


@frozen(kw_only=True)
class ServiceTls:
    ca: str | None = option(
        CA_FILE,
        default=None,
        unset="the system's authorities",
        example="/etc/apigw/tls/services-ca.pem",
        help="The authorities that may have signed the certificates of `https://` peers.",
    )
    client_cert: str | None = option(
        CERTIFICATE_FILE,
        default=None,
        unset="none",
        example="/etc/apigw/tls/gateway.pem",
        help="The certificate that the gateway shows to `https://` peers, and its key.",
    )
    server_name: str | None = option(
        SERVER_NAME,
        default=None,
        unset="the host of the URL",
        example="user.internal",
        help="The name to ask for, and to find in the certificate.",
    )


@frozen(kw_only=True)
class ServiceRetry:
    attempts: int = option(integer(1, 10), default=3, help="Attempts in all, each at another peer; `1` for no retries.")
    on: tuple[str, ...] = option(
        RETRY_ON,
        default=("connect", "reset", "502", "503", "504"),
        help="Failures that are tried again: no connection, a peer that breaks off before it answers, a timeout, or"
        " statuses.",
    )
    budget: float = option(
        PERCENT,
        default=0.2,
        help="Retries for each request to the service, besides three a second that are always allowed: a service"
        " that is down isn't asked more often still.",
    )
    backoff: tuple[float, float] = option(
        BACKOFF,
        default=(0.05, 2.0),
        help="Pauses grow from the first to the second, and are chosen by chance below that.",
    )
    methods: tuple[str, ...] = option(
        RETRY_METHODS,
        default=("idempotent",),
        help="What may be sent twice; `idempotent` is GET, HEAD, OPTIONS, TRACE, PUT and DELETE. What was never sent is"
        " tried again whatever its method.",
    )


@frozen(kw_only=True)
class ServiceBreaker:
    ratio: float = option(
        PERCENT,
        default=0.5,
        variable=Variable("CIRCUIT_BREAKER_FAILURE_THRESHOLD", parse_threshold),
        help="Of failed calls to a peer, in the window, from which on it gets none; failed are those without answer"
        " and those with a status of 500 or more.",
    )
    volume: int = option(integer(1, 1_000_000), default=5, help="Calls in the window below which no share counts.")
    window: float = option(DURATION, default=10.0, help="How far back calls count.")
    consecutive: int = option(
        integer(0, 1_000_000), default=0, help="Failed calls in a row that do it too; `0` for none."
    )
    slow_after: float | None = option(
        DURATION, default=None, unset="never", example="2s", help="From when on a call is slow."
    )
    slow_ratio: float = option(PERCENT, default=1.0, help="Of slow calls, as `breaker.ratio` is of failed ones.")
    open_for: float = option(
        DURATION,
        default=30.0,
        variable=Variable("CIRCUIT_BREAKER_RESET_TIMEOUT", parse_milliseconds),
        help="How long the peer gets nothing then.",
    )
    half_open: int = option(integer(1, 10_000), default=1, help="Probes under way at once after that.")
    closes_after: int = option(integer(1, 10_000), default=3, help="Probes in a row that must succeed.")


@frozen(kw_only=True)
class ServiceHealth:
    path: str | None = option(
        CHECK_PATH,
        default=None,
        unset="no checks",
        example="/health",
        help="What each peer is asked for with GET; a peer that fails its checks gets no requests.",
    )
    interval: float = option(DURATION, default=10.0, help="Between checks of a peer, give or take a tenth.")
    interval_down: float | None = option(
        DURATION, default=None, unset="as `health.interval`", example="2s", help="The same while it is unhealthy."
    )
    timeout: float = option(DURATION, default=2.0, help="For the answer to a check.")
    healthy_after: int = option(integer(1, 1000), default=2, help="Checks in a row that an unhealthy peer must pass.")
    unhealthy_after: int = option(integer(1, 1000), default=3, help="Checks in a row that a healthy one must fail.")
    status: frozenset[int] = option(STATUSES, default=frozenset(range(200, 400)), help="What passes.")
    body: str | None = option(
        TEXT, default=None, unset="anything", example="ok", help="What must stand in the first 64 KiB of the body."
    )
    host: str | None = option(
        SERVER_NAME, default=None, unset="the peer's own", example="user.internal", help="The `Host` of a check."
    )


@frozen(kw_only=True)
class ServiceOutlier:
    consecutive_5xx: int = option(
        integer(0, 1_000_000),
        default=5,
        help="Failures in a row (statuses from 500 on, resets, timeouts) after which a peer gets no requests for a"
        " while; `0` for never.",
    )
    consecutive_connect: int = option(
        integer(0, 1_000_000), default=3, help="The same for failures to connect; `0` for never."
    )
    eject_for: float = option(DURATION, default=30.0, help="How long, times the number of times; up to five minutes.")
    max_ejected: float = option(PERCENT, default=0.5, help="Share of the peers that may be out at a time.")


@frozen(kw_only=True)
class ServiceSection:
    """A service behind the gateway: its addresses, and how requests get there."""

    name: str
    urls: tuple[PeerAddress, ...] = option(
        PEERS,
        example="http://10.0.0.1:9001 weight=2, http://10.0.0.2:9001",
        variable=Variable("{NAME}_SERVICE_URL", PEERS.parse),
        help="The peers, and their shares of the requests.",
    )
    backup_urls: tuple[PeerAddress, ...] = option(
        PEERS,
        default=(),
        unset="none",
        example="http://10.0.1.1:9001",
        help="Peers that are used only when no peer of `urls` is usable.",
    )
    balance: str = option(
        choice("round_robin", "least_connections", "p2c", "ewma", "random", "consistent_hash"),
        default="p2c",
        help="Who gets the next request: each in turn; the least busy; the less busy of two chosen by chance; the"
        " faster of two; any; or the one that the hash of something leads to.",
    )
    hash_on: str = option(
        HASH_ON,
        default="ip",
        help="What `consistent_hash` goes by: the client's address, the user, a field, a cookie, or the path.",
    )
    slow_start: float | None = option(
        DURATION,
        default=None,
        unset="none",
        example="30s",
        help="Over which the share of a peer grows that came or came back.",
    )
    panic: float = option(
        PERCENT,
        default=0.5,
        help="Share of healthy peers below which health is taken for wrong and all are used; `0%` never.",
    )
    preserve_host: bool = option(
        SWITCH, default=True, help="Send the client's `Host` on; else the host and port of the peer."
    )
    client_certificate: bool = option(
        SWITCH,
        default=False,
        help="Send `X-Client-Cert-Subject` (RFC 4514) and `X-Client-Cert-Fingerprint` (SHA-256, hexadecimal) of the"
        " certificate that the client has shown.",
    )
    authorization: str = option(
        choice("pass", "drop", "replace"),
        default="pass",
        help="What the service gets of the client's `Authorization`: all of it, nothing, or the gateway's own. With an"
        " API key, and from guests, nobody has verified it.",
    )
    authorization_env: Secret | None = option(
        SECRET_VARIABLE,
        default=None,
        unset="none",
        example="USER_SERVICE_AUTHORIZATION",
        help="Holds the gateway's own, with its scheme: `Basic ...` or `Bearer ...`.",
    )
    authorization_file: Secret | None = option(
        SECRET_FILE, default=None, unset="none", example="/etc/apigw/user-authorization", help="The same, from a file."
    )
    max_connections: int = option(integer(1, 65535), default=100, help="Connections to each peer.")
    max_queue: int = option(
        integer(0, 1_000_000), default=200, help="Requests that wait for a connection; 503 for one more."
    )
    queue_timeout: float = option(DURATION, default=1.0, help="How long they wait; 503 past it.")
    maintenance: float = option(
        MAINTENANCE, default=0.0, help="Answer 503 on its routes, with `Retry-After` as for the gateway."
    )
    maintenance_allow: tuple[IPv4Network | IPv6Network, ...] = option(
        NETWORKS,
        default=(),
        unset="the gateway's",
        example="10.0.0.0/8",
        help="As the gateway's, and beside those.",
    )
    keepalive: ServiceKeepalive = group(ServiceKeepalive)
    timeout: ServiceTimeouts = group(ServiceTimeouts)
    retry: ServiceRetry = group(ServiceRetry)
    breaker: ServiceBreaker = group(ServiceBreaker)
    health: ServiceHealth = group(ServiceHealth)
    outlier: ServiceOutlier = group(ServiceOutlier)
    sticky: ServiceSticky = group(ServiceSticky)
    hedge: ServiceHedge = group(ServiceHedge)
    adaptive: ServiceAdaptive = group(ServiceAdaptive)
    fallback: ServiceFallback = group(ServiceFallback)
    tls: ServiceTls = group(ServiceTls)

    @property
    def own_authorization(self) -> Secret | None:
        """What replaces the client's."""
        return self.authorization_env or self.authorization_file

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        own = self.own_authorization
        key = "authorization_file" if self.authorization_env is None else "authorization_env"
        if self.authorization_env is not None and self.authorization_file is not None:
            yield "authorization_file", "authorization_env is there too, keep one of the two"
        elif self.authorization == "replace" and own is None:
            yield "authorization", "replace needs to know by what, write authorization_env or authorization_file"
        elif self.authorization != "replace" and own is not None:
            yield key, "is of no use without authorization = replace, add that"
        elif own is not None and not CREDENTIALS(own.value):
            yield key, "has no scheme and credentials, write for example: Bearer ..."
        yield from self.sticky.problems()
        yield from self.hedge.problems()
        yield from self.fallback.problems()
        yield from self.adaptive.problems()


@frozen(kw_only=True)
class RouteTimeouts:
    total: float | None = option(
        DURATION, default=None, unset="the service's", example="5s", help="As the service's `timeout.total`."
    )


@frozen(kw_only=True)
class RouteSection:
    """Which requests go where. Of the routes that match a request the most specific one wins."""

    name: str
    path: PathPattern = option(
        PATH,
        example="/api/v1/users",
        help="A prefix, by whole segments; `=/exact` is that path alone; `{id}` is any one segment; `*` at the end"
        " is all the rest, of which there must be some.",
    )
    host: tuple[str, ...] = option(
        HOSTS,
        default=(),
        unset="any",
        example="api.example.com, *.example.com",
        help="Any of them, at any port; `*.` stands for one label or more.",
    )
    methods: tuple[str, ...] = option(
        METHOD_LIST, default=(), unset="any", example="GET, POST", help="Any of them; `GET` is `HEAD` too."
    )
    headers: tuple[FieldMatch, ...] = option(
        FIELDS,
        default=(),
        unset="any",
        example="X-Canary: yes",
        help="Fields that the request must have, with these very values.",
    )
    version: str | None = option(
        ROUTE_VERSION,
        default=None,
        unset="any",
        example="1",
        help="The version of the API that the request must be for, see `[versioning]`; `none` takes no part in that.",
    )
    service: str | None = option(
        NAME,
        default=None,
        unset="see `split`",
        refers_to="service",
        usual=True,
        example="user",
        help="The service that answers.",
    )
    shares: tuple[Weighted, ...] = option(
        SPLIT,
        key="split",
        default=(),
        unset="none",
        refers_to="service",
        example="user:90, user-canary:10",
        help="In place of `service`: several that share the requests by weight. One that can't be asked is left out.",
    )
    split: RouteSplit = group(RouteSplit)
    copies: tuple[Mirrored, ...] = option(
        MIRROR,
        key="mirror",
        default=(),
        unset="none",
        refers_to="service",
        example="user-shadow:5%",
        help="Services that get copies of so many of the requests, once those are answered; what they say is dropped.",
    )
    mirror: RouteMirror = group(RouteMirror)
    parts: tuple[PartTarget, ...] = option(
        AGGREGATE,
        key="aggregate",
        default=(),
        unset="none",
        refers_to="service",
        example="user:/internal/me as profile, music:/internal/top?{query} as music",
        help="In place of `service`: several that are asked at once by GET, with the same variables as in"
        " `request.target`. The answer is a JSON object of theirs.",
    )
    aggregate: RouteAggregate = group(RouteAggregate)
    strip_prefix: str | None = option(
        PREFIX,
        default=None,
        unset="nothing",
        example="/api/v1",
        help="What is taken off the path before it is sent to the service; a beginning of `path`.",
    )
    rewrite: str | None = option(
        REWRITE,
        default=None,
        unset="the path as it is",
        example="/internal/users",
        help="What replaces the part of the path that `path` matches; what follows that part is kept.",
    )
    timeout: RouteTimeouts = group(RouteTimeouts)
    priority: str = option(
        choice("high", "normal", "low"),
        default="normal",
        help="Who is refused first where a service is at its `adaptive.limit`.",
    )
    request: RouteRequest = group(RouteRequest)
    response: RouteResponse = group(RouteResponse)
    max_body: int | None = option(
        SIZE,
        default=None,
        unset="the gateway's",
        example="10MiB",
        help="Bytes of the body of a request; 413 past it. `0` is no cap.",
    )
    limit: RouteLimits = group(RouteLimits)
    concurrent: RouteConcurrency = group(RouteConcurrency)
    idempotency: float = option(
        IDEMPOTENCY,
        default=0.0,
        help="What has an `Idempotency-Key` is done once, and its answer is kept: `on` is for 24 hours. GET, HEAD,"
        " OPTIONS and TRACE need none.",
    )
    cache: float = option(
        CACHE,
        default=OFF,
        example="60s",
        help="Keep answers to GET and give them again, as RFC 9111 has it for shared caches: `on` for as long as they"
        " say themselves; a duration is for those that say nothing.",
    )
    stale_while_revalidate: float | None = option(
        DURATION,
        default=None,
        unset="as the answer says",
        example="120s",
        help="After that, how long the old answer is given at once while the service is asked for a new one.",
    )
    stale_if_error: float | None = option(
        DURATION,
        default=None,
        unset="as the answer says",
        example="1h",
        help="After that, how long it is given where the service fails.",
    )
    enforce: bool = option(
        SWITCH,
        default=True,
        help="`no` lets pass what limits and address lists of the route would refuse; the log says `would_refuse`.",
    )
    maintenance: float = option(MAINTENANCE, default=0.0, help="Answer 503, with `Retry-After` as for the gateway.")
    maintenance_allow: tuple[IPv4Network | IPv6Network, ...] = option(
        NETWORKS,
        default=(),
        unset="the gateway's",
        example="10.0.0.0/8",
        help="As the gateway's, and beside those.",
    )
    upgrade: tuple[str, ...] = option(
        PROTOCOLS,
        default=(),
        unset="none",
        example="websocket",
        help="Protocols that clients may ask to change to by `Upgrade`; the service chooses. For others, and without"
        " this option, the field goes no further.",
    )
    tunnel: RouteTunnel = group(RouteTunnel)
    events: RouteEvents = group(RouteEvents)
    compression: str = option(
        COMPRESSION,
        default="off",
        help="Compress answers with gzip, and with br and zstd where they are installed. An answer that holds a secret"
        " and something of the request tells the secret by its size then (BREACH): `public` leaves out all that has to"
        " do with cookies or credentials.",
    )
    compress: RouteCompression = group(RouteCompression)
    allow_ips: tuple[IPv4Network | IPv6Network, ...] = option(
        NETWORKS,
        default=(),
        unset="all",
        example="10.0.0.0/8",
        help="Addresses that may ask here, of those that may ask at all; 403 for any other.",
    )
    deny_ips: tuple[IPv4Network | IPv6Network, ...] = option(
        NETWORKS, default=(), unset="none", example="192.0.2.0/24", help="Addresses that may not ask here; 403."
    )
    security_headers: str | None = option(
        choice("off", "pages", "api"),
        default=None,
        unset="the gateway's",
        example="api",
        help="As the gateway's `security_headers`.",
    )
    auth: str = option(
        choice("none", "optional", "required"),
        default="none",
        help="Whether a token or an API key is needed. With `optional` who has none that is valid is a guest; with"
        " `none` neither is looked at.",
    )
    roles: tuple[str, ...] = option(
        ROLES, default=(), unset="any", example="admin, editor", help="One of them is needed; 403 without."
    )
    scopes: tuple[str, ...] = option(
        SCOPES, default=(), unset="any", example="read:users", help="All of them are needed; 403 without."
    )

    stages: tuple[str, ...] = option(
        STAGES,
        default=(),
        unset="none",
        example="geo",
        help="Stages of your own that requests pass, in this order, after they were let in and counted.",
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        for key in ("roles", "scopes"):
            if getattr(self, key) and self.auth != "required":
                yield key, "needs auth = required, add that"
        for key in ("stale_while_revalidate", "stale_if_error"):
            if getattr(self, key) is not None and self.cache == OFF:
                yield key, "is of no use without cache, add for example cache = 60s"
        yield from self._answering()
        yield from self._transformed()
        if self.strip_prefix is not None and self.rewrite is not None:
            yield "rewrite", "strip_prefix is there too, keep one of the two"
        for key, value in (("strip_prefix", self.strip_prefix), ("rewrite", self.rewrite)):
            try:
                Rewrite(self.path.text, **{"template" if key == "rewrite" else key: value})
            except ValueError as error:
                yield key, f"{error}; it must fit path = {self.path}"

    @property
    def services(self) -> tuple[str, ...]:
        """All that may answer."""
        if self.service is not None:
            return (self.service,)
        several = [*(one.service for one in self.shares), *(one.service for one in self.parts)]
        return tuple(dict.fromkeys(several))

    @property
    def takes(self) -> tuple[str, ...]:
        """Methods, none for all."""
        return self.methods or (("GET",) if self.parts else ())

    def _answering(self) -> Iterator[tuple[str, str]]:
        given = [
            key
            for key, value in (("service", self.service), ("split", self.shares), ("aggregate", self.parts))
            if value
        ]
        if not given:
            yield "service", "is missing, write for example service = user"
        elif len(given) > 1:
            yield given[1], f"{given[0]} is there too, keep one of the two"
        if self.parts:
            yield from self._aggregated()
        for copy in self.copies:
            if copy.service in self.services:
                yield "mirror", f"{copy.service} answers the requests itself, name another service"
        if self.split.on is not None and not self.shares:
            yield "split.on", "is of no use without split, add for example split = user:90, user-canary:10"
        if self.split.on == "user" and self.auth == "none":
            yield "split.on", "is user, but nobody is asked who they are: write auth = optional or required"

    def _aggregated(self) -> Iterator[tuple[str, str]]:
        if not {"GET", "HEAD"}.issuperset(self.takes):
            yield "methods", "is more than aggregate can do, leave GET and HEAD"
        for key, value in (
            ("strip_prefix", self.strip_prefix),
            ("rewrite", self.rewrite),
            ("request.target", self.request.target),
            ("mirror", self.copies),
            ("upgrade", self.upgrade),
            ("idempotency", self.idempotency),
        ):
            if value:
                yield key, "is of no use with aggregate, take it away"

    def _transformed(self) -> Iterator[tuple[str, str]]:
        yield from self.request.problems()
        yield from self.response.problems()
        if self.cache != OFF and self.request.rename:
            yield "request.rename", "would let the cache mix up answers, take cache away or rename the field elsewhere"
        if self.request.target is not None:
            if self.cache != OFF:
                yield "request.target", "would let the cache mix up answers, take cache away or write rewrite"
            if self.rewrite is not None or self.strip_prefix is not None:
                yield "request.target", "rewrite or strip_prefix is there too, keep one of them"
        for own in (self.request, self.response):
            for key, variable in (*used(own), *(variables(self.parts) if own is self.request else ())):
                family, _, name = variable.partition(".")
                if family in OF_A_TOKEN and self.auth == "none":
                    yield (
                        key,
                        f"has {{{variable}}}, but nobody is asked who they are: write auth = optional or required",
                    )
                elif family == "param" and name not in self.path.pattern.names:
                    yield key, f"has {{{variable}}}, but path = {self.path} has no {{{name}}}"


@frozen(kw_only=True)
class CorsSection:
    """
    Which pages of other origins may read answers. Without this section that is the services' affair; with it the
    gateway answers preflights, and replaces what services say of it.
    """

    origins: tuple[str, ...] = option(
        ORIGINS,
        example="https://app.example.com, https://*.example.org",
        variable=Variable("CORS_ORIGINS", ORIGINS.parse),
        help="Exact origins; `*.` stands for one label; `*` alone is any origin.",
    )
    credentials: bool = option(
        SWITCH, default=False, help="Scripts may send cookies and the like, and read the answers to such requests."
    )
    methods: tuple[str, ...] = option(
        ALLOWED_METHODS, default=(ANY,), help="What a preflight allows; `*` is the method that it asks for."
    )
    headers: tuple[str, ...] = option(
        ALLOWED_FIELDS, default=(ANY,), help="Request fields that a preflight allows; `*` are those that it asks for."
    )
    expose: tuple[str, ...] = option(
        FIELD_NAMES, default=SAFE_EXPOSED, help="Response fields that scripts may read, besides those always readable."
    )
    max_age: float = option(
        DURATION, default=600.0, help="How long a browser may keep the answer to a preflight; two hours at most count."
    )
    private_network: bool = option(
        SWITCH, default=False, help="Pages of the internet may ask a gateway in a private network."
    )
    refuse: bool = option(
        SWITCH,
        default=False,
        help="Answer pages of other origins with 403. Else they are served without leave, and browsers keep the answer"
        " from them.",
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        if ANY in self.origins and len(self.origins) > 1:
            yield "origins", "'*' is any origin, leave it or the others out"
        if self.credentials:
            for key, values in (("origins", self.origins), ("expose", self.expose)):
                if ANY in values:
                    yield key, "'*' means nothing together with credentials = yes, name each"


@frozen(kw_only=True)
class DemoSection:
    """Small embedded services, for a first look: peers `demo:user`, `demo:ai` and `demo:music`."""

    enabled: bool = option(SWITCH, default=False, help="Start those that some service names; off in production.")


@frozen(kw_only=True)
class GatewayConfig:
    """
    All of it.

    :ivar origins: where values come from, by section (as in the brackets) and key; a default has none.
    :ivar secrets: sections and keys whose values came from variables with secret names, so that they aren't shown.
    :ivar unused: names of environment variables that are set and that this version makes no use of.
    """

    gateway: GatewaySection = section("gateway", GatewaySection)
    listeners: tuple[ListenerSection, ...] = sections("listener", ListenerSection, "public")
    http2: Http2Section = section("http2", Http2Section)
    hosts: tuple[HostSection, ...] = sections("host", HostSection, "secure.example.com")
    admin: AdminSection | None = optional_section("admin", AdminSection)
    services: tuple[ServiceSection, ...] = sections("service", ServiceSection, "user")
    routes: tuple[RouteSection, ...] = sections("route", RouteSection, "users")
    versioning: VersioningSection | None = optional_section("versioning", VersioningSection)
    versions: tuple[VersionSection, ...] = sections("version", VersionSection, "1")
    graphql: GraphqlSection = section("graphql", GraphqlSection)
    cors: CorsSection | None = optional_section("cors", CorsSection)
    limits: LimitsSection | None = optional_section("limits", LimitsSection)
    jwt: JwtSection | None = optional_section("jwt", JwtSection)
    issuers: tuple[IssuerSection, ...] = sections("issuer", IssuerSection, "partner")
    revocation: RevocationSection = section("revocation", RevocationSection)
    api_keys: ApiKeysSection | None = optional_section("api_keys", ApiKeysSection)
    consumers: tuple[ConsumerSection, ...] = sections("consumer", ConsumerSection, "acme")
    identity: IdentitySection | None = optional_section("identity", IdentitySection)
    forward_auth: ForwardAuthSection | None = optional_section("forward_auth", ForwardAuthSection)
    tracing: TracingSection | None = optional_section("tracing", TracingSection)
    cache: CacheSection = section("cache", CacheSection)
    stages: tuple[StageSection, ...] = sections("stage", StageSection, "geo")
    discovery: DiscoverySection = section("discovery", DiscoverySection)
    demo: DemoSection = section("demo", DemoSection)
    origins: Mapping[tuple[str, str], Origin] = field(factory=dict, eq=False, repr=False)
    secrets: frozenset[tuple[str, str]] = field(default=frozenset(), eq=False, repr=False)
    unused: tuple[str, ...] = field(default=(), eq=False)

    @property
    def known_versions(self) -> tuple[str, ...]:
        """Of the API, sorted; none without `[versioning]`."""
        section = self.versioning
        if section is None:
            return ()
        named = [route.version for route in self.routes if route.version != UNVERSIONED]
        every = {*section.versions, *(version.name for version in self.versions), section.default, *named}
        return tuple(sorted(filter(None, every), key=natural))

    def service(self, name: str) -> ServiceSection:
        """:raises KeyError: there is none of that name."""
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)
