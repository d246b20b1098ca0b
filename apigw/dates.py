"""The Date field's value, made once a second."""

from __future__ import annotations

from email.utils import formatdate
from time import time


class HttpDate:
    """IMF-fixdate of the current second (RFC 9110 section 5.6.7)."""

    def __init__(self) -> None:
        self._second = 0
        self._value = b""

    def now(self) -> bytes:
        second = int(time())
        if second != self._second:
            self._second = second
            self._value = formatdate(second, usegmt=True).encode("ascii")
        return self._value
