"""How many tokens were shown, and what became of them; nothing of what stands in them."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.policy.token_counts import TokenCounts
from apigw.telemetry.cells import family


class TokenMetrics(Collector):
    def __init__(self, counts: TokenCounts) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        name = "apigw_token_verifications"
        counts = self._counts
        yield family(
            name,
            "counter",
            "Tokens that were let in, by whether they were known or verified anew.",
            lambda: [
                Sample(f"{name}_total", {"outcome": "cached"}, counts.cached),
                Sample(f"{name}_total", {"outcome": "verified"}, counts.verified),
            ],
        )
        yield family(
            "apigw_token_refusals",
            "counter",
            "Tokens that did not count, on optional routes too.",
            lambda: [
                Sample("apigw_token_refusals_total", {"reason": reason}, count)
                for reason, count in list(counts.refused.items())
            ],
        )
