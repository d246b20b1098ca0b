"""What becomes of spans."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.telemetry.cells import family


class SpanCounts(Collector):
    """What becomes of spans: :ivar sent: :ivar dropped: for want of room, or refused by the collector."""

    def __init__(self) -> None:
        self.sent = 0
        self.dropped = 0

    def collect(self) -> Iterator[Metric]:
        if self.sent or self.dropped:
            name = "apigw_trace_spans"
            yield family(
                name,
                "counter",
                "Spans of sampled requests by what became of them.",
                lambda: [
                    Sample(f"{name}_total", {"outcome": "sent"}, self.sent),
                    Sample(f"{name}_total", {"outcome": "dropped"}, self.dropped),
                ],
            )
