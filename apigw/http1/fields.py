"""Field lines, read and written: what requests, responses and trailers share (RFC 9112 section 5)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from apigw.http1.errors import BadMessage

Fields = list[tuple[bytes, bytes]]
"""Names and values in order: names in the case they were sent, values without the white space around them."""

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
"""One character of a token (RFC 9110 section 5.6.2)."""

TEXT = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""All bytes that a line may have: HTAB, SP, VCHAR and obs-text (RFC 9110 section 5.5)."""

_VALUE = rb"(?![ \t])[\t -~\x80-\xff]*(?<![ \t])"

_FIELD_LINE = re.compile(rb"\r\n(" + TOKEN + rb"+):[ \t]*(?:(" + _VALUE + rb")[ \t]*)?(?=\r\n)")
"""
A field line, from the CRLF before it up to the one after it (RFC 9112 section 5).

Takes linear time on any input: a value neither begins nor ends with white space, so no run of that can be shared
out between two repetitions in more than one way.
"""

_is_token = re.compile(TOKEN + rb"+").fullmatch
_is_value = re.compile(_VALUE).fullmatch


def is_token(value: bytes) -> bool:
    """Whether ``value`` is a token: a method, a field name, a connection option (RFC 9110 section 5.6.2)."""
    return _is_token(value) is not None


def is_field_value(value: bytes) -> bool:
    """Whether ``value`` has no control byte but HTAB, and no white space around it (RFC 9110 section 5.5)."""
    return _is_value(value) is not None


def check_fields(fields: Iterable[tuple[bytes, bytes]]) -> None:
    """
    Make sure that fields which come from elsewhere than a parsed message can be sent.

    :raises ValueError: a name is no token, or a value no field value.
    """
    for name, value in fields:
        if not is_token(name):
            raise ValueError(f"not a field name: {name!r}")
        if not is_field_value(value):
            raise ValueError(f"not a value for the field {name.decode('ascii')}")


def wire_lines(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """
    Field lines as they go on the wire, each with its line end, to be put into a head later.

    :raises ValueError: a control byte but HTAB is in a name or a value.
    """
    return serialize_head(b"", fields)[2:-2]


def serialize_head(start_line: bytes, fields: Iterable[tuple[bytes, bytes]], lines: bytes = b"") -> bytes:
    """
    A head with its empty line.

    :param lines: more fields, of :func:`wire_lines`.

    That nothing splits the message is checked, which takes 0.3 us. That names are tokens is not: on the hot
    path they come from a parser.

    :raises ValueError: a control byte but HTAB is in the start line, a name or a value.
    """
    pieces = [start_line, *map(b": ".join, fields), b""]
    head = b"\r\n".join(pieces)
    if head.translate(None, TEXT) != b"\r\n" * (len(pieces) - 1):
        raise ValueError("a control character in a start line or a field")
    return head + lines + b"\r\n"


def parse_fields(head: bytes, start: int, status: int) -> Fields:
    """
    All field lines of a head or of a trailer section.

    :param head: with the empty line at its end.
    :param start: index of the CRLF before the first field line.
    :param status: what a refusal carries, 400 or 502.
    :raises BadMessage: a line is no field line, or the first empty line isn't at the end.
    """
    fields: Fields = _FIELD_LINE.findall(head, start)
    # Each match has a line feed of its own. Where but the last two are left over, each line has matched.
    if head.count(b"\n", start) != len(fields) + 2 or not head.endswith(b"\r\n\r\n"):
        raise _bad_fields(head, start, status)
    return fields


def special_fields(fields: Fields, names: frozenset[bytes]) -> dict[bytes, bytes]:
    """
    The fields of those names, by lower-cased name; repeated ones joined by commas (RFC 9110 section 5.3).

    A field that may come once only then fails by its own grammar, for none of these allows a comma.
    """
    found: dict[bytes, bytes] = {}
    for name, value in fields:
        name = name.lower()
        if name in names:
            found[name] = found[name] + b", " + value if name in found else value
    return found


def bad_byte(line: bytes, status: int) -> BadMessage | None:
    """The refusal for a byte that no line may have; a bare CR or LF is one (RFC 9112 section 2.2)."""
    if b"\n" in line:
        return BadMessage(status, "bare-lf", "A line feed has no carriage return before it.")
    if b"\r" in line:
        return BadMessage(status, "bare-cr", "A carriage return has no line feed after it.")
    if line.translate(None, TEXT):
        return BadMessage(status, "control-character", "The message has a control character.")
    return None


def _bad_fields(head: bytes, start: int, status: int) -> BadMessage:
    """Say what is wrong with the first line that isn't a field line."""
    for line in head[start + 2 :].removesuffix(b"\r\n\r\n").split(b"\r\n"):
        error = bad_byte(line, status)
        if error is not None:
            return error
        if line[:1] in (b" ", b"\t"):
            return BadMessage(status, "obs-fold", "A field line begins with white space.")
        name, colon, _ = line.partition(b":")
        if not colon:
            return BadMessage(status, "bad-field-line", "A line is not a field, for it has no colon.")
        if name[-1:] in (b" ", b"\t"):
            return BadMessage(status, "space-before-colon", "A field name has white space before its colon.")
        if not is_token(name):
            return BadMessage(status, "bad-field-name", "A field name is empty or has a character that it must not.")
    return BadMessage(status, "bad-head", "The head does not end with its first empty line.")
