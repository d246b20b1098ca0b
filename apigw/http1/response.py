"""The head of a response: parsed as a client must, serialised as a server does (RFC 9112 sections 4 and 6.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from attrs import define

from apigw.http1.errors import BadMessage
from apigw.http1.fields import Fields, bad_bytes, connection_options, parse_content_length, parse_fields
from apigw.http1.head import HeadLimits, find_head

NONE: Final = 0
"""No body follows: 1xx, 204, 304, any answer to HEAD, 2xx to CONNECT."""
LENGTH: Final = 1
"""As many bytes as Content-Length says."""
CHUNKED: Final = 2
"""Chunks and a trailer section."""
CLOSE: Final = 3
"""All bytes until the peer closes."""

_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-5][0-9]{2})(?: ([\t -~\x80-\xff]*))?(?=\r\n)")
_SPECIAL = frozenset((b"connection", b"content-length", b"transfer-encoding"))


@define(slots=True)
class ResponseHead:
    """
    :ivar status: 100 to 599.
    :ivar reason: as sent, often empty.
    :ivar minor: 0 for HTTP/1.0, 1 for HTTP/1.1 and for later minor versions.
    :ivar fields: names and values in order, names in the case they were sent.
    :ivar content_length: what the field says, even where no body follows.
    :ivar chunked: Transfer-Encoding is there.
    :ivar keep_alive: the connection may be used again after the message.
    :ivar framing: how the body ends: NONE, LENGTH, CHUNKED or CLOSE.
    :ivar options: lower-cased Connection options.
    """

    status: int
    reason: bytes
    minor: int
    fields: Fields
    content_length: int | None
    chunked: bool
    keep_alive: bool
    framing: int
    options: tuple[bytes, ...]


def find_response_head(buffer: bytes | bytearray, limits: HeadLimits, searched: int = 0) -> int:
    """
    As :func:`~apigw.http1.head.find_head`, for a response: each refusal is a 502, and no empty line comes first.
    """
    if buffer.startswith(b"\r\n"):
        raise BadMessage(502, "bad-status-line", "The response begins with an empty line.")
    try:
        return find_head(buffer, limits, searched)
    except BadMessage as error:
        raise BadMessage(502, error.code, error.detail) from None


def parse_response_head(head: bytes, method: bytes) -> ResponseHead:
    """
    :param head: with the empty line at its end.
    :param method: of the request that this answers.
    :raises BadMessage: with status 502.
    """
    match = _STATUS_LINE.match(head)
    if match is None:
        raise _bad_status_line(head)
    digit, code, reason = match.groups(b"")
    minor = 0 if digit == b"0" else 1
    status = int(code)
    fields = parse_fields(head, match.end(), 502)
    special: dict[bytes, bytes] = {}
    for name, value in fields:
        name = name.lower()
        if name in _SPECIAL:
            special[name] = special[name] + b", " + value if name in special else value

    length: int | None = None
    chunked = False
    options: tuple[bytes, ...] = ()
    if special:
        length, chunked = _framing(special, minor)
        connection = special.get(b"connection")
        if connection is not None:
            options = connection_options(connection, 502)
    keep_alive = b"close" not in options if minor else b"keep-alive" in options and b"close" not in options
    if status < 200 or status == 204:
        if chunked or length:
            raise BadMessage(502, "unexpected-body", "A response that can't have a body announces one.")
        framing = NONE
        keep_alive = keep_alive and status != 101
    elif status == 304 or method == b"HEAD":
        framing = NONE
    elif method == b"CONNECT" and status < 300:
        framing = NONE
        keep_alive = False
    elif chunked:
        framing = CHUNKED
    elif length is not None:
        framing = LENGTH
    else:
        framing = CLOSE
        keep_alive = False
    return ResponseHead(status, reason, minor, fields, length, chunked, keep_alive, framing, options)


def serialize_response_head(status: int, reason: bytes, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """
    A response head of HTTP/1.1.

    Nothing is checked, for on the hot path all of it was parsed before: give it only what a parser of this package
    gave, or what passed :func:`~apigw.http1.fields.check_fields`.
    """
    lines = [b"%b: %b\r\n" % field for field in fields]
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, b"".join(lines))


def _framing(special: dict[bytes, bytes], minor: int) -> tuple[int | None, bool]:
    """Content-Length and whether chunked, of a response (RFC 9112 section 6)."""
    coding = special.get(b"transfer-encoding")
    length = special.get(b"content-length")
    if coding is None:
        return None if length is None else parse_content_length(length, 502), False
    if length is not None:
        raise BadMessage(
            502, "conflicting-framing", "The response has both Content-Length and Transfer-Encoding."
        )
    if not minor:
        raise BadMessage(502, "transfer-encoding-in-http10", "HTTP/1.0 has no Transfer-Encoding.")
    if coding.lower() != b"chunked":
        raise BadMessage(502, "bad-transfer-encoding", "Transfer-Encoding is not exactly chunked.")
    return None, True


def _bad_status_line(head: bytes) -> BadMessage:
    line = head.partition(b"\r\n")[0]
    return bad_bytes(line, 502) or BadMessage(
        502, "bad-status-line", "The response does not begin with a status line of HTTP/1."
    )
