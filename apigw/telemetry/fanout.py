"""What becomes of copies of requests, and of the parts of an answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.telemetry.cells import family


class FanoutMetrics(Collector):
    """:ivar copies: by route, service and outcome. :ivar parts: by route, part and outcome."""

    def __init__(self) -> None:
        self.copies: Counter[tuple[str, str, str]] = Counter()
        self.parts: Counter[tuple[str, str, str]] = Counter()

    def collect(self) -> Iterator[Metric]:
        if self.copies:
            yield _family(
                "apigw_mirrored_requests",
                "Copies of requests by what became of them: the class of the answer, an error, or why none was sent.",
                "service",
                self.copies,
            )
        if self.parts:
            yield _family(
                "apigw_aggregate_parts",
                "Parts of answers that several services make together, by the class of the status or the error.",
                "part",
                self.parts,
            )


def _family(name: str, documentation: str, label: str, counts: Counter[tuple[str, str, str]]) -> Metric:
    return family(
        name,
        "counter",
        documentation,
        lambda: [
            Sample(f"{name}_total", {"http_route": route, label: of, "outcome": outcome}, count)
            for (route, of, outcome), count in list(counts.items())
        ],
    )
