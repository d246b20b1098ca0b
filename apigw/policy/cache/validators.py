"""Conditional requests: whether a client has the answer already, and what a service is asked about one that is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from apigw.policy.cache.directives import Field, parse_date
from apigw.policy.cache.terms import first_of, values_of

CONDITIONS = frozenset((b"if-none-match", b"if-modified-since"))
"""What a cache may decide (RFC 9111 section 4.3.2)."""

FOR_THE_SERVICE = frozenset((b"if-match", b"if-unmodified-since", b"range", b"if-range"))
"""What only the service can."""

KEPT = frozenset((b"content-length", b"content-encoding", b"content-type", b"content-range"))
"""Fields that tell of the body which is kept: a 304 doesn't change them (RFC 9111 section 3.2)."""

IN_304 = frozenset(
    (
        b"cache-control",
        b"content-location",
        b"date",
        b"etag",
        b"expires",
        b"vary",
        b"last-modified",
        b"via",
        b"cache-status",
        b"link",
    )
)
"""What a 304 tells: RFC 9110 section 15.4.5 names the first six; it may tell more where that leads caches."""

_TAG = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def has_it(request: Sequence[Field], answer: Sequence[Field]) -> bool:
    """
    Whether the client of a GET or HEAD has what is kept (RFC 9110 sections 13.1.2, 13.1.3 and 13.2.2).

    :param answer: fields of a 200.
    """
    asked = values_of(request, b"if-none-match")
    if asked:
        value = b",".join(asked)
        if value.strip() == b"*":
            return True
        tag = opaque(first_of(answer, b"etag"))
        return tag is not None and tag in _TAG.findall(value)
    since = parse_date(first_of(request, b"if-modified-since"))
    if since is None or len(values_of(request, b"if-modified-since")) > 1:
        return False
    modified = parse_date(first_of(answer, b"last-modified"))
    return modified is not None and modified <= since


def opaque(tag: bytes | None) -> bytes | None:
    """An entity tag without its weakness, for the weak comparison (RFC 9110 section 8.8.3.2)."""
    match = None if tag is None else _TAG.fullmatch(tag.strip())
    return None if match is None else match[1]


def asking_again(request: Iterable[Field], answer: Sequence[Field]) -> list[Field]:
    """The fields of a request that asks whether an answer is still good (RFC 9111 section 4.3.1)."""
    fields = [field for field in request if field[0].lower() not in CONDITIONS]
    tag, modified = first_of(answer, b"etag"), first_of(answer, b"last-modified")
    if tag is not None:
        fields.append((b"If-None-Match", tag))
    if modified is not None:
        fields.append((b"If-Modified-Since", modified))
    return fields


def confirms(told: Sequence[Field], kept: Sequence[Field]) -> bool:
    """Whether a 304 is of the answer that is kept (RFC 9111 section 4.3.4)."""
    tag = first_of(told, b"etag")
    if tag is not None:
        return opaque(tag) == opaque(first_of(kept, b"etag")) and opaque(tag) is not None
    modified = first_of(told, b"last-modified")
    return modified is None or modified == first_of(kept, b"last-modified")


def freshened(kept: Iterable[Field], told: Sequence[Field]) -> list[Field]:
    """The fields of an answer after a 304 (RFC 9111 section 3.2)."""
    new = [field for field in told if field[0].lower() not in KEPT]
    names = {name.lower() for name, _ in new} | {b"age"}
    return [field for field in kept if field[0].lower() not in names] + new


def not_modified(answer: Iterable[Field]) -> list[Field]:
    """The fields of a 304 (RFC 9110 section 15.4.5)."""
    return [field for field in answer if field[0].lower() in IN_304]
