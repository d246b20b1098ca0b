"""
Fields that make browsers careful with an answer.

Source: OWASP HTTP Headers cheat sheet; Fetch standard (X-Content-Type-Options), HTML standard
(Cross-Origin-Opener-Policy, X-Frame-Options), Content Security Policy level 3.
"""

from __future__ import annotations

from collections.abc import Iterable

Field = tuple[bytes, bytes]

OFF = "off"
PAGES = "pages"
API = "api"

_SETS: dict[str, tuple[Field, ...]] = {
    OFF: (),
    PAGES: (
        (b"X-Content-Type-Options", b"nosniff"),
        (b"X-Frame-Options", b"SAMEORIGIN"),
        (b"Referrer-Policy", b"strict-origin-when-cross-origin"),
        (b"Cross-Origin-Opener-Policy", b"same-origin"),
    ),
    API: (
        (b"X-Content-Type-Options", b"nosniff"),
        (b"X-Frame-Options", b"DENY"),
        (b"Referrer-Policy", b"no-referrer"),
        (b"Content-Security-Policy", b"default-src 'none'; frame-ancestors 'none'"),
    ),
}
"""``pages`` breaks no ordinary page; ``api`` is for answers that no browser shows as a page."""


class SecurityHeaders:
    """
    :param name: of a set of fields.
    :raises KeyError: there is none of that name.
    """

    def __init__(self, name: str) -> None:
        self._lines = {field.lower(): b"%b: %b\r\n" % (field, value) for field, value in _SETS[name]}
        self._all = b"".join(self._lines.values())

    def lines(self, fields: Iterable[Field]) -> bytes:
        """
        What is to be added to an answer.

        :param fields: that it has; a service that says something itself knows better.
        """
        lines = self._lines
        said = {lower for name, _ in fields if (lower := name.lower()) in lines}
        if not said:
            return self._all
        return b"".join([line for name, line in lines.items() if name not in said])
