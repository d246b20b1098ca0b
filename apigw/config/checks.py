"""What is wrong between sections, each of them being right in itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import chain, product
from math import ceil
from typing import TypeVar

from attrs import frozen

from apigw.config.caching import CacheSection
from apigw.config.consumers import ApiKeysSection, ConsumerSection
from apigw.config.discovering import DiscoverySection
from apigw.config.graphql import GraphqlSection
from apigw.config.limiting import Limit, LimitsSection
from apigw.config.model import (
    AdminSection,
    DemoSection,
    GatewayConfig,
    GatewaySection,
    ListenerSection,
    RouteSection,
    ServiceSection,
)
from apigw.config.option import section_kinds
from apigw.config.problems import DEFAULT, ConfigError, Origin, did_you_mean
from apigw.config.tokens import ForwardAuthSection, IdentitySection, JwtSection, TokenIssuer
from apigw.config.versioning import UNVERSIONED, VersionSection

S = TypeVar("S")


@frozen
class Found:
    """
    What there is to check.

    :ivar sections: by header, those that are right in themselves.
    :ivar names: of all sections of a kind, also of those with errors.
    :ivar origins: of sections (with an empty key) and of values.
    """

    sections: Mapping[str, object]
    names: Mapping[str, Collection[str]]
    origins: Mapping[tuple[str, str], Origin]

    def of(self, cls: type[S]) -> Iterator[tuple[str, S]]:
        """Headers and sections of one class."""
        for header, section in self.sections.items():
            if isinstance(section, cls):
                yield header, section

    def error(self, header: str, key: str, message: str) -> ConfigError:
        origin = self.origins.get((header, key)) or self.origins.get((header, ""), DEFAULT)
        return ConfigError(origin, header, key, message)

    def place(self, header: str, key: str) -> str:
        """For the text of another's error."""
        origin = self.origins.get((header, key))
        return f"[{header}]" if origin is None else f"[{header}] ({origin})"


Checks = Iterator[ConfigError | None]
"""What is wrong, and None now and then, for who has other things to do in between."""


def check(found: Found) -> Checks:
    """All that is wrong."""
    for one in (
        _references,
        _ready,
        _stages,
        _cache,
        _demo,
        _registry,
        _listeners,
        _routes,
        _versions,
        _transformed,
        _costs,
        _tokens,
        _graphql,
    ):
        yield None
        yield from one(found)


def _references(found: Found) -> Checks:
    hints: dict[str, str] = {}
    for kind in section_kinds(GatewayConfig).values():
        for key, option in kind.options.items():
            if not option.refers_to:
                continue
            yield None
            known = found.names[option.refers_to]
            sections: Iterator[tuple[str, object]] = found.of(kind.cls)
            for header, section in sections:
                for name in option.referred(option.of(section)):
                    if name in known:
                        continue
                    missing = f"[{option.refers_to}:{name}]"
                    if missing not in hints:
                        hints[missing] = did_you_mean(name, known) or f", add {missing}"
                    yield found.error(header, key, f"there is no {missing}{hints[missing]}")


def _ready(found: Found) -> Iterator[ConfigError]:
    known = found.names["service"]
    for header, gateway in found.of(GatewaySection):
        for name in gateway.ready_needs:
            if name not in known:
                hint = did_you_mean(name, known) or f", add [service:{name}]"
                yield found.error(header, "ready_needs", f"there is no [service:{name}]{hint}")


def _cache(found: Found) -> Iterator[ConfigError]:
    shared = any(limits.store == "redis" for _, limits in found.of(LimitsSection))
    for header, cache in found.of(CacheSection):
        if cache.store == "redis" and not shared:
            yield found.error(header, "store", "redis is not there, write store = redis and the URL into [limits]")


def _stages(found: Found) -> Iterator[ConfigError]:
    known = found.names["stage"]
    for header, route in found.of(RouteSection):
        for name in route.stages:
            if name not in known:
                hint = did_you_mean(name, known) or f", add [stage:{name}]"
                yield found.error(header, "stages", f"there is no [stage:{name}]{hint}")


def _demo(found: Found) -> Iterator[ConfigError]:
    if not any(not demo.enabled for _, demo in found.of(DemoSection)):
        return  # it is on, or what is wrong with it has been said
    for header, service in found.of(ServiceSection):
        for peer in service.urls:
            if peer.scheme == "demo":
                yield found.error(header, "urls", f"{peer.url!r} needs enabled = yes in [demo]")


def _registry(found: Found) -> Iterator[ConfigError]:
    if not any(discovery.url is None for _, discovery in found.of(DiscoverySection)):
        return
    for header, service in found.of(ServiceSection):
        for key, peers in (("urls", service.urls), ("backup_urls", service.backup_urls)):
            for peer in peers:
                if peer.scheme == "registry":
                    yield found.error(header, key, f"{peer.url!r} needs url in [discovery]")


def _listeners(found: Found) -> Iterator[ConfigError]:
    earlier: list[tuple[str, ListenerSection | AdminSection]] = []
    listeners: Iterator[tuple[str, ListenerSection | AdminSection]] = found.of(ListenerSection)
    for header, listener in chain(listeners, found.of(AdminSection)):
        for other, before in earlier:
            if listener.endpoint.overlaps(before.endpoint):
                place = found.place(other, "endpoint")
                message = f"{str(listener.endpoint)!r} is taken by {place}, write another port or address"
                yield found.error(header, "endpoint", message)
                break
        earlier.append((header, listener))
    nobody = any(not gateway.trusted_proxies for _, gateway in found.of(GatewaySection))
    for header, own in found.of(ListenerSection):
        if own.proxy_protocol and nobody:
            yield found.error(header, "proxy_protocol", "counts for trusted_proxies alone, name them in [gateway]")


