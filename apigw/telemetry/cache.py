"""What routes with a cache give from it, and how much is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.telemetry.cells import family

if TYPE_CHECKING:
    from apigw.stages.cache import ResponseCache


class CacheMetrics(Collector):
    """:ivar cache: None while no route has one."""

    def __init__(self) -> None:
        self.cache: ResponseCache | None = None

    def collect(self) -> Iterator[Metric]:
        cache = self.cache
        if cache is None:
            return
        name = "apigw_cache_requests"
        counts = [
            Sample(f"{name}_total", {"http_route": route, "result": result}, count)
            for (route, result), count in cache.counts.items()
        ]
        yield family(name, "counter", "Requests to routes with a cache, by what became of them there.", lambda: counts)
        store = cache.store
        for name, kind, text, value in (
            ("apigw_cache_bytes", "gauge", "Bytes of the answers that are kept.", store.size),
            ("apigw_cache_answers", "gauge", "Answers that are kept.", len(store)),
            ("apigw_cache_evictions", "counter", "Answers that went for others.", store.evicted),
        ):
            yield _one(name, kind, text, value)


def _one(name: str, kind: str, text: str, value: int) -> Metric:
    sample = f"{name}_total" if kind == "counter" else name
    return family(name, kind, text, lambda: [Sample(sample, {}, value)])
