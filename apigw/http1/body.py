"""Bodies: taken apart as they come in, and put into chunks (RFC 9112 sections 6 and 7)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from apigw.http1.errors import BadMessage
from apigw.http1.fields import MAX_LENGTH, TOKEN, Fields, parse_fields
from apigw.http1.head import HeadLimits

LAST_CHUNK = b"0\r\n\r\n"

MAX_CHUNK_LINE = 512
"""Bytes of the line that begins a chunk, extensions with it."""

_EXTENSION = (
    rb"[ \t]*;[ \t]*" + TOKEN + rb"+(?:[ \t]*=[ \t]*(?:" + TOKEN + rb"+"
    rb'|"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?'
)
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})((?:" + _EXTENSION + rb")*)\r\n")
_CHUNK_LINE_SO_FAR = re.compile(rb"[0-9A-Fa-f]{1,16}(?:[ \t;][\t -~\x80-\xff]*)?\r?")

FORBIDDEN_TRAILERS = frozenset(
    (
        b"transfer-encoding",
        b"content-length",
        b"host",
    )
)


class LengthDecoder:
    """A body of ``length`` bytes."""

    __slots__ = ("_left", "_status", "done", "rest", "trailers")

    def __init__(self, length: int, status: int = 400) -> None:
        self._left = length
        self._status = status
        self.done = not length
        self.rest = b""
        self.trailers: Fields = []

    def feed(self, data: bytes) -> list[bytes]:
        """The payload in ``data``; what follows the message goes to ``rest``."""
        size = len(data)
        if self.done:
            self.rest += data
            return []
        if size < self._left:
            self._left -= size
            return [data] if data else []
        self.done = True
        self.rest = data[self._left :]
        return [data[: self._left]]

    def eof(self) -> None:
        """
        The peer has closed.

        :raises BadMessage: the body isn't complete.
        """
        if not self.done:
            raise BadMessage(self._status, "truncated-body", "The connection ended within the body.")


class CloseDecoder:
    """A body that ends where the connection does."""

    __slots__ = ("done", "rest", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self.trailers: Fields = []

    def feed(self, data: bytes) -> list[bytes]:
        """All of ``data``."""
        return [data] if data else []

    def eof(self) -> None:
        """The peer has closed: that is the end of the body."""
        self.done = True


class ChunkedDecoder:
    """A body in chunks, with a trailer section."""

    __slots__ = ("_left", "_limits", "_pending", "_state", "_status", "done", "rest", "trailers")

    def __init__(self, limits: HeadLimits, status: int = 400) -> None:
        self._limits = limits
        self._status = status
        self._left = 0
        self._pending = b""
        self._state = 0  # 0 chunk line, 1 data, 2 CRLF after the data, 3 trailers
        self.done = False
        self.rest = b""
        self.trailers: Fields = []

    def feed(self, data: bytes) -> list[bytes]:
        """The payload in ``data``; what follows the message goes to ``rest``."""
        if self.done:
            self.rest += data
            return []
        if self._pending:
            data = self._pending + data
            self._pending = b""
        pieces: list[bytes] = []
        at = 0
        size = len(data)
        while at < size:
            if self._state == 1:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = 2
            elif self._state == 2:
                if not b"\r\n".startswith(data[at : at + 2]):
                    raise BadMessage(self._status, "bad-chunk", "A chunk is longer than its size.")
                if size - at < 2:
                    break
                at += 2
                self._state = 0
            elif self._state == 0:
                match = _CHUNK_LINE.match(data, at)
                if match is None:
                    self._check_line(data[at:])
                    break
                at = match.end()
                self._left = int(match[1], 16)
                if self._left > MAX_LENGTH:
                    raise BadMessage(self._status, "bad-chunk-size", "A chunk size is over 2^63.")
                self._state = 1 if self._left else 3
            else:
                if data.startswith(b"\r\n", at):
                    at += 2
                else:
                    end = data.find(b"\r\n\r\n", at)
                    if end < 0:
                        if size - at > self._limits.size:
                            raise BadMessage(
                                self._status, "trailers-too-large", "The trailer section is too large."
                            )
                        break
                    self.trailers = parse_fields(b"\r\n" + data[at : end + 4], 0, self._status)
                    at = end + 4
                self.done = True
                self.rest = data[at:]
                return pieces
        self._pending = data[at:]
        return pieces

    def _check_line(self, line: bytes) -> None:
        if len(line) > MAX_CHUNK_LINE:
            raise BadMessage(self._status, "bad-chunk-extension", "The line of a chunk is too long.")
        if _CHUNK_LINE_SO_FAR.fullmatch(line) is None:
            raise BadMessage(self._status, "bad-chunk-size", "A chunk does not begin with its size.")

    def eof(self) -> None:
        """
        The peer has closed.

        :raises BadMessage: the body isn't complete.
        """
        if not self.done:
            raise BadMessage(self._status, "truncated-body", "The connection ended within the body.")


def encode_chunk(data: bytes) -> bytes:
    """``data`` as one chunk; nothing where there is no data, for an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def encode_last_chunk(trailers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The end of a chunked body, with trailer fields; they are not checked."""
    return b"0\r\n%b\r\n" % b"".join([b"%b: %b\r\n" % field for field in trailers])
