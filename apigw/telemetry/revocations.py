"""How many tokens count no more, and whether that is all that others have said."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.telemetry.cells import family


class RevocationMetrics(Collector):
    """
    :param count: those in force.
    :param behind: others may have revoked what isn't known here; None where there are no others.
    """

    def __init__(self, count: Callable[[], int], behind: Callable[[], bool | None]) -> None:
        self._count = count
        self._behind = behind

    def collect(self) -> Iterator[Metric]:
        yield family(
            "apigw_revocations",
            "gauge",
            "Entries by which tokens count no more.",
            lambda: [Sample("apigw_revocations", {}, self._count())],
        )
        behind = self._behind()
        if behind is not None:
            yield family(
                "apigw_revocations_behind",
                "gauge",
                "1 while other gateways may have revoked tokens that count here still, for Redis can't be asked.",
                lambda: [Sample("apigw_revocations_behind", {}, float(behind))],
            )
