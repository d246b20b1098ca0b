"""The one exception of this package: a message that is not, or not surely, HTTP/1.1."""

from __future__ import annotations


class BadMessage(Exception):
    """
    The peer sent what can't be taken. The connection is of no further use: where this message ends is in doubt.

    :ivar status: what is answered: 400, 414, 417, 431, 501 or 505 for a request, 502 for anything an upstream sent.
    :ivar code: a stable lower-case slug for programs, such as ``conflicting-framing``.
    :ivar detail: one sentence for people. It never quotes what was sent, so that no secret ends up in a log.
    """

    __slots__ = ("code", "detail", "status")

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(status, code, detail)
        self.status = status
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.detail} ({self.code}, {self.status})"
