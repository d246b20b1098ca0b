"""Tells the service who asks."""

from __future__ import annotations

from collections.abc import Callable

from apigw.messages import Exchange
from apigw.pipeline import Stage
from apigw.policy.identity import identity_lines


class Identity(Stage):
    """
    :param secret: to sign with, empty for no signature.
    :param now: wall-clock seconds.
    """

    def __init__(self, secret: bytes, now: Callable[[], float]) -> None:
        self._secret = secret
        self._now = now

    def request(self, exchange: Exchange) -> None:
        who = exchange.identity
        if who is not None:
            exchange.lines += identity_lines(who, self._secret, self._now())
