"""What becomes of copies of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.telemetry.cells import family


class FanoutMetrics(Collector):
    """:ivar copies: by route, service and outcome."""

    def __init__(self) -> None:
        self.copies: Counter[tuple[str, str, str]] = Counter()

    def collect(self) -> Iterator[Metric]:
        if self.copies:
            name = "apigw_mirrored_requests"
            yield family(
                name,
                "counter",
                "Copies of requests by what became of them: the class of the answer, an error, or why none was sent.",
                lambda: [
                    Sample(f"{name}_total", {"http_route": route, "service": service, "outcome": outcome}, count)
                    for (route, service, outcome), count in list(self.copies.items())
                ],
            )
