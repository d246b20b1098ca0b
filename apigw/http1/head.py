"""Where a head ends, and how large one may be."""

from __future__ import annotations

import re

from attrs import frozen

from apigw.http1.errors import BadMessage
from apigw.http1.fields import bad_bytes


@frozen
class HeadLimits:
    """
    :ivar size: bytes of the whole head.
    :ivar line: bytes of the request line; 8192 is a little over the 8000 octets of RFC 9112 section 3.
    :ivar fields: field lines; nginx and Apache stop at 100 too.
    """

    size: int = 16384
    line: int = 8192
    fields: int = 100


_NOT_IN_A_HEAD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def find_head(buffer: bytes | bytearray, limits: HeadLimits, searched: int = 0) -> int:
    """
    Find the end of the first head in ``buffer``.

    One empty line before it is part of it (RFC 9112 section 2.2); a second is refused.

    :param searched: bytes of ``buffer`` that an earlier call has seen, so that a head that comes byte by byte is
        searched once.
    :return: the index after the empty line, or -1 where that hasn't come yet.
    :raises BadMessage: the head is over a limit or can't become a valid one, as early as that shows.
    """
    end = buffer.find(b"\r\n\r\n", searched - 3 if searched > 3 else 0) + 4
    if end == 3:
        _check_part(buffer, limits, searched)
        return -1
    if end > limits.line or end > limits.fields * 4:
        _check_size(buffer, limits, end)
    return end


def _check_size(buffer: bytes | bytearray, limits: HeadLimits, end: int) -> None:
    start = 2 if buffer.startswith(b"\r\n") else 0
    line = buffer.find(b"\r\n", start, start + limits.line + 2)
    if line < 0 and end - start > limits.line + 1:
        raise BadMessage(414, "line-too-long", f"The request line is longer than {limits.line} bytes.")
    if end > limits.size:
        raise BadMessage(431, "head-too-large", f"The head is larger than {limits.size} bytes.")
    if buffer.count(b"\n", line + 2, end) > limits.fields + 2:
        raise BadMessage(431, "too-many-fields", f"The head has more than {limits.fields} fields.")


def _check_part(buffer: bytes | bytearray, limits: HeadLimits, searched: int) -> None:
    """Refuse the beginning of a head that can't become a valid one."""
    _check_size(buffer, limits, len(buffer))
    start = max(searched - 1, 0)
    part = bytes(buffer[start:])
    if _NOT_IN_A_HEAD.search(part):
        raise BadMessage(400, "bad-head", "The head has a control character.")
    for line in part.removesuffix(b"\r").split(b"\r\n"):
        error = bad_bytes(line, 400)
        if error is not None:
            raise error
