"""What consistent hashing goes by: ``hash_on`` of a service, made into a function once."""

from __future__ import annotations

from collections.abc import Callable

from apigw.messages import Exchange, field_value, field_values

Key = Callable[[Exchange], bytes | None]


def hash_key(hash_on: str) -> Key:
    """:param hash_on: ``ip``, ``user``, ``path``, ``header:NAME`` or ``cookie:NAME``; without it chance decides."""
    kind, _, name = hash_on.partition(":")
    if kind == "user":
        return lambda exchange: None if exchange.principal is None else exchange.principal.encode()
    if kind == "path":
        return lambda exchange: exchange.request.path
    if kind == "header":
        field = name.lower().encode()
        return lambda exchange: field_value(exchange.request.fields, field)
    if kind == "cookie":
        wanted = name.encode()
        return lambda exchange: _cookie(field_values(exchange.request.fields, b"cookie"), wanted)
    return lambda exchange: exchange.client_ip.encode()


def _cookie(values: list[bytes], name: bytes) -> bytes | None:
    """The value of a cookie (RFC 6265 section 5.4)."""
    for value in values:
        for pair in value.split(b";"):
            key, _, found = pair.strip().partition(b"=")
            if key == name:
                return found
    return None
