"""What lets somebody in, once it is known who asks."""

from __future__ import annotations

from apigw.errors import Forbidden
from apigw.messages import Exchange
from apigw.policy.bearer import challenge, lacks
from apigw.policy.principal import Principal


def enter(exchange: Exchange, who: Principal, roles: frozenset[str], scopes: tuple[str, ...]) -> None:
    """
    :param roles: one of them is needed, where there are any.
    :param scopes: all of them are needed.
    :raises Forbidden:
    """
    exchange.identity = who
    exchange.principal = who.user
    if roles and lacks(who.roles, roles):
        description = "The token has none of the roles that are needed."
        if who.consumer:
            raise Forbidden("The consumer has none of the roles that are needed.")
        raise Forbidden(description, fields=[challenge("insufficient_scope", description)])
    if scopes and not set(scopes).issubset(who.scopes):
        if who.consumer:
            raise Forbidden("The consumer lacks a scope that is needed.", code="scope-missing")
        description = "The token lacks a scope that is needed."
        raise Forbidden(
            description, code="scope-missing", fields=[challenge("insufficient_scope", description, scopes)]
        )
