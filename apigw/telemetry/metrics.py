"""All that the gateway tells Prometheus, in a registry of its own."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.internet.interfaces import IReactorTime

from apigw.telemetry.cache import CacheMetrics
from apigw.telemetry.fanout import FanoutMetrics
from apigw.telemetry.graphql import GraphqlMetrics
from apigw.telemetry.idempotency import IdempotencyMetrics
from apigw.telemetry.loop_lag import LoopLag
from apigw.telemetry.redis import RedisMetrics
from apigw.telemetry.requests import RequestMetrics
from apigw.telemetry.span_counts import SpanCounts
from apigw.telemetry.upstreams import States, UpstreamMetrics
from apigw.telemetry.versions import VersionMetrics
from twisted import __version__ as twisted_version


class GatewayMetrics:
    """
    :param registry: gets all collectors; nothing is kept in prometheus_client's global one.
    :param version: of the gateway.
    :param states: of all services.

    :ivar requests: to be told of each exchange.
    :ivar redis: to be told which server is in use. :ivar cache: the same of what is kept.
    :ivar idempotency: the same of what keys hold.
    :ivar versions: the same of who calls which.
    :ivar fanout: holds what is counted where a route has several services.
    :ivar graphql: to be told of each operation.
    :ivar lag: to be started with the reactor and stopped before its end.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        version: str,
        states: States,
        clock: IReactorTime,
        seconds: Callable[[], float],
    ) -> None:
        self.registry = registry
        self.requests = RequestMetrics(
            seconds, lambda: {(service.name, peer.name) for service in states() for peer in service.peers}
        )
        self.lag = LoopLag(clock, seconds)
        self.redis = RedisMetrics()
        self.cache = CacheMetrics()
        self.idempotency = IdempotencyMetrics()
        self.versions = VersionMetrics()
        self.fanout = FanoutMetrics()
        self.graphql = GraphqlMetrics(seconds)
        self.spans = SpanCounts()
        for collector in (
            self.requests,
            UpstreamMetrics(states),
            self.redis,
            self.cache,
            self.idempotency,
            self.versions,
            self.fanout,
            self.graphql,
            self.spans,
            self.lag,
            Build(version),
        ):
            registry.register(collector)
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)


class Build(Collector):
    """:param version: of the gateway."""

    def __init__(self, version: str) -> None:
        self._build = {
            "version": version,
            "python": platform.python_version(),
            "twisted": twisted_version,
        }

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("apigw_build", "What runs; always 1.", value=self._build)
