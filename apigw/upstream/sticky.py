"""Brings a client back to the peer that it had, by a signed cookie."""

from __future__ import annotations

from collections.abc import Iterable

from apigw.messages import Exchange, field_values
from apigw.policy.balance import Candidate
from apigw.policy.sticky import Sticky, cookie_values, set_cookie
from apigw.upstream.peer import Peer


class StickyPeers:
    """
    The cookies of one service.

    :param name: of the cookie.
    :param max_age: seconds; None until the browser is closed.
    """

    def __init__(self, sticky: Sticky, name: bytes, max_age: int | None) -> None:
        self._sticky = sticky
        self._name = name
        self._max_age = max_age
        self._candidates: dict[bytes, Candidate[Peer]] = {}

    def replace(self, candidates: Iterable[Candidate[Peer]]) -> None:
        """Know these from now on."""
        self._candidates = {candidate.id: candidate for candidate in candidates}
        self._sticky.update(self._candidates)

    def wanted(self, exchange: Exchange) -> Candidate[Peer] | None:
        """The one that the client's cookie names, if it is genuine and the peer is still there."""
        values = field_values(exchange.request.fields, b"cookie")
        if not values:
            return None
        found = self._sticky.find(cookie_values(values, self._name))
        return None if found is None else self._candidates.get(found)

    def line(self, exchange: Exchange, candidate: Candidate[Peer] | None) -> bytes:
        """Set-Cookie for the peer that has answered, with its line end; nothing where the client has it already."""
        if candidate is None or candidate.id not in self._candidates or self.wanted(exchange) is candidate:
            return b""
        value = self._sticky.value(candidate.id)
        secure = exchange.request.client.scheme == b"https"
        return b"Set-Cookie: %b\r\n" % set_cookie(self._name, value, secure=secure, max_age=self._max_age)
