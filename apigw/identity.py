"""
For services in Python: verifies who the gateway says is asking. It needs nothing but Python, so it may be copied.

    caller = verify(request.headers, secret)
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from time import time

TOLERANCE = 300.0
"""Seconds by which the gateway's clock and time under way may differ from ours."""

SIGNED = ("x-user-id", "x-user-role", "x-user-id-timestamp", "x-user-id-signature")


class IdentityRefused(Exception):
    """The request says who asks, and not as the gateway does: answer it with 401, and look at who sends it."""


@dataclass(frozen=True)
class Caller:
    """Who is asking, and in which roles."""

    user: str
    roles: tuple[str, ...] = ()


def verify(
    headers: Mapping[str, str], secret: bytes, now: float | None = None, tolerance: float = TOLERANCE
) -> Caller | None:
    """
    :param headers: of the request, names in any case; their values decoded as Latin-1 (WSGI, h11) or as UTF-8.
    :param secret: the gateway's ``[identity] secret_env``, at least a byte.
    :param now: seconds since 1970, the clock's where it isn't given.
    :return: None for a guest.
    :raises IdentityRefused: the signature is missing, wrong, or too old.
    """
    if not secret:
        raise ValueError("without a secret anybody could sign")
    given = {name.lower(): value for name, value in headers.items() if name.lower() in SIGNED}
    if not given:
        return None
    if "x-user-id-signature" not in given or not given.get("x-user-id"):
        raise IdentityRefused("the request has an identity without a signature")
    user, role, timestamp = (_bytes(given.get(name, "")) for name in SIGNED[:3])
    expected = b64encode(hmac.digest(secret, b"%b:%b:%b" % (user, role, timestamp), "sha256"))
    if b":" in role or not hmac.compare_digest(expected, _bytes(given["x-user-id-signature"])):
        raise IdentityRefused("the signature of the identity is wrong")
    if not (timestamp.isdigit() and len(timestamp) < 20):
        raise IdentityRefused("the timestamp of the identity is not a number")
    if abs((time() if now is None else now) - int(timestamp) / 1000.0) > tolerance:
        raise IdentityRefused("the signature of the identity is too old, or the clocks differ")
    try:
        return Caller(user.decode("utf-8"), tuple(filter(None, role.decode("utf-8").split(","))))
    except UnicodeDecodeError:
        raise IdentityRefused("the identity is not UTF-8") from None


def _bytes(text: str) -> bytes:
    """What was on the wire."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
