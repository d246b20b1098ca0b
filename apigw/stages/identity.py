"""Tells the service who asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from apigw.messages import Exchange
from apigw.pipeline import Stage
from apigw.policy.identity import identity_lines

SIGNED_FOR = 1.0
"""Seconds in which requests with the same fields have the same signature; to make one takes 2 us."""


class Identity(Stage):
    """
    :param secret: to sign with, empty for no signature.
    :param now: wall-clock seconds.
    :param chosen: names of fields, and the claims that they have.
    """

    pure = True

    def __init__(self, secret: bytes, now: Callable[[], float], chosen: Sequence[tuple[bytes, str]] = ()) -> None:
        self._secret = secret
        self._now = now
        self._chosen = chosen

    def facts(self, exchange: Exchange) -> dict[str, object]:
        return {"user": exchange.principal, "signed": bool(self._secret)}

    def request(self, exchange: Exchange) -> None:
        who = exchange.identity
        if who is None:
            return
        notes = exchange.request.notes
        now = self._now()
        known = notes.get(self)
        if known is None or known[0] is not who or not 0.0 <= now - known[1] < SIGNED_FOR:
            known = notes[self] = (who, now, identity_lines(who, self._secret, now, self._chosen))
        exchange.lines += known[2]
