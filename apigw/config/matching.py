"""What a route matches, and what it makes of a path: patterns of paths and hosts, fields, methods, rewrites."""

from __future__ import annotations

import re

from attrs import frozen

from apigw.config.addresses import parse_host
from apigw.config.kind import Kind, RowError, list_of, pieces

REST = "*"
"""The last segment of a pattern that takes all the rest of a path."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
"""RFC 9110 section 5.6.2."""

_VALUE = re.compile(r"[\t !-~]+").fullmatch
_CHARACTERS = re.compile(r"(?:[A-Za-z0-9._~!$&'()+,;=:@-]|%[0-9A-Fa-f]{2})+").fullmatch
"""RFC 3986 section 3.3, pchar, but ``*``, which has a meaning of its own here."""

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}").fullmatch
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]").fullmatch

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")


# -- paths ---------------------------------------------------------------------------------------------------------


@frozen
class PathPattern:
    """
    :ivar text: as written.
    :ivar exact: the path is that one and no other (``=/exact``); else also all that lies below it.
    :ivar segments: what stands between slashes: literal ones as they are in a raw path, ``{name}`` for any one.
        Empty for ``/``; ``=/a/`` ends with an empty one.
    :ivar rest: ``*`` stood at the end: something must follow the segments.
    """

    text: str
    exact: bool
    segments: tuple[str, ...]
    rest: bool

    def __str__(self) -> str:
        return self.text

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the ``{name}`` segments."""
        return tuple(match[1] for match in map(_PARAMETER, self.segments) if match)

    @property
    def shape(self) -> tuple[object, ...]:
        """The same for two patterns that match the same paths."""
        return self.exact, self.rest, tuple("{}" if _PARAMETER(s) else s for s in self.segments)


def parse_path(text: str) -> PathPattern:
    exact = text.startswith("=")
    path = text[1:].lstrip() if exact else text
    segments = _segments(path, exact)
    rest = bool(segments) and segments[-1] == REST
    if rest:
        if exact:
            raise ValueError(f"{text!r} is exact and open at its end at once, write {path}")
        segments = segments[:-1]
    return PathPattern(text if not exact else "=" + path, exact, segments, rest)


def _segments(path: str, keep_slash: bool) -> tuple[str, ...]:
    if not path.startswith("/"):
        raise ValueError(f"{path!r} doesn't begin with a slash, write /{path}")
    for mark in "?#":
        if mark in path:
            raise ValueError(f"{path!r} holds a {mark}, write the path alone: {path.partition(mark)[0]}")
    if path == "/":
        return ("",) if keep_slash else ()
    segments = path[1:].split("/")
    if segments[-1] == "" and not keep_slash:
        raise ValueError(
            f"{path!r} ends with a slash, write {path.rstrip('/') or '/'}: what lies below it is meant too"
        )
    names: set[str] = set()
    for place, segment in enumerate(segments):
        last = place == len(segments) - 1
        if not segment and not last:
            raise ValueError(f"{path!r} has two slashes in a row, write one")
        if segment in (".", "..") or _decoded(segment) in (".", ".."):
            raise ValueError(f"{path!r} has the segment {segment!r}, write the path that it leads to")
        if segment == REST:
            if not last:
                raise ValueError(
                    f"{path!r} goes on after the *, which takes all the rest; write {{name}} for one segment"
                )
        elif "{" in segment or "}" in segment:
            match = _PARAMETER(segment)
            if match is None:
                raise ValueError(f"{segment!r} is not a whole segment in braces, such as {{id}}")
            if match[1] in names:
                raise ValueError(f"{path!r} names two segments {match[0]}, give them two names")
            names.add(match[1])
        elif segment:
            _check_literal(segment)
    return tuple(segments)


def _decoded(segment: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), segment)


def _check_literal(segment: str) -> None:
    if "*" in segment:
        raise ValueError(f"{segment!r}: a * stands alone, after the last slash; write {{name}} for any one segment")
    if not segment.isascii() or " " in segment:
        escaped = "".join(c if c.isascii() and c != " " else "".join(f"%{b:02X}" for b in c.encode()) for c in segment)
        raise ValueError(f"{segment!r} holds what can't stand in a path, write {escaped}")
    if not _CHARACTERS(segment):
        raise ValueError(f"{segment!r} holds what can't stand in a path, write %XX for it")
    for match in _ESCAPED.finditer(segment):
        character = chr(int(match[1], 16))
        if _UNRESERVED(character):
            raise ValueError(f"{segment!r} escapes {character!r}, write the character itself")
        if character in "/\\\0":
            raise ValueError(f"{segment!r} hides a {character!r}, which no request's path may")


PATH: Kind[PathPattern] = Kind("path pattern", parse_path)


def parse_prefix(text: str) -> str:
    """A path without patterns."""
    segments = _segments(text, keep_slash=False)
    if not segments:
        raise ValueError(f"{text!r} would strip nothing, leave the key out")
    if any("{" in segment or segment == REST for segment in segments):
        raise ValueError(f"{text!r} holds a pattern, write the literal beginning of the path, or use rewrite")
    return text


PREFIX: Kind[str] = Kind("path", parse_prefix)


@frozen
class Rewrite:
    """
    What replaces the part of a raw path that a pattern matches; the rest of the path stays behind it.

    :ivar segments: literal ones, and ``{name}`` for what the pattern's segment of that name matched.
    """

    text: str
    segments: tuple[str, ...]

    def __str__(self) -> str:
        return self.text

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(match[1] for match in map(_PARAMETER, self.segments) if match)


def parse_rewrite(text: str) -> Rewrite:
    segments = _segments(text, keep_slash=True)
    if segments[-1] == REST:
        raise ValueError(f"{text!r}: the rest of a path is kept as it is, write {text[:-2] or '/'}")
    return Rewrite(text, segments)


REWRITE: Kind[Rewrite] = Kind("path, with `{name}` for what the segment `{name}` of `path` was", parse_rewrite)


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


HOSTS: Kind[tuple[str, ...]] = list_of(Kind("`host.name` or `*.host.name`", parse_host_pattern), at_least=1)


def parse_method(text: str) -> str:
    if not _TOKEN(text):
        raise ValueError(f"{text!r} is not a method, such as GET")
    if text == "CONNECT":
        raise ValueError("'CONNECT' has no path that a route could match, leave it out")
    if text.upper() in METHODS and text not in METHODS:
        raise ValueError(f"{text!r} is not in capitals, write {text.upper()}")
    return text


METHOD_LIST: Kind[tuple[str, ...]] = list_of(Kind("method", parse_method), at_least=1)


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
    "list of `Name: value`, by comma or, with commas inside, by line", parse_fields, render_fields
)
