"""Has each exchange taken down as it ends, for operators who look."""

from __future__ import annotations

from collections.abc import Callable

from apigw.messages import Exchange
from apigw.pipeline import Stage


class Recording(Stage):
    """:param ended: takes it down, without blocking."""

    def __init__(self, ended: Callable[[Exchange], None]) -> None:
        self.done = ended  # type: ignore[assignment,method-assign]  # a call less on each request
