"""Has each exchange counted, those that are refused or cut, too."""

from __future__ import annotations

from typing import Protocol

from apigw.messages import Exchange
from apigw.pipeline import Stage


class Counts(Protocol):
    """Takes note of exchanges, without blocking."""

    def begun(self, exchange: Exchange) -> None: ...

    def ended(self, exchange: Exchange) -> None: ...


class Metrics(Stage):
    """Stands before all stages that may refuse, or there would be ends without a beginning."""

    def __init__(self, counts: Counts) -> None:
        self.request = counts.begun  # type: ignore[method-assign]  # a call less on each request
        self.done = counts.ended  # type: ignore[method-assign]

    def explain(self, exchange: Exchange) -> None:
        """It has no say."""
