"""Has each exchange taken down as it ends, for operators who look."""

from __future__ import annotations

from collections.abc import Callable

from apigw.messages import Exchange
from apigw.pipeline import Stage


class Recording(Stage):
    """:param ended: takes it down, without blocking."""

    def __init__(self, ended: Callable[[Exchange], object]) -> None:
        self._ended = ended

    def done(self, exchange: Exchange) -> None:
        self._ended(exchange)
