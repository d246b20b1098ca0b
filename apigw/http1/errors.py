"""The one exception of this package: a message that is not, or not surely, HTTP/1.1."""

from __future__ import annotations


class BadMessage(Exception):
    """
    A message that can't be taken. Its connection is of no further use: where the message ends is in doubt.

    :ivar status: of the answer: 400, 414, 417, 431, 501 or 505 to a request, 502 for what an upstream sent.
    :ivar code: a stable lower-case slug for programs, such as ``conflicting-framing``.
    :ivar detail: one sentence for people, which never quotes what was sent: it may hold a secret.
    """

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(status, code, detail)
        self.status = status
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.detail} ({self.code}, {self.status})"
