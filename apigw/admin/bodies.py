"""Bodies of requests to the admin listener: small, and JSON."""

from __future__ import annotations

import json
from typing import Any

from apigw.collected import Collected
from apigw.errors import ClientError
from apigw.messages import Exchange, field_value
from apigw.stages.body_limit import BodyLimit

MAX_BODY = 65536
"""Bytes."""


async def collected(exchange: Exchange, cap: int = MAX_BODY) -> bytes:
    """
    All of the body of a request.

    :raises BodyTooLarge: it has more than ``cap`` bytes.
    """
    taken = Collected()
    body = exchange.request.body
    if body is not None:
        BodyLimit(cap).request(exchange)
        await body.startProducing(taken)
    return bytes(taken.data)


async def json_object(exchange: Exchange, cap: int = MAX_BODY) -> dict[str, Any]:
    """
    The body of a request, an object.

    :param cap: bytes.

    Its type must be told: a browser asks for leave before a page of another origin may send JSON, which it gets
    nowhere here, while it sends a form or text without asking.

    :raises ClientError: it is something else.
    :raises BodyTooLarge: it has more bytes.
    """
    kind = field_value(exchange.request.fields, b"content-type") or b""
    if kind.partition(b";")[0].strip().lower() != b"application/json":
        raise ClientError("Send Content-Type: application/json.", status=415, code="unsupported-media-type")
    try:
        value = json.loads(await collected(exchange, cap))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ClientError("The body is not a JSON object.", code="bad-json")
    return value
