"""What a route matches, and what it makes of a path: patterns of paths and hosts, fields, methods, rewrites."""

from __future__ import annotations

import re

from attrs import frozen

from apigw.config.addresses import parse_host
from apigw.config.kind import Kind, RowError, list_of, pieces
from apigw.policy.paths import Pattern, parse_pattern

REST = "*"
"""The last segment of a pattern that takes all the rest of a path."""

NEVER_SERVED = ("CONNECT", "TRACE")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", *NEVER_SERVED)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
"""RFC 9110 section 5.6.2."""

_VALUE = re.compile(r"[\t !-~]+").fullmatch
_PARAMETER = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}").fullmatch


# -- paths -----------------------------------------------------------------------------------------------------------


@frozen
class PathPattern:
    """
    :ivar text: canonical: ``/prefix``, ``=/exact``, ``/with/{one}/segment``, ``/the/rest/*``.
    :ivar pattern: what it means.
    """

    text: str
    pattern: Pattern

    def __str__(self) -> str:
        return self.text

    @property
    def shape(self) -> object:
        """The same for two patterns that match the same paths."""
        return self.pattern.exact, self.pattern.rest, self.pattern.segments


def parse_path(text: str) -> PathPattern:
    exact = text.startswith("=")
    path = text.removeprefix("=").lstrip()
    _check(path)
    if not exact:
        path = path.rstrip("/") or "/"
    elif path.endswith(f"/{REST}"):
        raise ValueError(f"{text!r} is exact and open at its end at once, write {path}")
    text = f"={path}" if exact else path
    return PathPattern(text, parse_pattern(text))


def _check(path: str) -> None:
    """
    Say of the likely mistakes what would be right.

    :raises ValueError: there is one. Less likely ones are left to :func:`apigw.policy.paths.parse_pattern`.
    """
    if not path.startswith("/"):
        raise ValueError(f"{path!r} doesn't begin with a slash, write /{path}")
    for mark in "?#":
        if mark in path:
            raise ValueError(f"{path!r} goes on after the path, write {path.partition(mark)[0]}")
    if "//" in path:
        raise ValueError(f"{path!r} has two slashes in a row, write {re.sub('//+', '/', path)}")
    for segment in path[1:].split("/"):
        if segment in (".", ".."):
            raise ValueError(f"{path!r} has the segment {segment!r}, write the path that it leads to")
        if ("{" in segment or "}" in segment) and not _PARAMETER(segment):
            raise ValueError(f"{segment!r} is not a name in braces that is a whole segment, such as {{id}}")
        if REST in segment and (segment != REST or not path.endswith(f"/{REST}") or path.count(REST) > 1):
            raise ValueError(f"{path!r}: a * stands at the end, as a whole segment; write {{name}} for any one segment")
        if not segment.isascii() or " " in segment:
            escaped = "".join(c if "!" <= c <= "~" else "".join(f"%{b:02X}" for b in c.encode()) for c in segment)
            raise ValueError(f"{segment!r} has a character that can't stand in a path, write {escaped}")


PATH: Kind[PathPattern] = Kind("path pattern", parse_path)


def parse_prefix(text: str) -> str:
    """A path without patterns; what it is the beginning of, a route knows."""
    path = parse_path(text)
    if path.pattern.exact or path.pattern.rest or path.pattern.names:
        raise ValueError(f"{text!r} is a pattern, write the literal beginning of the path, or use rewrite")
    if not path.pattern.segments:
        raise ValueError(f"{text!r} would strip nothing, leave the key out")
    return path.text


PREFIX: Kind[str] = Kind("path", parse_prefix)


def parse_rewrite(text: str) -> str:
    """A path, with names in braces; a ``*`` at its end is no more than said what happens without it."""
    _check(text)
    path = text.removesuffix(REST)
    path = path.rstrip("/") or "/" if path != text else text
    parse_pattern(f"={path}")
    return path


REWRITE: Kind[str] = Kind("path, with `{name}` for what the segment `{name}` of `path` was", parse_rewrite)


# -- hosts, methods, fields ----------------------------------------------------------------------------------------


def parse_host_pattern(text: str) -> str:
    """:return: in lower case; ``*.`` at the beginning stands for one label or more."""
    wildcard = text.startswith("*.")
    host = text[2:] if wildcard else text
    if "*" in host:
        raise ValueError(f"{text!r}: a * may only be the whole first label, such as *.example.com")
    if re.fullmatch(r".*[^:]:[0-9]*|\[.*\]:[0-9]*", host):
        raise ValueError(f"{text!r} has a port, write {text.rpartition(':')[0]}: hosts match at any port")
    if host.endswith("."):
        raise ValueError(f"{text!r} ends with a dot, write {text[:-1]}")
    name = parse_host(host)
    if wildcard and (":" in name or name[-1].isdigit()):
        raise ValueError(f"{text!r}: an address has no labels before it, write {host}")
    return "*." + name if wildcard else f"[{name}]" if ":" in name else name


HOSTS: Kind[tuple[str, ...]] = list_of(Kind("host", parse_host_pattern), "`HOST` or `*.HOST`", at_least=1)


def parse_method(text: str) -> str:
    if not _TOKEN(text):
        raise ValueError(f"{text!r} is not a method, such as GET")
    if text.upper() in NEVER_SERVED:
        raise ValueError(f"{text!r} is never served, leave it out")
    if text.upper() in METHODS and text not in METHODS:
        raise ValueError(f"{text!r} is not in capitals, write {text.upper()}")
    return text


METHOD_LIST: Kind[tuple[str, ...]] = list_of(Kind("method", parse_method), "methods", at_least=1)


@frozen
class FieldMatch:
    """
    :ivar name: of a request field, in lower case.
    :ivar value: the whole value that it must have.
    """

    name: str
    value: str


def _parse_field(text: str) -> FieldMatch:
    name, colon, value = text.partition(":")
    value = value.strip()
    if not colon or not _TOKEN(name):
        raise ValueError(f"{text!r} is not a field and its value, such as X-Canary: yes")
    if not value or not _VALUE(value):
        raise ValueError(f"{text!r} has no value of printable ASCII characters, write for example {name}: yes")
    return FieldMatch(name.lower(), value)


def parse_fields(text: str) -> tuple[FieldMatch, ...]:
    """By comma in one line; with more lines each is one field, which may hold commas."""
    lines = [(row, line.strip()) for row, line in enumerate(text.split("\n")) if line.strip()]
    found: list[FieldMatch] = []
    for row, item in lines if "\n" in text else pieces(text):
        try:
            match = _parse_field(item)
        except ValueError as error:
            raise RowError(row, str(error)) from None
        if match.name in (other.name for other in found):
            raise RowError(row, f"{match.name} is here twice, and can't have two values at once")
        found.append(match)
    if not found:
        raise ValueError("is empty, write for example X-Canary: yes")
    return tuple(sorted(found, key=lambda match: match.name))


def render_fields(fields: tuple[FieldMatch, ...]) -> str:
    lines = [f"{match.name}: {match.value}" for match in fields]
    return "".join(f"\n{line}" for line in lines) if any("," in line for line in lines) else ", ".join(lines)


FIELDS: Kind[tuple[FieldMatch, ...]] = Kind(
    "list of `Name: value`, by comma or, with commas inside, by line", parse_fields, render_fields, lines=True
)
