"""Finds out who the client is, as far as trusted proxies tell, and what the service is told of it."""

from __future__ import annotations

from apigw.messages import Exchange, field_value
from apigw.pipeline import Stage
from apigw.policy.forwarded import Forwarding, forwarding_fields
from apigw.policy.timeouts import parse_remaining


class Origin(Stage):
    def __init__(self, forwarding: Forwarding) -> None:
        self._forwarding = forwarding

    pure = True

    def facts(self, exchange: Exchange) -> dict[str, object]:
        return {"client": exchange.client_ip, "connection": exchange.request.client.host}

    def request(self, exchange: Exchange) -> None:
        request = exchange.request
        known = request.notes.get(self)
        if known is None:
            client = request.client
            origin = self._forwarding.origin(client.host, request.fields)
            fields = forwarding_fields(origin, client.host, client.scheme, request.authority)
            budget = None
            if self._forwarding.trusts(client.host):
                budget = parse_remaining(field_value(request.fields, b"x-timeout-remaining"))
            known = request.notes[self] = (origin.ip, fields, budget)
        exchange.client_ip, exchange.forwarding, exchange.budget = known
