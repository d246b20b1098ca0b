"""What a gateway needs to know of WebSocket: the handshake's answer, where frames end, and how to say goodbye."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha1

PROTOCOL = b"websocket"

MAX_REASON = 123
"""Bytes of the text in a Close frame (RFC 6455 section 5.5)."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==").fullmatch
_CLOSE = 8


def is_key(value: bytes) -> bool:
    """Whether it is what Sec-WebSocket-Key must be: 16 bytes in base64 (RFC 6455 section 4.1)."""
    return _KEY(value) is not None


def accept(key: bytes) -> bytes:
    """What Sec-WebSocket-Accept must be (RFC 6455 section 4.2.2)."""
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def close_frame(code: int, reason: str, mask: bytes = b"") -> bytes:
    """
    A Close frame (RFC 6455 section 5.5.1).

    :param mask: four bytes where a client speaks, nothing where a server does (section 5.3).
    """
    payload = code.to_bytes(2, "big") + reason.encode()[:MAX_REASON]
    head = bytes((0x80 | _CLOSE, (0x80 if mask else 0) | len(payload)))
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if mask else head + payload


class Frames:
    """
    Follows one direction of a connection, to know where a frame of our own may go; looks at no payload.

    :ivar closed: a Close frame has begun, after which there is nothing more to be said (RFC 6455 section 5.5.1).
    """

    __slots__ = ("_head", "_left", "closed")

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self.closed = False

    @property
    def between(self) -> bool:
        """No frame has begun that hasn't ended."""
        return not self._left and not self._head

    def follow(self, data: bytes, stop: bool = False) -> int:
        """
        :param stop: go no further than the end of the frame that has begun.
        :return: how many bytes of ``data`` were followed; all of them but for ``stop``.
        """
        at, size = 0, len(data)
        while at < size:
            if self._left:
                step = min(self._left, size - at)
                self._left -= step
                at += step
            elif stop and not self._head:
                return at
            else:
                at += self._read_head(data, at)
        return at

    def _read_head(self, data: bytes, at: int) -> int:
        """:return: how many bytes of ``data`` from ``at`` on belong to the head of a frame."""
        had = len(self._head)
        head = self._head + data[at : at + 14 - had]
        length = head[1] & 0x7F if len(head) > 1 else 0
        more = 2 if length == 126 else 8 if length == 127 else 0
        need = 2 + more + (4 if len(head) > 1 and head[1] & 0x80 else 0)
        if len(head) < need:
            self._head = head
            return len(head) - had
        self._head = b""
        self._left = int.from_bytes(head[2 : 2 + more], "big") if more else length
        if head[0] & 0x0F == _CLOSE:
            self.closed = True
        return need - had