def _routes(found: Found) -> Checks:
    """Two routes that match the same requests, with nothing that makes one of them more specific."""
    first: dict[object, str] = {}
    for header, route in found.of(RouteSection):
        yield None
        version = None if route.version == UNVERSIONED else route.version
        for host, method in product(route.host or ("",), route.takes or ("",)):
            other = first.setdefault((route.path.shape, route.headers, version, host, method), header)
            if other != header:
                place = found.place(other, "path")
                message = f"{str(route.path)!r} matches the same requests as {place}, change one of the two"
                yield found.error(header, "path", message)
                break


def _transformed(found: Found) -> Checks:
    """Fields by which services know who asks can't be written by a template too."""
    own: dict[str, str] = {}
    for header, identity in found.of(IdentitySection):
        own |= {claim.name.lower(): header for claim in identity.claims}
    for header, keys in found.of(ApiKeysSection):
        own[keys.field.lower()] = header
    for header, route in found.of(RouteSection):
        yield None
        for key, name in route.request.names:
            if name.lower() in own:
                yield found.error(header, key, f"{name} is a field of [{own[name.lower()]}], write another")


def _versions(found: Found) -> Iterator[ConfigError]:
    if found.names["versioning"]:
        return
    for header, route in found.of(RouteSection):
        if route.version is not None:
            yield found.error(header, "version", "needs to know where versions stand, add [versioning]")
    for header, _ in found.of(VersionSection):
        yield found.error(header, "", "is of no use without [versioning], add that")


def _tokens(found: Found) -> Iterator[ConfigError]:
    """Issuers without keys or that can't be told apart, routes that need one, tokens that would stand in the log."""
    issuers: list[tuple[str, TokenIssuer]] = list(found.of(TokenIssuer))
    places: list[tuple[str, RouteSection | GraphqlSection]] = [*found.of(RouteSection), *found.of(GraphqlSection)]
    wanting = [(header, place) for header, place in places if place.auth != "none"]
    with_keys = [(header, issuer) for header, issuer in issuers if issuer.sources]
    several = len(with_keys) > 1
    first: dict[str | None, str] = {}
    for header, issuer in issuers:
        if not issuer.sources:
            if (header != "jwt" and with_keys) or (wanting and not with_keys):
                message = "is missing, write this or jwks_file, public_key_file, secret_env or secret_file"
                yield found.error(header, "jwks_url", message)
        elif several and issuer.issuer is None:
            yield found.error(header, "issuer", "is missing, each of several issuers needs it")
        elif first.setdefault(issuer.issuer, header) != header:
            place = found.place(first[issuer.issuer], "issuer")
            yield found.error(header, "issuer", f"{issuer.issuer!r} is that of {place} too, change one of the two")
    keys = found.names["api_keys"] and not any(section.file is None for _, section in found.of(ApiKeysSection))
    if not (found.names["jwt"] or found.names["issuer"] or keys):
        for header, route in wanting:
            yield found.error(header, "auth", f"{route.auth} needs to know who issues tokens, add [jwt] or [api_keys]")
        for header, _ in found.of(ForwardAuthSection):
            yield found.error(header, "auth", "needs to know who issues tokens, add [jwt] or [api_keys]")
    if any(gateway.log_query == "full" for _, gateway in found.of(GatewaySection)):
        for header, section in found.of(JwtSection):
            if section.token.query is not None:
                yield found.error(header, "token.query", "would stand in the log, take log_query = full away")


def _graphql(found: Found) -> Iterator[ConfigError]:
    """A firewall that can't read, and requests that no limit would ever let pass."""
    for header, section in found.of(GraphqlSection):
        if not section.reads:
            continue
        key = (*section.limiting, "firewall")[0]
        try:
            import apigw.policy.graphql.document  # noqa: F401 (graphql-core need not be installed)
        except ImportError:
            yield found.error(header, key, "needs a package, pip install apigw[graphql]")
        unit = section.cost_unit
        for _, limits in found.of(LimitsSection):
            for name in ("ip", "user") if section.auth != "none" else ("ip",):
                rate = limits.rate(name)
                if unit is not None and rate and section.most_cost > rate.burst * unit:
                    message = f"lets max_cost ({section.most_cost}) count as more requests than {name} of [limits] lets"
                    least = ceil(section.most_cost / rate.burst)
                    yield found.error(header, "cost_unit", f"{message} through at once, write {least} or more")
                    break


def _costs(found: Found) -> Checks:
    """A route whose requests cost more than may come at once, so that none would ever pass."""
    shared = next((limits for _, limits in found.of(LimitsSection)), None)
    for header, route in found.of(RouteSection):
        yield None
        limit = route.limit
        rates: list[tuple[str, Limit | None]] = [("limit.route", limit.route), ("limit.consumer", limit.consumer)]
        rates += [(f"limit.by of {combination.name}", combination.rate) for combination in limit.by]
        if route.auth != "none":
            rates += [(f"limit of [{other}]", consumer.limit) for other, consumer in found.of(ConsumerSection)]
        for key in ("ip", "user"):
            own: Limit | None = getattr(limit, key)
            if own is not None:
                rates.append((f"limit.{key}", own))
            elif shared is not None:
                rates.append((f"{key} of [limits]", shared.rate(key)))
        for name, rate in rates:
            if rate and limit.cost > rate.burst:
                message = f"{limit.cost} is more than {name} lets through at once, write {rate.burst} or less"
                yield found.error(header, "limit.cost", message)
                break
