"""
HPACK, the fields of HTTP/2 on the wire (RFC 7541).

Answers are sent without a table of fields sent before: what is usual takes a byte or two, the rest its length. A table
would save bytes, of which an answer has few there, and cost more time than all else in its head.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from hpack import Decoder, HPACKDecodingError, InvalidTableIndex, OversizedHeaderListError
from hpack.hpack import decode_integer
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from apigw.policy.fields import HOP_BY_HOP

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
"""Bytes of a value, or a line, that is worth to be kept as it is on the wire; there are at most 1,024 of them."""

BLOCKS, BLOCK = 4, 2048
"""Field blocks whose fields a decoder keeps, and their bytes at most: many clients ask for the same again and again."""

LONGS, LONG = 4, 2048
"""Longer texts that a decoder keeps, and their bytes at most: a token, which isn't put into the table, takes 70 us."""

ENTRY = 32
"""What a field counts beyond its bytes (RFC 7541 section 4.1)."""

Fields = list[tuple[bytes, bytes]]


class FieldEncoder:
    """
    In place of ``hpack.Encoder``.

    :ivar header_table_size: what the client would keep; nothing is sent to be kept.
    """

    header_table_size = 0

    def __init__(self) -> None:
        self._start = NO_TABLE

    def head(self, status: int, lines: bytes) -> bytes:
        """
        The field block of an answer.

        :param lines: the fields as HTTP/1.1 has them; those about a connection are left out.
        """
        start, self._start = self._start, b""
        encoded = [_usual_line(line) if len(line) <= KEPT else _line(line) for line in lines.split(b"\r\n")]
        return start + _usual(b":status", b"%d" % status) + b"".join(encoded)

    def encode(self, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
        """A field block; ``fields`` have their names in lower case."""
        start, self._start = self._start, b""
        return start + b"".join(
            [
                _usual(name, value) if len(value) <= KEPT and name not in NEVER_INDEXED else _literal(name, value)
                for name, value in fields
            ]
        )


class FieldDecoder(Decoder):
    """
    As ``hpack.Decoder``, in fewer steps. The fields of a block that has changed nothing in the table are kept until
    something does: the same list is given for the same block, and must not be changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[bytes, Fields] = {}
        self._long: dict[bytes, bytes] = {}

    def decode(self, data: bytes, raw: bool = True) -> Fields:  # type: ignore[override]
        """
        :param raw: for hpack; fields are always bytes.
        :raises HPACKError: the connection has to end, for nothing after it can be read.
        """
        known = self._kept.get(data)
        if known is not None:
            return known
        fields: Fields = []
        at = size = 0
        end = len(data)
        keeps = True
        while at < end:
            first = data[at]
            if first >= 0x80:
                index, at = _number(data, at, 7)
                field = self._entry(index)
            elif first & 0xE0 == 0x20:
                if fields:
                    raise HPACKDecodingError("a table's size changes after a field")
                keeps = False
                at += self._update_encoding_context(data[at : at + 6])
                continue
            else:
                index, at = _number(data, at, 6 if first & 0x40 else 4)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, at = self._string(data, at)
                value, at = self._string(data, at)
                field = name, value
                if first & 0x40:
                    keeps = False
                    self.header_table.add(name, value)
            fields.append(field)
            size += len(field[0]) + len(field[1]) + ENTRY
            if size > self.max_header_list_size:
                raise OversizedHeaderListError(f"fields of more than {self.max_header_list_size} bytes")
        self._assert_valid_table_size()
        if not keeps or len(self._kept) == BLOCKS:
            self._kept.clear()
        if keeps and end <= BLOCK:
            self._kept[data] = fields
        return fields

    def _string(self, data: bytes, at: int) -> tuple[bytes, int]:
        """A string at ``at``, and where it ends (RFC 7541 section 5.2)."""
        size, begin = _number(data, at, 7)
        end = begin + size
        if end > len(data):
            raise HPACKDecodingError("a field block ends within a string")
        text = data[begin:end]
        if data[at] & 0x80:
            text = _short(text) if size <= KEPT else self._plain(text)
        return text, end

    def _plain(self, text: bytes) -> bytes:
        known = self._long.get(text)
        if known is None:
            known = decode_huffman(text)
            if len(text) <= LONG:
                if len(self._long) == LONGS:
                    self._long.clear()
                self._long[text] = known
        return known

    def _entry(self, index: int) -> tuple[bytes, bytes]:
        if 0 < index <= _STATIC:
            return HeaderTable.STATIC_TABLE[index - 1]
        dynamic = self.header_table.dynamic_entries
        if 0 < index <= _STATIC + len(dynamic):
            return dynamic[index - _STATIC - 1]
        raise InvalidTableIndex(f"there is no field {index}")


_STATIC = HeaderTable.STATIC_TABLE_LENGTH


def _number(data: bytes, at: int, bits: int) -> tuple[int, int]:
    """An integer at ``at``, and where it ends (RFC 7541 section 5.1)."""
    most = (1 << bits) - 1
    value = data[at] & most if at < len(data) else most
    if value < most:
        return value, at + 1
    value, used = decode_integer(data[at : at + 6], bits)
    return value, at + used


_short = lru_cache(1024)(decode_huffman)


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


def _line(line: bytes) -> bytes:
    """A field of a line of HTTP/1.1; nothing where it isn't one that goes on."""
    name, colon, value = line.partition(b": ")
    name = name.lower()
    return _literal(name, value) if colon and name not in HOP_BY_HOP else b""


_usual_line = lru_cache(1024)(_line)


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
