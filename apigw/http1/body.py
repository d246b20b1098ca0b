"""
Bodies: decoders that take them apart as they come in, and chunks to send (RFC 9112 sections 6, 7).

The decoders have one shape. ``feed(data)`` returns the payload in ``data`` as a list of pieces, none of them
empty. ``done`` turns true at the end of the message, and ``rest`` is what follows it. ``trailers`` are the
fields after the body. ``eof()`` says that the peer has closed, and raises where that comes too early.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from apigw.http1.errors import BadMessage
from apigw.http1.fields import TOKEN, Fields, parse_fields, serialize_head
from apigw.http1.framing import MAX_LENGTH
from apigw.http1.head import HeadLimits, find_section

LAST_CHUNK = b"0\r\n\r\n"

MAX_EXTENSION = 256
"""Bytes of extensions that one chunk may have; hardly anybody sends any."""

MAX_PIECES = 16
"""More are joined to one, so that a sender of tiny chunks doesn't keep those busy who handle the pieces."""

_EXTENSION = rb";" + TOKEN + rb"+(?:=(?:" + TOKEN + rb'+|"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?'
"""
RFC 9112 section 7.1.1, less its "bad" white space, which only senders of old have: parsers differ on whether
it ends the size.
"""

_SIZE = rb"([0-9A-Fa-f]{1,16})((?:" + _EXTENSION + rb")*)\r\n"
_FIRST = re.compile(_SIZE)
"""The line before the data of the first chunk (RFC 9112 section 7.1)."""
_NEXT = re.compile(rb"\r\n" + _SIZE)
"""The end of a chunk's data and the line before that of the next one."""
_BEGUN = re.compile(rb"(?:\r(?:\n(?:[0-9A-Fa-f]{1,16}(?:;[\t -~\x80-\xff]*)?\r?)?)?)?")
"""What :data:`_NEXT` may still match once more bytes are there, or nothing at all does."""
_LONGEST = len(b"\r\n") + 16 + MAX_EXTENSION + len(b"\r\n")

NOT_IN_TRAILERS = frozenset(
    # the connection
    b"connection keep-alive proxy-connection te trailer upgrade "
    # routing
    b"host forwarded via max-forwards "
    # controls and conditions of a request
    b"cache-control expect pragma range "
    b"if-match if-none-match if-modified-since if-unmodified-since if-range "
    # authentication and state
    b"authorization proxy-authorization www-authenticate proxy-authenticate cookie set-cookie "
    # control data of a response
    b"age date expires location retry-after vary warning "
    # how to take the content
    b"content-encoding content-type content-range content-location".split()
)
"""
Fields that must not come after a body, in lower case (RFC 9110 section 6.5.1). The decoder drops them: to
refuse would cut a body that has arrived whole, and where they are dropped they do no harm.
"""

_FRAMING = frozenset((b"content-length", b"transfer-encoding"))
"""These must not either, and are refused: who sends them wants the framing to be read in two ways."""


class LengthDecoder:
    """
    A body of so many bytes.

    :param status: what a refusal carries, 400 or 502.
    """

    __slots__ = ("_left", "_status", "done", "rest", "trailers")

    def __init__(self, length: int, status: int = 400) -> None:
        self._left = length
        self._status = status
        self.done = length == 0
        self.rest = b""
        self.trailers: Fields = []

    def feed(self, data: bytes) -> list[bytes]:
        left = self._left
        size = len(data)
        if size < left:
            self._left = left - size
            return [data] if data else []
        self._left = 0
        self.done = True
        self.rest += data[left:]
        if size == left:
            return [data] if data else []
        return [data[:left]] if left else []

    def eof(self) -> None:
        """:raises BadMessage: some of the body is missing."""
        if not self.done:
            raise _truncated(self._status)


