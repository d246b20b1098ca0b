"""Who is asking: a token's bearer, from its claims to a user, roles and scopes; or a consumer, by an API key."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from attrs import field, frozen

from apigw.policy.gcra import Quota

MAX_USER = 255
"""Characters of a user's name, which goes into a field of each request."""


class ClaimsRefused(ValueError):
    """The claims name no user that could be used; the text says why, and holds nothing of them."""


@frozen
class Principal:
    """
    Who is asking.

    :ivar user: printable, without space at its ends; what services are told.
    :ivar roles: in the order of the token.
    :ivar scopes: the same.
    :ivar expires: wall-clock seconds after which the token counts no more, leeway not included.
    :ivar claims: all that the token says; not to be changed, not to be logged.
    :ivar consumer: name of the consumer whose API key was shown; empty for a token.
    :ivar quota: what the consumer may ask with all of its keys together, None for no limit of its own.
    :ivar key: tells users apart whom several issuers call the same; empty where ``user`` alone does.
    """

    user: str
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    expires: float = inf
    claims: Mapping[str, Any] = field(factory=dict, eq=False, repr=False)
    consumer: str = ""
    quota: Quota | None = None
    key: str = ""


@frozen
class ClaimPaths:
    """
    Where in the claims to look; the first that is there counts.

    A path is the name of a claim, or leads by dots through objects: ``realm_access.roles``. A claim whose name has
    dots in it is found by its whole name first.
    """

    user: tuple[str, ...] = ("sub",)
    roles: tuple[str, ...] = ("roles", "role")
    scopes: tuple[str, ...] = ("scope", "scp")


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """:return: None where there is none."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found


def _first(claims: Mapping[str, Any], paths: tuple[str, ...]) -> Any:
    for path in paths:
        found = claim(claims, path)
        if found is not None:
            return found
    return None


def words(value: Any, split: bool) -> tuple[str, ...]:
    """
    The words of a claim that is a list of them, or one text.

    :param split: a text has several, between spaces (RFC 8693 section 4.2).
    :return: without what isn't a word: a claim in another form gives less, never more.
    """
    if isinstance(value, str):
        value = value.split(" ") if split else [value]
    if not isinstance(value, list | tuple):
        return ()
    return tuple(dict.fromkeys(item for item in value if isinstance(item, str) and item and item.isprintable()))


def principal(claims: Mapping[str, Any], paths: ClaimPaths, issuer: str = "") -> Principal:
    """
    :param claims: of a verified token.
    :param issuer: who has issued it, without space in it; empty where it is only one that could have.
    :raises ClaimsRefused: no user is named, or in a way that no field could carry.
    """
    user = _first(claims, paths.user)
    if isinstance(user, int) and not isinstance(user, bool) and abs(user) < 10**18:
        user = str(user)
    if not isinstance(user, str) or not user:
        raise ClaimsRefused("The token names no user.")
    if len(user) > MAX_USER or not user.isprintable() or user != user.strip():
        raise ClaimsRefused("The token's user can't be passed on.")
    expires = claims.get("exp")
    return Principal(
        user,
        words(_first(claims, paths.roles), False),
        words(_first(claims, paths.scopes), True),
        float(expires) if isinstance(expires, int | float | str) else inf,
        claims,
        key=f"{issuer} {user}" if issuer else "",
    )
