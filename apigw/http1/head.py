"""Where a head ends, and how large it may be."""

from __future__ import annotations

import re

from attrs import frozen

from apigw.http1.errors import BadMessage
from apigw.http1.fields import TEXT, bad_byte

Buffer = bytes | bytearray


@frozen
class HeadLimits:
    """
    :ivar size: bytes of a head or a trailer section, with its empty line.
    :ivar line: bytes of a request line; RFC 9112 section 3 asks for 8000 at least.
    :ivar fields: field lines; 100 as in Apache's LimitRequestFields.
    """

    size: int = 16384
    line: int = 8192
    fields: int = 100


_LEAST_FIELD = len(b"a:\r\n")
_VERSION = re.compile(rb" HTTP/[0-9]\.[0-9]")


def find_head(buffer: Buffer, limits: HeadLimits, searched: int = 0) -> int:
    """
    Find the end of the first request head in ``buffer``.

    One empty line before it is taken as part of it (RFC 9112 section 2.2).

    :param searched: how many bytes of ``buffer`` an earlier call has seen, so that a dripped head is searched
        once.
    :return: the index after the empty line at its end, -1 while that isn't there.
    :raises BadMessage: 414 or 431 over a limit; 400 once what is there can't become a head any more.
    """
    end = buffer.find(b"\r\n\r\n", searched - 3 if searched > 3 else 0) + 4
    if end < 4:
        _check_bytes(buffer, searched, 400)
        _check_request_line(buffer, limits, searched)
    elif end > limits.line:
        _check_request_line(buffer, limits, end)
    return _within(buffer, limits, end, 2, 400)


def find_section(buffer: Buffer, limits: HeadLimits, searched: int, other_lines: int, status: int) -> int:
    """
    As :func:`find_head`, for what has no request line: the head of a response, a trailer section.

    :param other_lines: how many lines, the empty one at the end among them, are no fields.
    :param status: what a refusal carries; where it is 400, a section over its limits gets 431.
    """
    end = buffer.find(b"\r\n\r\n", searched - 3 if searched > 3 else 0) + 4
    if end < 4:
        _check_bytes(buffer, searched, status)
    return _within(buffer, limits, end, other_lines, status)


def _within(buffer: Buffer, limits: HeadLimits, end: int, other_lines: int, status: int) -> int:
    """:return: ``end``, or -1 where that is less than four."""
    size = end if end >= 4 else len(buffer)
    if size > limits.size:
        raise BadMessage(
            431 if status == 400 else status,
            "head-too-large",
            f"The head or the trailer section is larger than {limits.size} bytes.",
        )
    # From 2, for a head may have an empty line before it and a trailer section begins after one.
    if size > limits.fields * _LEAST_FIELD and buffer.count(b"\n", 2, size) > limits.fields + other_lines:
        raise BadMessage(
            431 if status == 400 else status,
            "too-many-fields",
            f"The head or the trailer section has more than {limits.fields} fields.",
        )
    return end if end >= 4 else -1


def _check_bytes(buffer: Buffer, searched: int, status: int) -> None:
    """Refuse a byte that no head may have, and a CR or LF by itself, in the bytes not seen before."""
    part = bytes(buffer[searched - 1 if searched and buffer[searched - 1] == 13 else searched :])
    part = part.removesuffix(b"\r")
    if part.translate(None, TEXT) != b"\r\n" * part.count(b"\r\n"):
        for line in part.split(b"\r\n"):
            error = bad_byte(line, status)
            if error is not None:
                raise error


def _check_request_line(buffer: Buffer, limits: HeadLimits, searched: int) -> None:
    """Refuse a line that is too long or, once it is complete, that doesn't end as a request line does."""
    start = 2 if buffer.startswith(b"\r\n") else 0
    end = buffer.find(b"\r\n", start, start + limits.line + 2)
    if end < 0:
        if len(buffer) >= start + limits.line + 2:
            raise BadMessage(414, "line-too-long", f"The request line is longer than {limits.line} bytes.")
    elif end + 2 > searched and _VERSION.fullmatch(buffer, end - 9, end) is None:
        raise BadMessage(400, "bad-version", "The request line does not end with a version of HTTP.")
