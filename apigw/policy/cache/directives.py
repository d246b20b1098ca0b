"""Cache-Control, Pragma and dates, as they stand on the wire."""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Iterable, Mapping

Field = tuple[bytes, bytes]

FOREVER = 2**31
"""Seconds; what is more counts as this (RFC 9111 section 1.2.2)."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_DIRECTIVE = re.compile(rb'[ \t,]*(%b)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^ \t,]*)))?[^,]*' % _TOKEN)

_MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_TIME = rb"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DATES = (
    re.compile(rb"[A-Z][a-z]{2}, (?P<day>[0-9]{2}) (?P<month>[A-Z][a-z]{2}) (?P<year>[0-9]{4}) " + _TIME + rb" GMT"),
    re.compile(rb"[A-Z][a-z]+day, (?P<day>[0-9]{2})-(?P<month>[A-Z][a-z]{2})-(?P<year>[0-9]{2}) " + _TIME + rb" GMT"),
    re.compile(rb"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) (?P<day>[0-9 ][0-9]) " + _TIME + rb" (?P<year>[0-9]{4})"),
)


def parse_directives(values: Iterable[bytes]) -> dict[bytes, bytes | None]:
    """
    The directives of Cache-Control, names in lower case (RFC 9111 section 5.2).

    :return: each with its argument, unquoted, or None; of those that are there twice the first (section 4.2.1).
    """
    found: dict[bytes, bytes | None] = {}
    for value in values:
        for match in _DIRECTIVE.finditer(value):
            quoted, plain = match[2], match[3]
            found.setdefault(match[1].lower(), plain if quoted is None else re.sub(rb"\\(.)", rb"\1", quoted))
    return found


def seconds(directives: Mapping[bytes, bytes | None], name: bytes) -> int | None:
    """
    The argument of a directive that is a time.

    :return: None where the directive isn't there; 0 where its argument is none, which makes an answer stale (RFC 9111
        section 4.2.1).
    """
    if name not in directives:
        return None
    value = directives[name]
    return min(int(value[:12]), FOREVER) if value is not None and value.isdigit() else 0


def parse_date(value: bytes | None) -> int | None:
    """
    A date in any of its three forms (RFC 9110 section 5.6.7).

    :return: seconds since 1970, None where it is no date.
    """
    match = None if value is None else next(filter(None, (form.fullmatch(value) for form in _DATES)), None)
    if match is None:
        return None
    month = _MONTHS.get(match["month"])
    year, day, hour, minute, second = (int(match[part]) for part in ("year", "day", "hour", "minute", "second"))
    if len(match["year"]) == 2:
        year += 1900 if year >= 70 else 2000
    if month is None or not (year >= 1970 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        return None
    return timegm((year, month, day, hour, minute, second))
