"""What the gateway makes of a client's token."""

from __future__ import annotations

from math import isfinite

from apigw.admin.health import READ, answer
from apigw.dates import HttpDate
from apigw.errors import MethodNotAllowed
from apigw.messages import Exchange, Response


class Session:
    """
    Who asks, with the claims of the token and when it expires; the token itself and its signature never. What services
    get as fields is there too, for proxies that ask.
    """

    def __init__(self, date: HttpDate) -> None:
        self._date = date

    def __call__(self, exchange: Exchange) -> Response:
        """:raises MethodNotAllowed: anything but GET and HEAD."""
        if exchange.request.method not in READ:
            raise MethodNotAllowed(fields=[(b"Allow", b"GET, HEAD")])
        who = exchange.identity
        assert who is not None
        session = {
            "user": who.user,
            "consumer": who.consumer or None,
            "roles": who.roles,
            "scopes": who.scopes,
            "expires": who.expires if isfinite(who.expires) else None,
            "claims": who.claims,
        }
        response = answer(200, b"OK", session, self._date)
        response.lines = exchange.lines
        return response
