"""Exchanges of the gateway's own that stand for a client's: what is asked besides, or in its place."""

from __future__ import annotations

from apigw.body import RequestBody
from apigw.messages import Exchange, Fields, Outlet, Request, Response


class Nowhere:
    """The outlet of an exchange whose answer nobody is sent."""

    def inform(self, exchange: Exchange, status: int, fields: Fields) -> None:
        """Nobody is informed."""

    def respond(self, exchange: Exchange, response: Response) -> None:
        """Nobody is answered."""

    def upgrading(self) -> Outlet:
        return self


_NOWHERE = Nowhere()


def copied(exchange: Exchange, method: bytes, body: RequestBody | None = None) -> Exchange:
    """The same request anew, with all that the stages have found out of it. :param body: all of it."""
    asked = exchange.request
    fields, notes = asked.fields, asked.notes
    if body is not None:
        fields, notes = [field for field in fields if field[0].lower() != b"expect"], {}
    request = Request(
        method,
        asked.target,
        asked.path,
        asked.query,
        asked.authority,
        fields,
        asked.options,
        asked.version,
        asked.client,
        notes,
    )
    request.body = body
    copy = Exchange(request, _NOWHERE, exchange.begun)
    copy.id, copy.correlation_id, copy.id_lines = exchange.id, exchange.correlation_id, exchange.id_lines
    copy.route, copy.params, copy.version = exchange.route, exchange.params, exchange.version
    copy.client_ip, copy.forwarding, copy.lines = exchange.client_ip, exchange.forwarding, exchange.lines
    copy.principal, copy.identity, copy.budget = exchange.principal, exchange.identity, exchange.budget
    return copy
