"""
What services are told of who asks: ``x-user-id``, ``x-user-role``, and a signature that nobody else could make.

The signature is base64 of HMAC-SHA256 over ``id:role:timestamp``, the timestamp in milliseconds. An id may have colons
in it, a role may not, so that no two identities have the same text.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any

from apigw.policy.principal import Principal, claim

VALID_FOR = 300.0
"""Seconds by which a timestamp may differ from the clock, either way."""


def role_of(roles: Iterable[str]) -> str:
    """
    Roles as one field has them, with commas between.

    A role with a colon or a comma in it is left out: it could be read as another.
    """
    return ",".join(role for role in roles if ":" not in role and "," not in role and role == role.strip())


def signature(secret: bytes, user: bytes, role: bytes, timestamp: bytes) -> bytes:
    """:param timestamp: milliseconds since 1970, in decimal."""
    return b64encode(hmac.digest(secret, b"%b:%b:%b" % (user, role, timestamp), "sha256"))


def claim_text(value: Any) -> str | None:
    """
    A claim as the value of a field: text, a number, ``true`` or ``false``, or a list of them with commas between.

    :return: None where it is none of these, or has characters that a field can't have.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return value if value.isprintable() and value == value.strip() else None
    if isinstance(value, list):
        texts = [claim_text(item) for item in value if not isinstance(item, list)]
        return ",".join(text for text in texts if text is not None and "," not in text)
    return None


def identity_lines(who: Principal, secret: bytes, now: float, chosen: Sequence[tuple[bytes, str]] = ()) -> bytes:
    """
    The fields as they go on the wire.

    :param secret: empty where nothing is to be signed.
    :param now: wall-clock seconds.
    :param chosen: more fields, by name, and the paths of the claims that they have.
    """
    user = who.user.encode("utf-8", "replace")
    role = role_of(who.roles).encode("utf-8", "replace")
    lines = b"X-User-Id: %b\r\nX-User-Role: %b\r\n" % (user, role)
    if who.consumer:
        lines += b"X-User-Consumer: %b\r\n" % who.consumer.encode("ascii")
    if who.scopes:
        lines += b"X-User-Scopes: %b\r\n" % " ".join(who.scopes).encode("utf-8", "replace")
    for name, path in chosen:
        text = claim_text(claim(who.claims, path))
        if text:
            lines += b"%b: %b\r\n" % (name, text.encode("utf-8", "replace"))
    if secret:
        timestamp = b"%d" % (now * 1000.0)
        lines += b"X-User-Id-Timestamp: %b\r\nX-User-Id-Signature: %b\r\n" % (
            timestamp,
            signature(secret, user, role, timestamp),
        )
    return lines
