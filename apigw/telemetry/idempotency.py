"""How much requests with idempotency keys have in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.telemetry.cells import family

if TYPE_CHECKING:
    from apigw.stages.room import Room


class IdempotencyMetrics(Collector):
    """:ivar room: None while no route has keys."""

    def __init__(self) -> None:
        self.room: Room | None = None

    def collect(self) -> Iterator[Metric]:
        room = self.room
        if room is None:
            return
        yield family(
            "apigw_idempotency_bytes",
            "gauge",
            "Bytes of requests with idempotency keys that are under way, and of their answers.",
            lambda: [Sample("apigw_idempotency_bytes", {}, room.size)],
        )
        yield family(
            "apigw_idempotency_full",
            "counter",
            "How often there was no room for a request with an idempotency key, or for its answer.",
            lambda: [Sample("apigw_idempotency_full_total", {}, room.refused)],
        )
