"""From URLs that stand for addresses to the sources that know these."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.web.client import Agent

from apigw.config.addresses import PeerAddress
from apigw.config.discovering import DiscoverySection
from apigw.outbound import OneTimeConnections
from apigw.upstream.discovery.catalog import TIMEOUT, Catalog, CatalogSource
from apigw.upstream.discovery.dns import DnsSource, SrvSource, TtlBounds
from apigw.upstream.discovery.kubernetes import KubernetesApi, KubernetesSource
from apigw.upstream.discovery.names import Names
from apigw.upstream.discovery.nameserver import ask
from apigw.upstream.discovery.resolv_conf import ResolverSettings, parse_resolv_conf
from apigw.upstream.discovery.source import Source

RESOLV_CONF = "/etc/resolv.conf"
HOSTS = "/etc/hosts"


class SourceBuilder:
    """:param seconds: monotonic."""

    def __init__(self, reactor: Any, seconds: Callable[[], float], discovery: DiscoverySection) -> None:
        self._discovery = discovery
        self._bounds = TtlBounds(*discovery.dns_ttl)
        hosts = partial(_content, HOSTS)
        self._names = Names(partial(ask, reactor), self._resolver, hosts, seconds, self._bounds.most)
        access = discovery.kubernetes
        self._kubernetes = KubernetesApi(reactor, access.api, access.token_file, access.ca)
        self._catalog: Catalog | None = None
        if discovery.url is not None:
            agent = Agent(reactor, connectTimeout=TIMEOUT, pool=OneTimeConnections(reactor))
            self._catalog = Catalog(discovery.url, agent, reactor, seconds, discovery.interval)

    def source(self, address: PeerAddress, backup: bool) -> Source:
        """:param address: one that is ``discovered``."""
        way, plus, scheme = address.scheme.partition("+")
        if way == "srv":
            return SrvSource(self._names, scheme, address.host, backup, self._bounds)
        if way == "kubernetes":
            return KubernetesSource(
                self._kubernetes,
                address.namespace,
                address.host,
                address.port_name,
                scheme if plus else "http",
                address.weight,
                backup,
            )
        if way == "registry":
            assert self._catalog is not None
            return CatalogSource(self._catalog, self._names, address.host, backup, self._bounds)
        return DnsSource(self._names, address.scheme, address.host, address.port, address.weight, backup, self._bounds)

    def _resolver(self) -> ResolverSettings:
        settings = parse_resolv_conf(_content(RESOLV_CONF))
        servers = self._discovery.dns_servers
        return evolve(settings, servers=servers) if servers else settings


def _content(path: str) -> str:
    """Empty where there is none, as the system's resolver takes it."""
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""
