"""Writes the line of each exchange into the access log."""

from __future__ import annotations

from collections.abc import Callable

from apigw.messages import Exchange
from apigw.pipeline import Stage


class AccessLog(Stage):
    """
    :param line: makes the line of an exchange.
    :param write: takes it, without blocking.
    """

    def __init__(self, line: Callable[[Exchange], bytes], write: Callable[[bytes], object]) -> None:
        self._line = line
        self._write = write

    def done(self, exchange: Exchange) -> None:
        self._write(self._line(exchange))
