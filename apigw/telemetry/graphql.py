"""Counts GraphQL operations by type and name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.messages import Exchange
from apigw.policy.graphql.rules import Judged
from apigw.telemetry.cells import SECONDS, Cell, family

NAMES = 200
"""Pairs of type and name that are told apart; clients choose the names."""

LENGTH = 64
"""Characters of a name."""

OTHER = "_OTHER"


class _Operation:
    __slots__ = ("cost", "labels", "seconds", "total")

    def __init__(self, kind: str, name: str) -> None:
        self.labels = {"graphql_operation_type": kind, "graphql_operation_name": name}
        self.total = self.cost = 0
        self.seconds = Cell(SECONDS)


class GraphqlMetrics(Collector):
    """:param seconds: monotonic, as in exchanges."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._operations: dict[tuple[str, str], _Operation] = {}

    def asked(self, judged: Judged) -> None:
        """Count one that is let through."""
        counted = self._of(judged)
        counted.total += 1
        counted.cost += judged.cost

    def ended(self, exchange: Exchange, judged: Judged) -> None:
        """Count the time that one took; what is asked for in a tunnel has none."""
        self._of(judged).seconds.add(self._seconds() - exchange.begun)

    def _of(self, judged: Judged) -> _Operation:
        return self._operations.get((judged.kind, judged.name)) or self._first(judged)

    def _first(self, judged: Judged) -> _Operation:
        name = judged.name
        if len(name) > LENGTH or len(self._operations) >= NAMES:
            name = OTHER
        key = (judged.kind, name)
        if key not in self._operations:
            self._operations[key] = _Operation(judged.kind, name)
        return self._operations[key]

    def collect(self) -> Iterator[Metric]:
        operations = list(self._operations.values())
        if not operations:
            return
        total, cost = "apigw_graphql_operations", "apigw_graphql_operation_cost"
        duration = "apigw_graphql_operation_duration_seconds"
        yield family(
            total,
            "counter",
            "GraphQL operations that were let through, those in tunnels, too.",
            lambda: [Sample(f"{total}_total", one.labels, one.total) for one in operations],
        )
        yield family(
            duration,
            "histogram",
            "From the first byte of a GraphQL request that was let through to the last of its answer.",
            lambda: [sample for one in operations for sample in one.seconds.samples(duration, one.labels)],
        )
        yield family(
            cost,
            "counter",
            "What these operations were taken to cost.",
            lambda: [Sample(f"{cost}_total", one.labels, one.cost) for one in operations],
        )
