"""Forwards requests that ask for another protocol, so that the service may switch to it."""

from __future__ import annotations

from collections.abc import Awaitable

from apigw.errors import UpstreamProtocolError
from apigw.messages import Attempt, Exchange, Response, field_value, field_values
from apigw.pipeline import Across
from apigw.policy import websocket
from apigw.upstream.forwarder import Forwarder
from apigw.upstream.response import PeerResponse


class UpgradingForwarder(Forwarder):
    """A forwarder for exchanges with an ``upgrade``; its ``send`` may not make copies of a request."""

    async def __call__(self, exchange: Exchange) -> Response:
        response = await super().__call__(exchange)
        if response.status == 101 and isinstance(response, PeerResponse):
            fields = response.head.fields
            if field_values(fields, b"upgrade")[0].strip().lower() == websocket.PROTOCOL:
                key = field_value(exchange.request.fields, b"sec-websocket-key") or b""
                if field_values(fields, b"sec-websocket-accept") != [websocket.accept(key)]:
                    response.discard()
                    raise UpstreamProtocolError("The service's answer is no WebSocket handshake.")
        return response

    def _attempt(self, exchange: Exchange, before: Attempt | None) -> Attempt:
        attempt = super()._attempt(exchange, before)
        attempt.upgrade = exchange.upgrade
        return attempt


class Either:
    """
    What a proxy route has across where upgrades are allowed.

    :param plain: for all requests that ask for none.
    :param upgrading: an :class:`UpgradingForwarder`, or several.
    """

    def __init__(self, plain: Across, upgrading: Across) -> None:
        self._plain = plain
        self._upgrading = upgrading

    def __call__(self, exchange: Exchange) -> Response | Awaitable[Response]:
        return self._plain(exchange) if exchange.upgrade is None else self._upgrading(exchange)
