"""What the variables of a template stand for in an exchange."""

from __future__ import annotations

from collections.abc import Callable

from apigw.messages import Exchange, field_values
from apigw.policy.identity import claim_text, role_of
from apigw.policy.principal import claim
from apigw.policy.templates import Template, carried

Value = Callable[[Exchange], bytes]


def _text(text: str | None) -> bytes:
    return (text or "").encode("utf-8", "replace")


def _route(exchange: Exchange) -> bytes:
    return b"" if exchange.route is None else _text(exchange.route.name)


def _service(exchange: Exchange) -> bytes:
    return b"" if exchange.route is None else _text(exchange.route.service)


def _roles(exchange: Exchange) -> bytes:
    return b"" if exchange.identity is None else _text(role_of(exchange.identity.roles))


def _scopes(exchange: Exchange) -> bytes:
    return b"" if exchange.identity is None else _text(" ".join(exchange.identity.scopes))


def _consumer(exchange: Exchange) -> bytes:
    return b"" if exchange.identity is None else _text(exchange.identity.consumer)


SINGLE: dict[str, Value] = {
    "request_id": lambda exchange: exchange.id,
    "correlation_id": lambda exchange: exchange.correlation_id,
    "user": lambda exchange: _text(exchange.principal),
    "roles": _roles,
    "scopes": _scopes,
    "consumer": _consumer,
    "client_ip": lambda exchange: _text(exchange.client_ip),
    "route": _route,
    "service": _service,
    "method": lambda exchange: exchange.request.method,
    "host": lambda exchange: exchange.request.authority,
    "scheme": lambda exchange: exchange.request.client.scheme,
    "path": lambda exchange: exchange.request.path,
    "query": lambda exchange: exchange.request.query[1:],
    "version": lambda exchange: _text(exchange.version),
}


def value_of(variable: str) -> Value:
    """:param variable: as :func:`~apigw.policy.templates.parse_template` lets it pass."""
    family, _, name = variable.partition(".")
    if family == "claim":

        def of_claim(exchange: Exchange) -> bytes:
            who = exchange.identity
            return b"" if who is None else _text(claim_text(claim(who.claims, name)))

        return of_claim
    if family == "param":
        return lambda exchange: (exchange.params or {}).get(name, b"")
    if family == "field":
        raw = name.lower().encode("ascii")
        return lambda exchange: b", ".join(field_values(exchange.request.fields, raw))
    return SINGLE[variable]


def field_text(template: Template) -> Value:
    """
    The value of a field; empty where all its variables are, or where one has what no field can carry.
    """

    def safe(variable: str) -> Value:
        value = value_of(variable)
        return lambda exchange: carried(value(exchange))

    return template.bind(safe)
