"""Whether another site's page made a browser send a request, with the cookies that the browser adds unasked."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from apigw.policy.cors import same_origin

Field = tuple[bytes, bytes]

SAFE = (b"GET", b"HEAD", b"OPTIONS", b"TRACE")
"""Methods that change nothing (RFC 9110 section 9.2.1)."""


def has_cookie(fields: Iterable[Field], name: bytes) -> bool:
    """Whether a request has the cookie ``name`` and no bearer token, which no page can add to what it doesn't own."""
    prefix = name + b"="
    found = False
    for key, value in fields:
        size = len(key)
        if size == 13 and key.lower() == b"authorization" and value[:7].lower() == b"bearer ":
            return False
        if size == 6 and key.lower() == b"cookie":
            found = found or any(pair.strip(b" ").startswith(prefix) for pair in value.split(b";"))
    return found


def cross_site(fields: Iterable[Field], authority: bytes, trusted: Callable[[bytes], bool]) -> bool:
    """
    As far as its browser tells: by Sec-Fetch-Site (W3C Fetch Metadata), else Origin, else Referer. Browsers send one of
    them with whatever may change something; what has none of them isn't sent by one.

    :param authority: the host and port that the request asks.
    :param trusted: whether pages of an origin may.
    """
    site = origin = referer = None
    for key, value in fields:
        name = key.lower()
        if name == b"origin":
            origin = value if origin is None else b"null"
        elif name == b"sec-fetch-site":
            site = value if site is None else b"cross-site"
        elif name == b"referer":
            referer = value if referer is None else b"null"
    if site in (b"same-origin", b"none"):
        return False
    if origin is None and referer is not None:
        scheme, mark, rest = referer.partition(b"://")
        origin = scheme + mark + rest.partition(b"/")[0].partition(b"?")[0]
    if origin is None:
        return site is not None
    return not (same_origin(origin, authority) or trusted(origin))
