"""Bearer tokens: where a request may carry one, and what an answer says to who has none that does (RFC 6750)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import frozen

Field = tuple[bytes, bytes]

MAX_TOKEN = 8192
"""Bytes of a token; few heads leave room for a longer one."""

_COMPACT = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+").fullmatch
"""A signed token (RFC 7515 section 7.1); one without a signature has an empty third part, and doesn't match."""

_QUOTABLE = re.compile(r"[ !#-\[\]-~]*").fullmatch


class TokenRefused(Exception):
    """
    A token that doesn't count.

    :ivar error: as RFC 6750 section 3.1 has it: ``invalid_request`` or ``invalid_token``.
    :ivar reason: a word for it, for programs: ``expired``, ``revoked``, ``signature`` and the like.

    The text is for the client and holds nothing of the token.
    """

    def __init__(self, description: str, error: str = "invalid_token", *, reason: str = "malformed") -> None:
        super().__init__(description)
        self.description = description
        self.error = error
        self.reason = "ambiguous" if error == "invalid_request" else reason


@frozen(eq=False)
class TokenSource:
    """
    Where to look for the token.

    :ivar cookie: name of a cookie that may hold it, empty for none.
    :ivar query: name of a parameter of the query that may hold it, empty for none.
    :ivar max_size: bytes of the token.
    """

    cookie: bytes = b""
    query: bytes = b""
    max_size: int = MAX_TOKEN

    def token(self, fields: Iterable[Field], query: bytes = b"") -> bytes | None:
        """
        The token of a request, in the form of one; nothing of it is verified.

        Authorization and the query may not both have one (RFC 6750 section 2). A cookie counts only where neither
        has, for browsers send it unasked. Another scheme than Bearer is no token: it is meant for the service.

        :param query: with its ``?``, or empty.
        :return: None where there is none.
        :raises TokenRefused: there are several, it is too long, or in no token's form.
        """
        found = None
        cookies = b""
        for name, value in fields:
            size = len(name)
            if size == 13:
                if name.lower() == b"authorization":
                    if found is not None:
                        raise TokenRefused("There is more than one Authorization field.", "invalid_request")
                    found = value
            elif size == 6 and self.cookie and name.lower() == b"cookie":
                cookies += b";" + value
        token = None if found is None else _of_authorization(found)
        if self.query and query:
            other = _one(query[1:].split(b"&"), self.query)
            if other is not None and token is not None:
                raise TokenRefused("The token is in Authorization and in the query.", "invalid_request")
            token = other if token is None else token
        if token is None and cookies:
            token = _one(map(bytes.strip, cookies.split(b";")), self.cookie) or None
        if token is None:
            return None
        if len(token) > self.max_size:
            raise TokenRefused(f"The token is longer than {self.max_size} bytes.", reason="too-long")
        if not _COMPACT(token):
            raise TokenRefused("The token is not a signed JSON web token.")
        return token


def _of_authorization(value: bytes) -> bytes | None:
    scheme, _, token = value.partition(b" ")
    return token.lstrip(b" ") if scheme.lower() == b"bearer" else None


def _one(pairs: Iterable[bytes], name: bytes) -> bytes | None:
    """The value of ``name`` where it stands once."""
    prefix = name + b"="
    found = None
    for pair in pairs:
        if pair.startswith(prefix):
            if found is not None:
                raise TokenRefused("There is more than one token.", "invalid_request")
            found = pair[len(prefix) :]
    return found


def lacks(having: Iterable[str], any_of: frozenset[str]) -> bool:
    """Whether none is there of those of which one must be."""
    return bool(any_of) and any_of.isdisjoint(having)


def challenge(error: str = "", description: str = "", scopes: Iterable[str] = ()) -> Field:
    """
    WWW-Authenticate (RFC 6750 section 3).

    :param error: empty where the request had no token at all, which is no error.
    :param description: in words; printable ASCII without quotes.
    :param scopes: those that would do.
    """
    parts = ['Bearer realm="apigw"']
    wanted = " ".join(scopes)
    for name, value in (("error", error), ("error_description", description), ("scope", wanted)):
        if value and _QUOTABLE(value):
            parts.append(f'{name}="{value}"')
    return b"WWW-Authenticate", ", ".join(parts).encode("ascii")
