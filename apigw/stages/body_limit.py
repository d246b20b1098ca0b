"""Refuses a body over its cap: by Content-Length before a byte of it is read, else as soon as it passes the cap."""

from __future__ import annotations

from apigw.errors import BodyTooLarge
from apigw.messages import Exchange
from apigw.pipeline import Stage


class BodyLimit(Stage):
    """:param cap: bytes."""

    pure = True

    def __init__(self, cap: int) -> None:
        self._cap = cap

    def facts(self, exchange: Exchange) -> dict[str, object]:
        return {"max_body": self._cap}

    def request(self, exchange: Exchange) -> None:
        body = exchange.request.body
        if body is None:
            return
        if (isinstance(body.length, int) and body.length > self._cap) or body.received > self._cap:
            raise BodyTooLarge(f"The body is larger than the {self._cap} bytes allowed here.", close=True)
        body.cap = self._cap
