"""How many workers there are, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.telemetry.cells import family
from apigw.workers.process import WorkerProcess


class Workers(Collector):
    """
    :param all: by number.

    :ivar starts: how many were started in all.
    :ivar ends: how many have ended without being told to.
    """

    def __init__(
        self, all: Callable[[], Mapping[int, WorkerProcess]], ready: Callable[[], Sequence[WorkerProcess]]
    ) -> None:
        self._all = all
        self._ready = ready
        self.starts = 0
        self.ends = 0

    def told(self) -> dict[str, object]:
        """For operators."""
        now = monotonic()
        return {
            "workers": [
                {
                    "name": str(number),
                    "pid": worker.pid,
                    "ready": worker.accepts,
                    "checks": worker.checks,
                    "uptime_seconds": round(now - worker.began, 3),
                }
                for number, worker in sorted(self._all().items())
            ],
            "starts": self.starts,
            "ends": self.ends,
        }

    def collect(self) -> Iterator[Metric]:
        yield family(
            "apigw_workers",
            "gauge",
            "Workers that accept connections.",
            lambda: [Sample("apigw_workers", {}, float(len(self._ready())))],
        )
        yield family(
            "apigw_worker_starts",
            "counter",
            "Workers that were started.",
            lambda: [Sample("apigw_worker_starts_total", {}, float(self.starts))],
        )
        yield family(
            "apigw_worker_ends",
            "counter",
            "Workers that have ended without being told to.",
            lambda: [Sample("apigw_worker_ends_total", {}, float(self.ends))],
        )
