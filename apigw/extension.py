"""
All that a stage of your own may import of apigw: these names stay, and keep their meaning, within a major version.

docs/extending.md shows how to write one, and how to test it.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import formatdate
from http.client import responses

from apigw.errors import ClientError, GatewayError, UpstreamError
from apigw.http1.fields import check_fields, wire_lines
from apigw.messages import Attempt, ClientAddress, Exchange, Field, Fields, Request, Response, field_value, field_values
from apigw.pipeline import Explained, Stage, Verdict
from apigw.policy.fields import HOP_BY_HOP
from apigw.policy.principal import Principal


class Refused(ClientError):
    """A request that a stage doesn't let pass. Derive from it for a status, a code and a title of your own."""

    status = 403
    code = "refused"
    title = "The request was refused"


def tell_service(exchange: Exchange, name: bytes, value: bytes) -> None:
    """
    Send a field to the service, in place of what the client sent by that name.

    :raises ValueError: no field may look so (RFC 9110 section 5), or it says where the message ends or where it goes.
    """
    lower = name.lower()
    if lower in HOP_BY_HOP or lower in (b"content-length", b"host"):
        raise ValueError(f"the field {name.decode('latin-1')} is the gateway's own to set")
    check_fields([(name, value)])
    line = wire_lines([(name, value)])
    request = exchange.request
    if field_value(request.fields, lower) is not None:
        request.replace_fields([field for field in request.fields if field[0].lower() != lower])
    exchange.lines += line


def answer(status: int, body: bytes = b"", kind: bytes = b"text/plain", fields: Sequence[Field] = ()) -> Response:
    """
    An answer of the stage's own.

    :param kind: of the body, as ``Content-Type`` has it.
    :param fields: more of them.
    :raises ValueError: no field may look so.
    """
    check_fields(fields)
    whole = [(b"Date", formatdate(usegmt=True).encode()), (b"Content-Length", b"%d" % len(body))]
    if body:
        whole.append((b"Content-Type", kind))
    return Response(status, responses.get(status, "").encode("ascii"), [*whole, *fields], body)


__all__ = [
    "Attempt",
    "ClientAddress",
    "ClientError",
    "Exchange",
    "Explained",
    "Field",
    "Fields",
    "GatewayError",
    "Principal",
    "Refused",
    "Request",
    "Response",
    "Stage",
    "UpstreamError",
    "Verdict",
    "answer",
    "field_value",
    "field_values",
    "tell_service",
]