class CloseDecoder:
    """A body that ends with the connection."""

    __slots__ = ("done", "rest", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self.trailers: Fields = []

    def feed(self, data: bytes) -> list[bytes]:
        return [data] if data else []

    def eof(self) -> None:
        """The body is complete."""
        self.done = True


class ChunkedDecoder:
    """
    A body in chunks.

    Chunk extensions are checked and dropped (RFC 9112 section 7.1.1). They must not outweigh the data, or a
    sender could keep us busy with next to none of it (CVE-2023-39326 in Go).

    :param limits: for the trailer section.
    :param status: what a refusal carries, 400 or 502; where it is 400, too large a trailer section gets 431.
    """

    __slots__ = (
        "_allowance",
        "_in_trailers",
        "_left",
        "_limits",
        "_line",
        "_pending",
        "_searched",
        "_status",
        "done",
        "rest",
        "trailers",
    )

    def __init__(self, limits: HeadLimits, status: int = 400) -> None:
        self._limits = limits
        self._status = status
        self._line = _FIRST
        self._left = 0  # of the data of the chunk under way
        self._pending = b""  # the beginning of a line, or the trailer section so far
        self._searched = 0
        self._in_trailers = False
        self._allowance = limits.size
        self.done = False
        self.rest = b""
        self.trailers: Fields = []

    def feed(self, data: bytes) -> list[bytes]:
        """:raises BadMessage: the coding is broken; nothing of the message can be used."""
        pieces: list[bytes] = []
        if self._pending:
            data = self._pending + data
            self._pending = b""
        if self.done or self._in_trailers:
            self._feed_trailers(data)
            return pieces
        at = 0
        left = self._left
        while True:
            if left:
                piece = data[at : at + left] if at or left < len(data) else data
                if piece:
                    pieces.append(piece)
                    left -= len(piece)
                if left:
                    self._left = left
                    break
                at += len(piece)
                self._line = _NEXT
            match = self._line.match(data, at)
            if match is None:
                self._left = 0
                self._pending = self._begun(data[at:])
                break
            digits, extension = match.groups()
            left = int(digits, 16)
            if extension or left > MAX_LENGTH:
                self._check(left, len(extension))
            at = match.end()
            if not left:
                self._in_trailers = True
                self._feed_trailers(data[at - 2 :])
                break
        return pieces if len(pieces) <= MAX_PIECES else [b"".join(pieces)]

    def eof(self) -> None:
        """:raises BadMessage: some of the body is missing."""
        if not self.done:
            raise _truncated(self._status)

    def _begun(self, line: bytes) -> bytes:
        """Refuse what can't become the line between two chunks."""
        full = line if self._line is _NEXT else b"\r\n" + line
        if len(full) > _LONGEST:
            raise self._too_long()
        if _BEGUN.fullmatch(full) is None:
            raise BadMessage(self._status, "bad-chunk", "A chunk has no valid size, or is not of that size.")
        return line

    def _check(self, size: int, extension: int) -> None:
        if size > MAX_LENGTH:
            raise BadMessage(self._status, "bad-chunk-size", "A chunk size is not below 2^63.")
        self._allowance += size - extension
        if extension > MAX_EXTENSION or self._allowance < 0:
            raise self._too_long()

    def _too_long(self) -> BadMessage:
        return BadMessage(self._status, "bad-chunk-extension", "The extensions of chunks are too long.")

    def _feed_trailers(self, data: bytes) -> None:
        """:param data: all since the CRLF before the trailer section, or what follows the message."""
        if self.done:
            self.rest += data
            return
        if data.startswith(b"\r\n\r\n"):
            end = 4
        else:
            end = find_section(data, self._limits, self._searched, 1, self._status)
            if end < 0:
                self._pending = data
                self._searched = len(data)
                return
            self.trailers = self._allowed(parse_fields(data[:end], 0, self._status))
        self.done = True
        self.rest = data[end:]

    def _allowed(self, fields: Fields) -> Fields:
        """The fields that may be trailers."""
        names = [name.lower() for name, _ in fields]
        if not _FRAMING.isdisjoint(names):
            raise BadMessage(self._status, "bad-trailer", "The trailer section has a field that frames a body.")
        return [field for field, name in zip(fields, names, strict=True) if name not in NOT_IN_TRAILERS]


def encode_chunk(data: bytes) -> bytes:
    """``data`` as one chunk; nothing for no data, since an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def encode_last_chunk(trailers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """
    The end of a body in chunks.

    :param trailers: names are tokens: of a parsed message, or see :func:`~apigw.http1.fields.check_fields`.
    :raises ValueError: a control byte is in a field.
    """
    return serialize_head(b"0", trailers)


def _truncated(status: int) -> BadMessage:
    return BadMessage(status, "truncated-body", "The connection ended before the body did.")
