"""
What a raw path may mean to a service, and what it is rewritten to.

Services differ: one splits the path as it was sent and decodes each segment, another decodes first and merges slashes.
A path is safe to route only where both readings lead to the same route.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

_SUSPECT = re.compile(rb"%|//|\\|/\.").search
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})").search
_BAD_BYTE = re.compile(rb"[\x00-\x1f\x7f\\]").search
_DOTS = re.compile(rb"(?:^|/)\.{1,2}(?:;[^/]*)?(?:/|$)").search
_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class PathRefused(ValueError):
    """The path means another path once decoded; says why, without quoting it."""


def segments(path: bytes) -> list[bytes]:
    """The segments of a raw path: ``/a//b/`` has ``a``, nothing, ``b`` and nothing."""
    return path.split(b"/")[1:]


def readings(path: bytes) -> tuple[list[bytes], list[bytes] | None]:
    """
    How services may read a raw path, as decoded segments.

    :return: as sent, each segment decoded by itself; and decoded first with slashes merged, None where that is the
        same.
    :raises PathRefused: dot segments, plain or encoded or with parameters (``/..;x/``), encoded control bytes,
        backslashes, broken escapes. An escaped per cent sign is decoded once, as services do.
    """
    if _SUSPECT(path) is None:
        return path.split(b"/")[1:], None
    if _BAD_ESCAPE(path):
        raise PathRefused("The path has a per cent sign that no two hexadecimal digits follow.")
    decoded = unquote_to_bytes(path)
    if _BAD_BYTE(decoded):
        raise PathRefused("The path has a backslash or a control character.")
    if _DOTS(decoded):
        raise PathRefused("The path has a dot segment.")
    as_sent = [unquote_to_bytes(segment) for segment in path.split(b"/")[1:]]
    pieces = decoded.split(b"/")[1:]
    merged = [piece for piece in pieces[:-1] if piece]
    if _DOTS(b"/" + b"/".join(merged)):
        raise PathRefused("The path has a dot segment.")
    merged.append(pieces[-1])
    return as_sent, None if merged == as_sent else merged


class Rewrite:
    """
    The path that a service gets.

    :param pattern: the route's, such as ``/api/v1/users``, ``/api/{version}/users`` or ``/files/*``.
    :param strip_prefix: taken off the raw path by whole segments.
    :param template: takes the place of what the pattern matched; what follows it is kept, at the ``*`` if there is
        one at the template's end. ``{name}`` is the raw segment that the pattern gives the name.
    """

    def __init__(self, pattern: str, strip_prefix: str | None = None, template: str | None = None) -> None:
        self._skip = 0
        self._parts: list[bytes | str] | None = None
        self._star = False
        if strip_prefix is not None:
            self._skip = _depth(strip_prefix)
        elif template is not None:
            self._skip = _depth(pattern.removeprefix("=").removesuffix("/*"))
            if template.endswith("/*"):
                template = template[:-1]
                self._star = True
            elif template == "/":
                template = ""
            split = _VARIABLE.split(template)
            self._parts = [part if index % 2 else part.encode() for index, part in enumerate(split)]
        self.changes = self._skip > 0 or self._parts is not None

    def apply(self, path: bytes, params: Mapping[str, bytes]) -> bytes:
        """:param path: raw, without the query. :return: raw, never empty."""
        at = 0
        for _ in range(self._skip):
            at = path.find(b"/", at + 1)
            if at < 0:
                at = len(path)
                break
        rest = path[at:]
        if self._parts is None:
            return rest or b"/"
        if self._star:
            rest = rest[1:]
        made = b"".join([params.get(part, b"") if isinstance(part, str) else part for part in self._parts])
        return (made + rest) or b"/"


def _depth(path: str) -> int:
    return len([segment for segment in path.split("/") if segment])
