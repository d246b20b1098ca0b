"""
Where a request comes from, as far as trusted proxies tell, and what services are told of it.

Lists of hops are walked from the right, the side that our own proxies wrote; the leftmost entry is whatever a client
cared to send.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from attrs import frozen

Field = tuple[bytes, bytes]
Network = IPv4Network | IPv6Network

MAX_HOPS = 64
"""Hops looked at; a longer list is an attack."""

MAX_VIA = 2048
"""Bytes of a Via value that are passed on."""

_ELEMENT = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";,=]+))\s*')
_HOST = re.compile(rb"[A-Za-z0-9._~-]{1,255}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?").fullmatch


@frozen
class Origin:
    """
    :ivar ip: the client's address, as text; empty for a UNIX socket.
    :ivar trusted: the connection comes from a trusted proxy, so what it says was believed.
    :ivar hops: X-Forwarded-For as the trusted proxy sent it, else empty.
    :ivar forwarded: Forwarded, likewise.
    :ivar proto: ``http`` or ``https`` as the client used it, None where nobody says so.
    :ivar host: authority that the client asked for, None where nobody says so.
    """

    ip: str
    trusted: bool = False
    hops: bytes = b""
    forwarded: bytes = b""
    proto: bytes | None = None
    host: bytes | None = None


def canonical_ip(text: str) -> str | None:
    """
    The address in its shortest form, an IPv4-mapped one as IPv4, without port and brackets.

    :return: None where it isn't an address.
    """
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
    return str(address)


class Forwarding:
    """:param trusted: networks whose word counts; a UNIX socket's peer is trusted when any is configured."""

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted)
        self.trusts = lru_cache(maxsize=4096)(self._trusts)

    def _trusts(self, host: str) -> bool:
        if not host:
            return bool(self._trusted)
        text = canonical_ip(host)
        if text is None:
            return False
        address = ip_address(text)
        return any(address in network for network in self._trusted if network.version == address.version)

    def origin(self, peer: str, fields: Sequence[Field]) -> Origin:
        """
        :param peer: the address of the connection, empty for a UNIX socket.
        :param fields: of the request.
        """
        if not self._trusted or not self.trusts(peer):
            return Origin(peer)
        wanted: dict[bytes, list[bytes]] = {
            b"x-forwarded-for": [],
            b"forwarded": [],
            b"x-forwarded-proto": [],
            b"x-forwarded-host": [],
        }
        for name, value in fields:
            values = wanted.get(name.lower())
            if values is not None:
                values.append(value)
        hops = b", ".join(wanted[b"x-forwarded-for"])
        forwarded = b", ".join(wanted[b"forwarded"])
        elements = parse_forwarded(forwarded.decode("latin-1")) if forwarded else []
        if hops:
            chain = [hop.strip() for hop in hops.decode("latin-1").split(",")]
        else:
            chain = [element.get("for", "") for element in elements]
        ip = peer
        for hop in reversed(chain[-MAX_HOPS:]):
            address = canonical_ip(hop)
            if address is None:
                break
            ip = address
            if not self.trusts(ip):
                break
        proto = _last(wanted[b"x-forwarded-proto"])
        host = _last(wanted[b"x-forwarded-host"])
        if proto is None and elements:
            proto = elements[-1].get("proto", "").encode("latin-1") or None
        if host is None and elements:
            host = elements[-1].get("host", "").encode("latin-1") or None
        if proto is not None:
            proto = proto.lower() if proto.lower() in (b"http", b"https") else None
        if host is not None and _HOST(host) is None:
            host = None
        return Origin(ip, True, hops, forwarded, proto, host)


def forwarding_fields(origin: Origin, peer: str, scheme: bytes, authority: bytes) -> list[Field]:
    """
    X-Forwarded-For, -Proto and -Host, and Forwarded (RFC 7239), for the service.

    :param peer: the address of the connection: the last hop, which the gateway itself has seen.
    """
    hop = peer.encode("ascii") or b"unix"
    proto = origin.proto or scheme
    host = origin.host or authority
    node = b'"[%b]"' % hop if b":" in hop else hop if peer else b"unknown"
    element = b'for=%b;host="%b";proto=%b' % (node, host, proto) if host else b"for=%b;proto=%b" % (node, proto)
    fields = [
        (b"X-Forwarded-For", b"%b, %b" % (origin.hops, hop) if origin.hops else hop),
        (b"X-Forwarded-Proto", proto),
        (b"Forwarded", b"%b, %b" % (origin.forwarded, element) if origin.forwarded else element),
    ]
    if host:
        fields.append((b"X-Forwarded-Host", host))
    return fields


def parse_forwarded(value: str) -> list[dict[str, str]]:
    """
    The elements of Forwarded, in order, with lower-cased parameter names (RFC 7239 section 4).

    :return: nothing where the value is malformed: half a truth is not to be trusted.
    """
    elements: list[dict[str, str]] = [{}]
    at = 0
    while at < len(value):
        name = _ELEMENT.match(value, at)
        if name is None or name[2] is None or not value.startswith("=", name.end()):
            return []
        found = _ELEMENT.match(value, name.end() + 1)
        if found is None:
            return []
        text = re.sub(r"\\(.)", r"\1", found[1]) if found[1] is not None else found[2]
        elements[-1].setdefault(name[2].lower(), text)
        at = found.end()
        if at < len(value):
            if value[at] == ",":
                elements.append({})
            elif value[at] != ";":
                return []
            at += 1
    return elements if elements[-1] else []


def via(received: Iterable[Field], version: bytes, pseudonym: bytes) -> bytes:
    """
    The Via value to send on (RFC 9110 section 7.6.3).

    :param version: of the message as it was received, such as ``1.1``.
    """
    earlier = b", ".join([value for name, value in received if len(name) == 3 and name.lower() == b"via"])
    own = b"%b %b" % (version, pseudonym)
    return b"%b, %b" % (earlier[-MAX_VIA:], own) if earlier else own


def loops(received: Iterable[Field], pseudonym: bytes) -> bool:
    """Whether a Via field says that the request has been here before."""
    for name, value in received:
        if len(name) == 3 and name.lower() == b"via" and pseudonym in value:
            for entry in value.split(b","):
                parts = entry.split(None, 2)
                if len(parts) >= 2 and parts[1] == pseudonym:
                    return True
    return False


def _last(values: list[bytes]) -> bytes | None:
    return values[-1].rpartition(b",")[2].strip() if values else None
