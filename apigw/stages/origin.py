"""Finds out who the client is, as far as trusted proxies tell, and what the service is told of it."""

from __future__ import annotations

from apigw.messages import Exchange
from apigw.pipeline import Stage
from apigw.policy.forwarded import Forwarding, forwarding_fields


class Origin(Stage):
    def __init__(self, forwarding: Forwarding) -> None:
        self._forwarding = forwarding

    def request(self, exchange: Exchange) -> None:
        request = exchange.request
        known = request.notes.get(self)
        if known is None:
            client = request.client
            origin = self._forwarding.origin(client.host, request.fields)
            fields = forwarding_fields(origin, client.host, client.scheme, request.authority)
            known = request.notes[self] = (origin.ip, fields)
        exchange.client_ip, exchange.forwarding = known
