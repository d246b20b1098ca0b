"""The head of a response: parsed as by a client, serialised as by a server (RFC 9112 sections 4 and 6.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, Final

from apigw.http1.errors import BadMessage
from apigw.http1.fields import Fields, bad_byte, parse_fields, serialize_head, special_fields
from apigw.http1.framing import parse_connection, parse_framing, persists
from apigw.http1.head import Buffer, HeadLimits, find_section

NONE: Final = 0
"""No body: 1xx, 204, 304, the answer to HEAD, 2xx to CONNECT."""
LENGTH: Final = 1
"""As many bytes as Content-Length says."""
CHUNKED: Final = 2
"""Chunks, then a trailer section."""
CLOSE: Final = 3
"""All until the peer closes."""

_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-5][0-9]{2})(?: |(?=\r))([\t -~\x80-\xff]*)(?=\r\n)")
"""The space before an empty reason may be missing: common, and nothing hangs on it."""

_SPECIAL = frozenset((b"connection", b"content-length", b"transfer-encoding"))


class ResponseHead:
    """
    :ivar status: 100 to 599; others are refused (RFC 9110 section 15).
    :ivar reason: as sent; often empty.
    :ivar minor: 0 for HTTP/1.0, 1 for HTTP/1.1 and for a later minor version.
    :ivar fields: names and values in order; names in the case they were sent.
    :ivar content_length: bytes, None without the field; no body need follow, see ``framing``.
    :ivar chunked: Transfer-Encoding is chunked; no body need follow.
    :ivar keep_alive: the connection may be used again after the message.
    :ivar framing: how the body ends: NONE, LENGTH, CHUNKED or CLOSE.
    :ivar options: the Connection options in lower case.
    :ivar raw: the head as it was sent. What begins with the same bytes in answer to the same method has this head.
    :ivar method: of the request.
    :ivar notes: what others have derived of the fields, by whatever key they like.
    """

    __slots__ = (
        "chunked",
        "content_length",
        "fields",
        "framing",
        "keep_alive",
        "method",
        "minor",
        "notes",
        "options",
        "raw",
        "reason",
        "status",
    )

    def __init__(
        self,
        status: int,
        reason: bytes,
        minor: int,
        fields: Fields,
        content_length: int | None,
        chunked: bool,
        keep_alive: bool,
        framing: int,
        options: tuple[bytes, ...],
        raw: bytes = b"",
        method: bytes = b"",
    ) -> None:
        self.status = status
        self.reason = reason
        self.minor = minor
        self.fields = fields
        self.content_length = content_length
        self.chunked = chunked
        self.keep_alive = keep_alive
        self.framing = framing
        self.options = options
        self.raw = raw
        self.method = method
        self.notes: dict[object, Any] = {}


def find_response_head(buffer: Buffer, limits: HeadLimits, searched: int = 0) -> int:
    """
    As :func:`~apigw.http1.head.find_head`, for a response: no empty line comes before it.

    :raises BadMessage: with status 502.
    """
    if not b"HTTP/1.".startswith(buffer[:7]):
        raise BadMessage(502, "bad-status-line", "The response does not begin with HTTP/1.")
    return find_section(buffer, limits, searched, 2, 502)


def parse_response_head(head: bytes, method: bytes) -> ResponseHead:
    """
    :param head: all that :func:`find_response_head` has found the end of.
    :param method: of the request that this answers.
    :raises BadMessage: with status 502.
    """
    match = _STATUS_LINE.match(head)
    if match is None:
        raise _bad_status_line(head)
    digit, code, reason = match.groups()
    minor = 0 if digit == b"0" else 1
    status = int(code)
    fields = parse_fields(head, match.end(), 502)
    special = special_fields(fields, _SPECIAL)
    length, chunked = parse_framing(special, minor, 502)
    options: tuple[bytes, ...] = ()
    if b"connection" in special:
        options = parse_connection(special[b"connection"], 502)
    keep_alive = persists(minor, options)

    if status < 200 or status == 204:
        if chunked or length:
            # It must not be so (RFC 9110 section 8.6, RFC 9112 section 6.1), and there are servers that then
            # send one.
            raise BadMessage(502, "unexpected-body", "A response that has no body announces one.")
        if not minor and status < 200:
            # HTTP/1.0 has none (RFC 9110 section 15.2), so it may be the final answer, up to the close.
            raise BadMessage(502, "informational-in-http10", "HTTP/1.0 has no 1xx responses.")
        framing = NONE
        if status == 101:
            keep_alive = False
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
    return ResponseHead(status, reason, minor, fields, length, chunked, keep_alive, framing, options, head, method)


def switch(head: ResponseHead, offered: Collection[bytes]) -> None:
    """
    :param head: of a 101; becomes that of all that follows up to the close.
    :param offered: names of protocols, in lower case, that the request had in Upgrade.
    :raises BadMessage: the peer has switched to what was not offered, or doesn't say to what (RFC 9110 section 7.8).
    """
    chosen = [value.strip().lower() for name, value in head.fields if name.lower() == b"upgrade"]
    if len(chosen) != 1 or chosen[0] not in offered or b"upgrade" not in head.options:
        raise BadMessage(502, "bad-upgrade", "A 101 answer doesn't name one protocol that was offered.")
    head.framing = CLOSE


def serialize_response_head(
    status: int, reason: bytes, fields: Iterable[tuple[bytes, bytes]], lines: bytes = b""
) -> bytes:
    """
    The head of a response, in HTTP/1.1.

    :param fields: names are tokens: of a parsed message, or see :func:`~apigw.http1.fields.check_fields`.
    :param lines: more fields, of :func:`~apigw.http1.fields.wire_lines`.
    :raises ValueError: a control byte is in the reason or in a field.
    """
    return serialize_head(b"HTTP/1.1 %d %b" % (status, reason), fields, lines)


def _bad_status_line(head: bytes) -> BadMessage:
    line = head.partition(b"\r\n")[0]
    return bad_byte(line, 502) or BadMessage(
        502, "bad-status-line", "The response does not begin with a status line of HTTP/1.1 or 1.0."
    )
