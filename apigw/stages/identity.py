"""Tells the service who asks."""

from __future__ import annotations

from collections.abc import Callable

from apigw.messages import Exchange
from apigw.pipeline import Stage
from apigw.policy.identity import identity_lines

SIGNED_FOR = 1.0
"""Seconds in which requests with the same fields have the same signature; to make one takes 2 us."""


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
        if who is None:
            return
        notes = exchange.request.notes
        now = self._now()
        known = notes.get(self)
        if known is None or known[0] is not who or not 0.0 <= now - known[1] < SIGNED_FOR:
            known = notes[self] = (who, now, identity_lines(who, self._secret, now))
        exchange.lines += known[2]
