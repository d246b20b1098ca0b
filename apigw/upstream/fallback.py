"""A fixed answer instead of an error while a service has no peer that may be asked."""

from __future__ import annotations

from typing import Any

from apigw.dates import HttpDate
from apigw.errors import UpstreamUnavailable
from apigw.messages import Exchange, Response
from apigw.upstream.forwarder import Forwarder

SAFE = (b"GET", b"HEAD")
"""Whoever changes something has to hear that it wasn't done."""


class Fallback:
    """
    What a proxy route has across where its service has a fallback.

    :param body: of the answer, with its status and media type.

    The error that it stands for is logged and counted as ever, with the status that the client got. What a service
    itself answers, good or bad, and what fails on the way there, is passed on.
    """

    def __init__(self, forwarder: Forwarder, date: HttpDate, body: bytes, media_type: bytes, status: int) -> None:
        self._forwarder = forwarder
        self._date = date
        self._body = body
        self._type = media_type
        self._status = status

    def explain(self, exchange: Exchange) -> dict[str, Any]:
        """As the forwarder has it. :raises LoopDetected:"""
        return self._forwarder.explain(exchange) | {"fallback": self._status}

    async def __call__(self, exchange: Exchange) -> Response:
        try:
            return await self._forwarder(exchange)
        except UpstreamUnavailable as error:
            if exchange.request.method not in SAFE:
                raise
            exchange.error = error
        fields = [
            (b"Date", self._date.now()),
            (b"Content-Type", self._type),
            (b"Content-Length", b"%d" % len(self._body)),
            (b"Cache-Control", b"no-store"),
        ]
        return Response(self._status, b"", fields, self._body)
