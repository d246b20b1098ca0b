"""
The one shape of every error the gateway makes: problem details (RFC 9457), or the envelope of the founding system.

A client may choose: ``Accept: application/problem+json`` or ``Accept: application/vnd.apigw.envelope+json``.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from http.client import responses
from math import ceil

from apigw.dates import HttpDate
from apigw.errors import GatewayError
from apigw.messages import Exchange, Fields, Response, field_values

PROBLEM = b"application/problem+json"
ENVELOPE = b"application/vnd.apigw.envelope+json"

REASONS = {status: reason.encode("ascii") for status, reason in responses.items()} | {
    413: b"Content Too Large",
    508: b"Loop Detected",
}


class Problem:
    """
    :param envelope: the default form is the envelope.
    :param pseudonym: names this gateway in Proxy-Status.
    """

    def __init__(self, envelope: bool, pseudonym: str, date: HttpDate) -> None:
        self._envelope = envelope
        self._pseudonym = pseudonym
        self._date = date

    def __call__(self, exchange: Exchange, error: GatewayError) -> Response:
        """The answer for ``error``."""
        envelope = self._wants_envelope(exchange)
        body = self._enveloped(exchange, error) if envelope else self._details(exchange, error)
        fields: Fields = [
            (b"Date", self._date.now()),
            (b"Content-Type", b"application/json" if envelope else PROBLEM),
            (b"Content-Length", b"%d" % len(body)),
            (b"Cache-Control", b"no-store"),
            *error.fields,
        ]
        if error.retry_after is not None:
            fields.append((b"Retry-After", b"%d" % max(1, ceil(error.retry_after))))
        if error.proxy_status and error.status >= 500:
            status = f"{self._pseudonym}; error={error.proxy_status}"
            fields.append((b"Proxy-Status", status.encode("ascii")))
        return Response(error.status, REASONS.get(error.status, b""), fields, body)

    def _wants_envelope(self, exchange: Exchange) -> bool:
        for accept in field_values(exchange.request.fields, b"accept"):
            accept = accept.lower()
            if ENVELOPE in accept:
                return True
            if PROBLEM in accept:
                return False
        return self._envelope

    def _details(self, exchange: Exchange, error: GatewayError) -> bytes:
        details: dict[str, object] = {
            "type": f"urn:apigw:error:{error.code}",
            "title": error.title,
            "status": error.status,
            "code": error.code,
        }
        if error.detail:
            details["detail"] = error.detail
        if exchange.id:
            details["request_id"] = exchange.id.decode("ascii")
        return json.dumps(details).encode()

    def _enveloped(self, exchange: Exchange, error: GatewayError) -> bytes:
        return json.dumps(
            {
                "success": False,
                "error": {
                    "type": error.code.replace("-", "_").upper(),
                    "code": error.code,
                    "message": error.detail or error.title,
                    "details": {"status": error.status},
                    "correlationId": exchange.correlation_id.decode("ascii"),
                },
                "timestamp": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            }
        ).encode()
