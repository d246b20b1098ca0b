"""
The header by which a proxy that passes on connections tells whose they are.

Source: HAProxy, doc/proxy-protocol.txt, sections 2.1 (version 1, text) and 2.2 (version 2, binary).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from attrs import frozen

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
"""How version 2 begins."""

WORD = b"PROXY "
"""How version 1 begins."""

MAX_LINE = 107
"""Bytes of a header of version 1, its CRLF included."""

MAX_BLOCK = 4096
"""Bytes that follow the first 16 of version 2; what proxies send besides addresses takes a few hundred."""

_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n").fullmatch
_LINE = re.compile(
    rb"PROXY TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n"
).fullmatch

_LOCAL, _PROXY = 0x20, 0x21
_LENGTHS = {0x10: 12, 0x20: 36, 0x30: 216}
"""Bytes of addresses and ports by family: IPv4, IPv6, UNIX."""


class BadProxyHeader(ValueError):
    """What came is no such header."""


@frozen
class ProxyHeader:
    """
    :ivar size: bytes that it took.
    :ivar host: the client's address, in its shortest form; None where the connection is the proxy's own, or comes from
        a client without one.
    :ivar port: the client's.
    """

    size: int
    host: str | None = None
    port: int = 0


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """
    Read the header at the beginning of ``data``.

    :return: None while more is needed.
    :raises BadProxyHeader: there is none, and nothing that could follow would make one.
    """
    if data.startswith(SIGNATURE):
        return _binary(data)
    if data.startswith(WORD):
        return _text(data)
    if data and not (SIGNATURE.startswith(data) or WORD.startswith(data)):
        raise BadProxyHeader("no PROXY header")
    return None


def _text(data: bytes) -> ProxyHeader | None:
    size = data.find(b"\n", 0, MAX_LINE) + 1
    if not size:
        if len(data) >= MAX_LINE:
            raise BadProxyHeader("a PROXY line without an end")
        return None
    line = data[:size]
    if _UNKNOWN(line):
        return ProxyHeader(size)
    found = _LINE(line)
    if found is None or int(found[4]) > 65535 or int(found[5]) > 65535:
        raise BadProxyHeader("a malformed PROXY line")
    family = IPv4Address if found[1] == b"4" else IPv6Address
    try:
        host, _ = family(found[2].decode()), family(found[3].decode())
    except ValueError:
        raise BadProxyHeader("a PROXY line with a malformed address") from None
    return ProxyHeader(size, str(host), int(found[4]))


def _binary(data: bytes) -> ProxyHeader | None:
    if len(data) < 16:
        return None
    command, family, length = data[12], data[13], int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise BadProxyHeader("a PROXY header of another version")
    if length > MAX_BLOCK:
        raise BadProxyHeader("a PROXY header that is too long")
    if command == _PROXY and length < _LENGTHS.get(family & 0xF0, 0):
        raise BadProxyHeader("a PROXY header without room for its addresses")
    size = 16 + length
    if len(data) < size:
        return None
    if command == _PROXY and family == 0x11:
        return ProxyHeader(size, str(IPv4Address(data[16:20])), int.from_bytes(data[24:26], "big"))
    if command == _PROXY and family == 0x21:
        return ProxyHeader(size, str(IPv6Address(data[16:32])), int.from_bytes(data[48:50], "big"))
    return ProxyHeader(size)
