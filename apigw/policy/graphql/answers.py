"""
How a client is told that its request isn't executed.

Source: GraphQL over HTTP, section 6.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

RESPONSE = b"application/graphql-response+json"
JSON = b"application/json"

_OTHERS = (b"application/problem+json", b"application/vnd.apigw.envelope+json")


def media_type(accepts: Sequence[bytes]) -> bytes | None:
    """
    The media type of an answer.

    :param accepts: values of Accept.
    :return: JSON where nothing is said; None for a client that wants errors in one of the gateway's own forms.
    """
    best, found = 0.0, JSON
    for item in b",".join(accepts).lower().split(b","):
        name, *parameters = (part.strip() for part in item.split(b";"))
        weight = _weight(parameters)
        if name in _OTHERS and weight:
            return None
        if name in (b"application/*", b"*/*"):
            name = JSON
        if name in (RESPONSE, JSON) and weight > best:
            best, found = weight, name
    return found


def _weight(parameters: list[bytes]) -> float:
    for parameter in parameters:
        if parameter.startswith(b"q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def errors(message: str, extensions: Mapping[str, object]) -> bytes:
    """The body of an answer; it has no ``data``, for nothing was executed."""
    return json.dumps({"errors": [{"message": message, "extensions": extensions}]}).encode("ascii")
