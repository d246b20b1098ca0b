"""The grammar that both directions share: field lines, Content-Length, Connection."""

from __future__ import annotations

import re
from collections.abc import Iterable

from apigw.http1.errors import BadMessage

Fields = list[tuple[bytes, bytes]]

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
"""One character of a token (RFC 9110 section 5.6.2)."""

_FIELD_LINE = re.compile(
    rb"\r\n(" + TOKEN + rb"+):[ \t]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*(?=\r\n)"
)
"""
One field line, from the CRLF before it up to the CRLF after it (RFC 9112 section 5). It matches whole lines or nothing,
and takes linear time on any input: each repetition ends at a character that the next one can't begin with, or
gives characters back one by one, never in combination.
"""

_is_token = re.compile(TOKEN + rb"+").fullmatch
_is_field_value = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?").fullmatch
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

MAX_LENGTH = 2**63 - 1
"""The longest body: what a signed 64-bit offset holds, as in nginx, HAProxy and Go."""

CLOSE = (b"close",)
KEEP_ALIVE = (b"keep-alive",)

_USUAL_OPTIONS: dict[bytes, tuple[bytes, ...]] = {
    b"close": CLOSE,
    b"Close": CLOSE,
    b"keep-alive": KEEP_ALIVE,
    b"Keep-Alive": KEEP_ALIVE,
    b"Upgrade": (b"upgrade",),
    b"upgrade": (b"upgrade",),
}


def is_token(value: bytes) -> bool:
    """Whether ``value`` is a token: a method, a field name, a connection option (RFC 9110 section 5.6.2)."""
    return _is_token(value) is not None


def is_field_value(value: bytes) -> bool:
    """Whether ``value`` is a field value: no control byte but HTAB, no space at either end (RFC 9110 section 5.5)."""
    return _is_field_value(value) is not None


def check_fields(fields: Iterable[tuple[bytes, bytes]]) -> None:
    """
    Make sure that fields can be serialised; for values that come from elsewhere than a parsed message.

    :raises ValueError: a name is no token, or a value has a control byte or a space at an end.
    """
    for name, value in fields:
        if _is_token(name) is None:
            raise ValueError(f"not a field name: {name!r}")
        if _is_field_value(value) is None:
            raise ValueError(f"not a value for the field {name.decode('ascii')}")


def parse_fields(head: bytes, start: int, status: int) -> Fields:
    """
    All field lines of a head, or of a trailer section.

    :param head: ends with an empty line.
    :param start: index of the CRLF before the first field line.
    :param status: what a refusal carries, 400 or 502.
    :return: names as sent and values without the white space around them, in order.
    :raises BadMessage: some line isn't a field line.
    """
    fields: Fields = _FIELD_LINE.findall(head, start)
    # Each match takes one line feed as its first bytes. When only the two of the empty line are left, each line matched.
    if head.count(b"\n", start) != len(fields) + 2 or not head.endswith(b"\r\n\r\n"):
        raise _bad_line(head, start, status)
    return fields


def _bad_line(head: bytes, start: int, status: int) -> BadMessage:
    """Say what is wrong with the first line that isn't a field line."""
    if not head.endswith(b"\r\n\r\n"):
        return BadMessage(status, "bad-head", "The head does not end with an empty line.")
    for line in head[start + 2 : -4].split(b"\r\n"):
        error = bad_bytes(line, status)
        if error is not None:
            return error
        if line[:1] in (b" ", b"\t"):
            return BadMessage(status, "obs-fold", "A field line begins with white space.")
        name, colon, _ = line.partition(b":")
        if not colon:
            return BadMessage(status, "bad-field-line", "A field line has no colon.")
        if name[-1:] in (b" ", b"\t"):
            return BadMessage(
                status, "space-before-colon", "There is white space between a field name and the colon."
            )
        if _is_token(name) is None:
            return BadMessage(
                status, "bad-field-name", "A field name is empty or has a character that none may have."
            )
        if _CONTROL.search(line):
            return BadMessage(status, "bad-field-value", "A field value has a control character.")
    return BadMessage(status, "bad-head", "The head does not end at its first empty line.")


def bad_bytes(line: bytes, status: int) -> BadMessage | None:
    """The refusal that a line feed, carriage return or NUL within ``line`` calls for (RFC 9112 section 2.2)."""
    if b"\n" in line:
        return BadMessage(status, "bare-lf", "A line feed has no carriage return before it.")
    if b"\r" in line:
        return BadMessage(status, "bare-cr", "A carriage return has no line feed after it.")
    if b"\0" in line:
        return BadMessage(status, "nul", "The head has a NUL byte.")
    return None


def parse_content_length(value: bytes, status: int) -> int:
    """
    :param value: of the field, or of all fields of that name joined by commas, which is refused.
    :raises BadMessage: anything but one decimal number up to :data:`MAX_LENGTH`.

    Source: RFC 9110 section 8.6. A list of equal numbers may be taken or refused; it is refused, as by nginx.
    """
    if value.isdigit() and len(value) <= 19:  # bytes.isdigit knows ASCII digits only
        length = int(value)
        if length <= MAX_LENGTH:
            return length
    raise BadMessage(status, "bad-content-length", "Content-Length is not one decimal number below 2^63.")


def connection_options(value: bytes, status: int) -> tuple[bytes, ...]:
    """
    The options of a Connection field, lower-cased; empty list elements are skipped (RFC 9110 sections 5.6.1.2, 7.6.1).

    :raises BadMessage: an option is no token.
    """
    usual = _USUAL_OPTIONS.get(value)
    if usual is not None:
        return usual
    options = []
    for element in value.lower().split(b","):
        option = element.strip(b" \t")
        if option:
            if _is_token(option) is None:
                raise BadMessage(status, "bad-connection", "Connection has something that is no option name.")
            options.append(option)
    return tuple(options)
