"""What there is to know of the Redis server that gateways share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from apigw.redis.client import Redis


class RedisMetrics(Collector):
    """:ivar redis: the client in use; None while limits are counted on this machine, of which nothing is told here."""

    def __init__(self) -> None:
        self.redis: Redis | None = None

    def collect(self) -> Iterator[Metric]:
        redis = self.redis
        if redis is None:
            return
        yield GaugeMetricFamily("apigw_redis_up", "It is asked; 0 while it is left alone.", value=float(redis.ready))
        yield GaugeMetricFamily("apigw_redis_instances", "Gateways that share it.", value=float(redis.instances))
        yield CounterMetricFamily("apigw_redis_failures", "Calls without a reply in time.", value=float(redis.failures))
        yield CounterMetricFamily(
            "apigw_redis_fallbacks", "Requests whose limits were decided without it.", value=float(redis.fallbacks)
        )
