"""How many tunnels and streams of events there are, and have been."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.telemetry.cells import family

Counts = Callable[[], Mapping[tuple[str, str], int]]
"""By kind and route."""


class StreamMetrics(Collector):
    """
    :param active: open now.
    :param opened: since the start.
    """

    def __init__(self, active: Counts, opened: Counts) -> None:
        self._active = active
        self._opened = opened

    def collect(self) -> Iterator[Metric]:
        yield family(
            "apigw_streams_active",
            "gauge",
            "WebSockets, other tunnels and streams of events that are open.",
            lambda: _samples("apigw_streams_active", self._active),
        )
        yield family(
            "apigw_streams_opened",
            "counter",
            "The same that have been opened. By what they were ended apigw_errors tells.",
            lambda: _samples("apigw_streams_opened_total", self._opened),
        )


def _samples(name: str, counts: Counts) -> list[Sample]:
    return [Sample(name, {"kind": kind, "http_route": route}, count) for (kind, route), count in counts().items()]
