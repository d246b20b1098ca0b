"""URIs by which answers are kept."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

from apigw.policy.cache.directives import Field
from apigw.policy.cache.store import Uri
from apigw.policy.cache.terms import values_of

SAFE = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE"))
"""RFC 9110 section 9.2.1."""

_SCHEMES = ("http", "https")


def uri_of(authority: bytes, target: bytes) -> Uri:
    """:param target: path and query."""
    host = authority.lower()
    for port in (b":80", b":443"):
        host = host.removesuffix(port)
    return host, target


def invalidated(method: bytes, status: int, uri: Uri, answer: Sequence[Field]) -> list[Uri]:
    """
    What is no longer true after a request: its URI, and those of the same host that its answer names (RFC 9111
    section 4.4).
    """
    if method in SAFE or not 200 <= status < 400:
        return []
    found = [uri]
    for name in (b"location", b"content-location"):
        for value in values_of(answer, name):
            try:
                there = urlsplit(
                    urljoin(f"http://{uri[0].decode('latin-1')}{uri[1].decode('latin-1')}", value.decode())
                )
            except ValueError:
                continue
            target = there.path + (f"?{there.query}" if there.query else "")
            other = uri_of(there.netloc.encode("latin-1", "replace"), target.encode("latin-1", "replace"))
            if there.scheme in _SCHEMES and other[0] == uri[0] and other not in found:
                found.append(other)
    return found
