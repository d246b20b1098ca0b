"""Counts that cost little to add to and are put into Prometheus' form when somebody asks for them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, cast

from prometheus_client.core import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds. Source: OpenTelemetry, Semantic Conventions for HTTP Metrics, ``http.server.request.duration``."""

BYTES = (256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 16777216.0)
"""Upper bounds of sizes; OpenTelemetry advises none. The last but one is the default cap of a request's body."""


class Cell:
    """
    The distribution of one kind of value under one set of labels. Only the reactor's thread may use it, so it has no
    lock: ``prometheus_client.Histogram.observe`` takes five times as long.

    :param bounds: upper ones, rising; what is above the last is counted too.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def samples(self, name: str, labels: dict[str, str]) -> list[Sample]:
        """All of one moment; empty where nothing was counted."""
        if not any(self.counts):
            return []
        total = 0
        found = []
        for bound, count in zip(_texts(self.bounds), self.counts, strict=True):
            total += count
            found.append(Sample(f"{name}_bucket", {**labels, "le": bound}, float(total)))
        found.append(Sample(f"{name}_count", labels, float(total)))
        found.append(Sample(f"{name}_sum", labels, self.sum))
        return found


@cache
def _texts(bounds: tuple[float, ...]) -> list[str]:
    return [*map(floatToGoString, bounds), "+Inf"]


class _Later:
    """Samples that are made as they are read, so that who reads them can rest in between."""

    def __init__(self, make: Callable[[], Iterable[Sample]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Sample]:
        return iter(self._make())


def family(name: str, kind: str, documentation: str, make: Callable[[], Iterable[Sample]]) -> Metric:
    """
    A metric family whose samples are made one after the other.

    :param name: without ``_total``, as prometheus_client has it.
    :param kind: ``counter``, ``gauge`` or ``histogram``.
    """
    made = Metric(name, documentation, kind)
    made.samples = cast(Any, _Later(make))
    return made
