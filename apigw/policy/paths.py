"""
What a raw path may mean to a service, what patterns of paths mean, and what a path is rewritten to.

Services read paths differently: one splits a path as it was sent and decodes each segment, another decodes first,
merges slashes or drops ``;parameters``. A path is safe to route only where all readings lead to the same route.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from attrs import frozen

_is_plain = re.compile(rb"(?:/(?!\.\.?(?:/|\Z))[!-$&-.0-:<-\[\]^-~]+)*/?").fullmatch
"""
Visible ASCII but ``% ; \\``, no empty segment but the last, no dot segment: all services read it alike. Takes linear
time, for a segment can't hold the slash that must come before the next one; 0.15 us for ``/api/v1/users``.
"""

_broken_escape = re.compile(rb"%(?![0-9A-Fa-f]{2})").search
_forbidden = re.compile(rb"[\x00-\x1f\x7f\\]").search
_overlong = re.compile(rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xf0[\x80-\x8f][\x80-\xbf]").search
"""Longer UTF-8 than need be, such as C0 AE for a dot (RFC 3629 section 3)."""

_dots = re.compile(rb"/\.\.?(?:;[^/]*)?(?:/|\Z)").search
_is_parameter = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}").fullmatch
_is_template = re.compile(r"(?:/(?!\.\.?(?:/|\Z))(?:\{[A-Za-z_][A-Za-z0-9_]*\}|[^\s{}?#*\\/]*))+").fullmatch


class PathRefused(ValueError):
    """The path means another path once decoded; says why, without quoting it."""


def is_plain(path: bytes) -> bool:
    """Whether all services read the path alike: no escapes, parameters, dot segments or empty segments in it."""
    return _is_plain(path) is not None


def readings(path: bytes) -> list[list[bytes]]:
    """
    How services may read a raw path: its decoded segments, with an empty one for what is before the first slash.

    The first reading is as sent: split at slashes, then decoded. Others, where they differ: with ``%2F`` as a slash,
    without the parameters of segments (``;`` and what follows), with empty segments left out but for the last, and
    each combination of these.

    :raises PathRefused: the path has a dot segment, plain, encoded once or twice, or with parameters (``/..;x/``);
        a backslash or control character, plain or encoded; a broken escape; or UTF-8 longer than need be. Or it
        doesn't begin with a slash.
    """
    if path[:1] != b"/":
        raise PathRefused("The path does not begin with a slash.")
    if _is_plain(path):
        return [path.split(b"/")]
    if _broken_escape(path):
        raise PathRefused("The path has a per cent sign that no two hexadecimal digits follow.")
    decoded = unquote_to_bytes(path)
    if _forbidden(decoded):
        raise PathRefused("The path has a backslash or a control character.")
    if _overlong(decoded):
        raise PathRefused("The path has a character in a longer form than need be.")
    # Services decode once. Twice is for proxies in front of them; nobody means dots by %252e.
    if _dots(decoded) or (b"%" in decoded and _dots(unquote_to_bytes(decoded).replace(b"\\", b"/"))):
        raise PathRefused("The path has a dot segment.")
    as_sent = [unquote_to_bytes(segment) for segment in path.split(b"/")]
    found = [as_sent]
    split = decoded.split(b"/")
    bare = [split, *([_without_parameters(as_sent), _without_parameters(split)] if b";" in decoded else ())]
    for reading in bare:
        if reading not in found:
            found.append(reading)
    for reading in found.copy():
        merged = [b"", *filter(None, reading[1:-1]), reading[-1]]
        if merged not in found:
            found.append(merged)
    return found


def _without_parameters(segments: list[bytes]) -> list[bytes]:
    return [segment.partition(b";")[0] for segment in segments]


@frozen
class Pattern:
    """
    Which paths a route takes.

    :ivar text: as written.
    :ivar exact: the path is that one and no other, else what lies below it is meant too.
    :ivar segments: decoded; None for one that may be anything but empty.
    :ivar names: of the segments that are None.
    :ivar rest: something must follow the segments.
    """

    text: str
    exact: bool
    segments: tuple[bytes | None, ...]
    names: tuple[str, ...]
    rest: bool

    def matches(self, path: list[bytes]) -> bool:
        """:param path: a reading of :func:`readings`."""
        path = path[1:]
        depth = len(self.segments)
        if len(path) < depth or (self.exact and len(path) > depth):
            return False
        if self.rest and path[depth:] in ([], [b""]):
            return False
        return all(have == want if want is not None else have for have, want in zip(path, self.segments, strict=False))


def parse_pattern(text: str) -> Pattern:
    """
    :param text: ``/prefix`` by whole segments, ``=/exact``, ``/with/{one}/segment``, ``/the/rest/*``. Literal segments
        are as in a raw path; ``/a/`` is ``/a``, but ``=/a/`` is not ``=/a``.
    :raises ValueError: no pattern, or one that no path could match.
    """
    exact = text.startswith("=")
    first, *parts = text[exact:].split("/")
    if first or not parts:
        raise ValueError(f"{text} does not begin with a slash")
    rest = parts[-1] == "*"
    if rest and exact:
        raise ValueError(f"{text} is exact and open at its end at once")
    if rest or (parts[-1] == "" and not exact):
        parts.pop()
    segments: list[bytes | None] = []
    names: list[str] = []
    for place, part in enumerate(parts):
        named = _is_parameter(part)
        if named:
            if named[1] in names:
                raise ValueError(f"{text} has {part} twice")
            names.append(named[1])
            segments.append(None)
        elif part == "" and not (exact and place == len(parts) - 1):
            raise ValueError(f"{text} has an empty segment, which no service reads like another")
        else:
            segments.append(_literal(text, part))
    return Pattern(text, exact, tuple(segments), tuple(names), rest)


def _literal(text: str, part: str) -> bytes:
    if re.search(r"[*{}?#;]", part):
        raise ValueError(f"{text} has the segment {part}, which is neither literal nor all of a pattern's")
    try:
        found = readings(b"/" + part.encode("ascii"))
    except UnicodeEncodeError:
        raise ValueError(f"{text} has a character that stands as %XX in a path") from None
    except PathRefused:
        found = []
    if len(found) != 1:
        raise ValueError(f"{text} has the segment {part}, which services read in more than one way")
    return found[0][1]


class Rewrite:
    """
    The path that a service gets.

    :param pattern: the route's.
    :param strip_prefix: the literal beginning of the pattern that is taken off, by whole segments of the raw path.
    :param template: takes the place of what the pattern matched, up to a ``*``. ``{name}`` is the raw segment to which
        the pattern gives the name. What follows stays as it is.
    :raises ValueError: ``strip_prefix`` isn't how the pattern begins, or the template isn't a path or has a name that
        the pattern doesn't have.

    :ivar changes: False where every path stays as it is.
    """

    def __init__(self, pattern: str, strip_prefix: str | None = None, template: str | None = None) -> None:
        matched = parse_pattern(pattern)
        parts: list[bytes | str] | None = None
        self._skip = 0
        self._whole = False
        self._slash = b""
        if strip_prefix is not None:
            stripped = parse_pattern(strip_prefix).segments
            if matched.segments[: len(stripped)] != stripped or None in stripped:
                raise ValueError(f"{strip_prefix} is not how {pattern} begins")
            self._skip = len(stripped)
        elif template is not None:
            self._skip = len(matched.segments)
            self._whole = matched.exact
            self._slash = b"/" if template.endswith("/") else b""
            parts = self._compiled(pattern, matched, template)
        self._parts = parts
        self.changes = self._skip > 0 or parts is not None

    def _compiled(self, pattern: str, matched: Pattern, template: str) -> list[bytes | str]:
        if not _is_template(template):
            raise ValueError(f"{template} is not a path, with {{name}} for whole segments")
        pieces = re.split(r"[{}]", template.removesuffix("/"))
        for name in pieces[1::2]:
            if name not in matched.names:
                raise ValueError(f"{template} has {{{name}}}, which {pattern} does not name")
        return [piece if index % 2 else piece.encode("ascii") for index, piece in enumerate(pieces)]

    def apply(self, path: bytes, params: Mapping[str, bytes]) -> bytes:
        """
        :param path: raw, without the query; the pattern matches it as it was sent.
        :param params: raw segments by name.
        :return: raw, beginning with a slash.
        """
        at = 0
        for _ in range(self._skip):
            at = path.find(b"/", at + 1)
            if at < 0:
                at = len(path)
                break
        rest = b"" if self._whole else path[at:]
        if self._parts is None:
            return rest or b"/"
        made = b"".join([params[part] if isinstance(part, str) else part for part in self._parts])
        return made + (rest or self._slash)
