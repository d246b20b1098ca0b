"""
Fields of answers in HPACK without a table of those sent before (RFC 7541): what is usual takes a byte or two, the rest
its length. A table would save bytes, of which an answer has few there, and cost more time than all else in its head.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from hpack.table import HeaderTable

_NAMES: dict[bytes, int] = {}
_FIELDS: dict[tuple[bytes, bytes], bytes] = {}
for _index, (_name, _value) in enumerate(HeaderTable.STATIC_TABLE, 1):
    _NAMES.setdefault(_name, _index)
    if _value:
        _FIELDS[_name, _value] = bytes([0x80 | _index])

NO_TABLE = b"\x20"
"""A table of no bytes (RFC 7541 section 6.3)."""

NEVER_INDEXED = frozenset((b"set-cookie", b"authorization", b"proxy-authorization", b"www-authenticate"))
"""What no table on the way may keep either (RFC 7541 section 7.1.3)."""

KEPT = 64
"""Bytes of a value that is worth to be kept as it is on the wire; there are at most 1,024 of them."""


class FieldEncoder:
    """
    In place of ``hpack.Encoder``.

    :ivar header_table_size: what the client would keep; nothing is sent to be kept.
    """

    header_table_size = 0

    def __init__(self) -> None:
        self._start = NO_TABLE

    def encode(self, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
        """A field block; ``fields`` have their names in lower case."""
        start, self._start = self._start, b""
        return start + b"".join(
            [
                _usual(name, value) if len(value) <= KEPT and name not in NEVER_INDEXED else _literal(name, value)
                for name, value in fields
            ]
        )


def _literal(name: bytes, value: bytes) -> bytes:
    known = _FIELDS.get((name, value))
    if known is not None:
        return known
    first = 0x10 if name in NEVER_INDEXED else 0x00
    index = _NAMES.get(name)
    if index is not None:
        return _integer(first, 4, index) + _integer(0, 7, len(value)) + value
    return bytes([first]) + _integer(0, 7, len(name)) + name + _integer(0, 7, len(value)) + value


_usual = lru_cache(1024)(_literal)


def _integer(first: int, bits: int, value: int) -> bytes:
    """
    RFC 7541 section 5.1.

    :param first: the bits of the first byte that aren't the integer's.
    :param bits: those that are.
    """
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    octets = bytearray([first | most])
    value -= most
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)
