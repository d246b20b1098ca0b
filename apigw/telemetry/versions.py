"""How often versions of the API are called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.telemetry.cells import family

if TYPE_CHECKING:
    from apigw.stages.versions import VersionCalls


class VersionMetrics(Collector):
    """:ivar calls: None while no version has a name."""

    def __init__(self) -> None:
        self.calls: VersionCalls | None = None

    def collect(self) -> Iterator[Metric]:
        if self.calls is None:
            return
        counts = self.calls.counts
        name = "apigw_version_requests"
        yield family(
            name,
            "counter",
            "Requests by the version of the API that they were for.",
            lambda: [
                Sample(f"{name}_total", {"version": version, "http_route": route}, count)
                for (version, route), count in counts.items()
            ],
        )
