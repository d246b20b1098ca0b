"""Under which terms an answer may be kept and used again, and what a request asks of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from math import inf

from attrs import frozen

from apigw.policy.cache.directives import Field, parse_date, parse_directives, seconds

BY_DEFAULT = frozenset((200, 203, 204, 300, 301, 308, 404, 410))
"""Statuses that a route's own lifetime holds for: of those of RFC 9110 section 15.1 the ones that a read has."""

NEVER = frozenset((206, 304))
"""Parts, and what tells of an answer that is somewhere else."""

FAILED = frozenset((500, 502, 503, 504))
"""Instead of which an old answer may be given (RFC 5861 section 4)."""


@frozen
class Rules:
    """
    What a route adds to what services say.

    :ivar lifetime: seconds for answers that say nothing of theirs; 0 for none.
    :ivar while_revalidate: as the directive stale-while-revalidate, for answers that haven't got it.
    :ivar if_error: as stale-if-error.
    """

    lifetime: float = 0.0
    while_revalidate: float = 0.0
    if_error: float = 0.0


@frozen
class Terms:
    """
    :ivar lifetime: seconds for which the answer is fresh.
    :ivar strict: it may not be used once it is stale, without asking.
    :ivar shared: it is meant for everybody, whoever it was given to.
    :ivar s_maxage: the service has said how long caches such as this one may have it: old ones it wouldn't like either.
    """

    lifetime: float
    strict: bool = False
    shared: bool = False
    s_maxage: bool = False
    while_revalidate: float = 0.0
    if_error: float = 0.0


@frozen
class Wishes:
    """What a request says of caches; in seconds."""

    no_store: bool = False
    no_cache: bool = False
    only_if_cached: bool = False
    max_age: float = inf
    min_fresh: float = 0.0
    max_stale: float = 0.0
    if_error: float = 0.0


ANY = Wishes()


class Use(Enum):
    """What may be done with an answer that is kept. ``OLD`` is to be given, and to be asked for again beside that."""

    FRESH = 1
    STALE = 2
    OLD = 3
    ASK = 4


def values_of(fields: Sequence[Field], name: bytes) -> list[bytes]:
    """:param name: in lower case."""
    return [value for key, value in fields if len(key) == len(name) and key.lower() == name]


def first_of(fields: Sequence[Field], name: bytes) -> bytes | None:
    """:param name: in lower case."""
    return next((value for key, value in fields if len(key) == len(name) and key.lower() == name), None)


def wishes(fields: Sequence[Field]) -> Wishes:
    """Of a request (RFC 9111 section 5.2.1, RFC 5861)."""
    control = values_of(fields, b"cache-control")
    if not control:
        pragma = parse_directives(values_of(fields, b"pragma"))
        return Wishes(no_cache=True) if b"no-cache" in pragma else ANY
    said = parse_directives(control)
    max_stale = seconds(said, b"max-stale")
    if b"max-stale" in said and said[b"max-stale"] is None:
        max_stale = 2**31
    max_age = seconds(said, b"max-age")
    return Wishes(
        b"no-store" in said,
        b"no-cache" in said,
        b"only-if-cached" in said,
        inf if max_age is None else max_age,
        seconds(said, b"min-fresh") or 0,
        max_stale or 0,
        seconds(said, b"stale-if-error") or 0,
    )


def terms(status: int, fields: Sequence[Field], personal: bool, date: float, rules: Rules) -> Terms | None:
    """
    Whether the answer to a GET may be kept (RFC 9111 section 3).

    :param personal: the request has shown who asks: then only what is said to be for everybody may (section 3.5).
    :param date: when it was made, seconds since 1970.
    :return: None if it may not.
    """
    if status < 200 or status in NEVER:
        return None
    said = parse_directives(values_of(fields, b"cache-control"))
    if b"private" in said or (b"no-store" in said and not _understood(said, status)):
        return None
    if any(name.lower() == b"set-cookie" for name, _ in fields) or b"*" in varying_on(fields):
        return None
    s_maxage = seconds(said, b"s-maxage")
    shared = b"public" in said or s_maxage is not None
    if personal and not shared:
        return None
    lifetime = _lifetime(said, fields, date)
    if lifetime is None:
        lifetime = 0.0 if personal or status not in BY_DEFAULT else rules.lifetime
        known = status in BY_DEFAULT
        checked = b"no-cache" in said and (known or b"public" in said)
        if not lifetime and not (checked or (known and has_validator(fields))):
            return None
    if b"no-cache" in said:
        lifetime = 0.0
    strict = not said.keys().isdisjoint((b"no-cache", b"must-revalidate", b"proxy-revalidate"))
    while_revalidate = seconds(said, b"stale-while-revalidate")
    if_error = seconds(said, b"stale-if-error")
    bound = strict or s_maxage is not None
    return Terms(
        lifetime,
        strict,
        shared,
        s_maxage is not None,
        (0.0 if bound else rules.while_revalidate) if while_revalidate is None else while_revalidate,
        (0.0 if bound else rules.if_error) if if_error is None else if_error,
    )


def _understood(said: Mapping[bytes, bytes | None], status: int) -> bool:
    """RFC 9111 section 5.2.2.3: no-store is for those who don't know the status."""
    return b"must-understand" in said and status in BY_DEFAULT


def _lifetime(said: Mapping[bytes, bytes | None], fields: Sequence[Field], date: float) -> float | None:
    """RFC 9111 section 4.2.1; None where nothing is said."""
    for name in (b"s-maxage", b"max-age"):
        told = seconds(said, name)
        if told is not None:
            return float(told)
    expires = values_of(fields, b"expires")
    if not expires:
        return None
    until = parse_date(expires[0])
    return 0.0 if until is None else max(0.0, until - date)


def has_validator(fields: Sequence[Field]) -> bool:
    return first_of(fields, b"etag") is not None or first_of(fields, b"last-modified") is not None


def varying_on(fields: Sequence[Field]) -> tuple[bytes, ...]:
    """The names in Vary, in lower case, sorted."""
    values = values_of(fields, b"vary")
    if not values:
        return ()
    return tuple(sorted({name.strip().lower() for value in values for name in value.split(b",")} - {b""}))


def initial_age(fields: Sequence[Field], date: float, asked: float, received: float) -> float:
    """
    How old an answer was when it came (RFC 9111 section 4.2.3).

    :param date: see :func:`terms`. :param asked: when it was asked for, and ``received``: seconds since 1970.
    """
    age = (first_of(fields, b"age") or b"").partition(b",")[0].strip()
    told = min(int(age[:12]), 2**31) if age.isdigit() else 0
    return max(received - date, told + (received - asked), 0.0)


def use(terms: Terms, age: float, wishes: Wishes) -> Use:
    """RFC 9111 sections 4.2 and 5.2.1, RFC 5861 section 3."""
    if wishes.no_cache or age > wishes.max_age:
        return Use.ASK
    left = terms.lifetime - age
    if left > 0.0:
        return Use.FRESH if left >= wishes.min_fresh else Use.ASK
    if terms.strict or wishes.min_fresh:
        return Use.ASK
    if -left < terms.while_revalidate:
        return Use.OLD
    return Use.STALE if not terms.s_maxage and -left < wishes.max_stale else Use.ASK


def use_on_error(terms: Terms, age: float, wishes: Wishes) -> bool:
    """Whether an answer may be given since there is no better one (RFC 5861 section 4)."""
    allowed = terms.if_error if terms.s_maxage else max(terms.if_error, wishes.if_error)
    return not terms.strict and age - terms.lifetime < allowed
