"""
Where a request comes from, as far as trusted proxies tell, and what services are told of it.

Lists of hops are walked from the right, the side that our own proxies wrote; the leftmost entry is whatever a client
cared to send.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network

from attrs import define

Field = tuple[bytes, bytes]
Network = IPv4Network | IPv6Network

MAX_HOPS = 64
"""Hops looked at; a longer list is an attack."""

MAX_VIA = 2048
"""Bytes of Via that are passed on, the latest entries."""

MAX_NODE = 56
"""Characters of a hop: an IPv6 address with brackets and a port has 53."""

CACHED = 4096
"""Addresses that are kept with the verdict on them."""

Prefixes = dict[tuple[int, int], set[int]]
"""
Networks by the version of the address and the bits that don't count: a look-up costs the number of lengths, not of
networks.
"""

_is_host = re.compile(rb"[A-Za-z0-9._~-]{1,255}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?").fullmatch
_node = re.compile(r"([0-9.]{7,15})(?::[0-9]{1,5})?|\[([0-9A-Fa-f]*:[0-9A-Fa-f:.]{1,44})\](?::[0-9]{1,5})?").fullmatch
_pair = re.compile(
    r"""[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^ \t";,=]+))[ \t]*([;,]|\Z)"""
).match
_gap = re.compile(r"[ \t]*(?:,[ \t]*)*").match


@define
class Origin:
    """
    :ivar ip: the client's address in its shortest form; empty where it comes by a UNIX socket.
    :ivar hops: what X-Forwarded-For says before the gateway's own entry.
    :ivar forwarded: the same for Forwarded.
    :ivar proto: ``http`` or ``https`` as the client used it, None where nobody says so.
    :ivar host: authority that the client asked for, None where nobody says so.
    """

    ip: str
    hops: bytes = b""
    forwarded: bytes = b""
    proto: bytes | None = None
    host: bytes | None = None


def canonical_ip(text: str) -> str | None:
    """
    The address in its shortest form, an IPv4-mapped one as IPv4; without port, brackets and zone.

    :return: None where it isn't an address.
    """
    node = _node(text)
    if node is not None:
        text = node[1] or node[2]
    try:
        if ":" not in text:
            return str(IPv4Address(text))
        address = IPv6Address(text.partition("%")[0])
    except AddressValueError:
        return None
    return str(address.ipv4_mapped or address)


def _verdict(prefixes: Prefixes, text: str) -> tuple[str, bool] | None:
    """The address in its shortest form, and whether it is trusted; None where it isn't one."""
    ip = canonical_ip(text)
    if ip is None:
        return None
    version = 6 if ":" in ip else 4
    value = int(IPv6Address(ip) if version == 6 else IPv4Address(ip))
    return ip, any(value >> shift in networks for (one, shift), networks in prefixes.items() if one == version)


class Forwarding:
    """:param trusted: networks whose word counts; a UNIX socket's peer is trusted when any is configured."""

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._prefixes: Prefixes = {}
        for network in trusted:
            address, length = network.network_address, network.prefixlen
            if isinstance(address, IPv6Address) and address.ipv4_mapped is not None and length >= 96:
                address, length = address.ipv4_mapped, length - 96
            shift = address.max_prefixlen - length
            self._prefixes.setdefault((address.version, shift), set()).add(int(address) >> shift)
        self._known = lru_cache(maxsize=CACHED)(partial(_verdict, self._prefixes))

    def _look(self, text: str) -> tuple[str, bool] | None:
        return self._known(text) if len(text) <= MAX_NODE else None

    def trusts(self, host: str) -> bool:
        """:param host: an address as text, empty for a UNIX socket."""
        if not host:
            return bool(self._prefixes)
        known = self._look(host)
        return known is not None and known[1]

    def origin(self, peer: str, fields: Sequence[Field]) -> Origin:
        """
        Who sent a request: what the last proxy that is trusted has seen.

        :param peer: the address of the connection, empty for a UNIX socket.
        :param fields: of the request; not looked at where the peer isn't trusted, 0.3 us then.
        """
        if ":" in peer:
            peer = canonical_ip(peer) or peer
        if not self._prefixes or not self.trusts(peer):
            return Origin(peer)
        found: dict[bytes, list[bytes]] = {
            b"x-forwarded-for": [],
            b"forwarded": [],
            b"x-forwarded-proto": [],
            b"x-forwarded-host": [],
        }
        for name, value in fields:
            values = found.get(name.lower())
            if values is not None:
                values.append(value)
        elements, forwarded = _elements(found[b"forwarded"])
        chain = [element.get("for", "") for element in elements]
        hops = b", ".join(found[b"x-forwarded-for"])
        if hops:
            named = [hop.strip() for hop in hops.decode("latin-1").split(",")]
            # A proxy that writes one of the two may pass on the other as its client sent it.
            if elements and self._look(named[-1]) != self._look(chain[-1]):
                elements, forwarded = [], b""
            chain = named
        ip, place = self._walk(peer, chain)
        proto = _at(found[b"x-forwarded-proto"], place, len(chain))
        host = _at(found[b"x-forwarded-host"], place, len(chain))
        if elements:
            element = elements[place if len(elements) == len(chain) else -1]
            proto = proto or element.get("proto", "").encode("latin-1")
            host = host or element.get("host", "").encode("latin-1")
        proto = proto.lower() if proto is not None and proto.lower() in (b"http", b"https") else None
        host = host if host is not None and _is_host(host) else None
        if ip != peer:
            hops = hops or ip.encode("ascii")
            forwarded = forwarded or _element(ip, host, proto)
        return Origin(ip, hops, forwarded, proto, host)

    def _walk(self, peer: str, chain: list[str]) -> tuple[str, int]:
        """The address behind the last trusted hop, and its place in the chain, or the last place."""
        ip, place = peer, len(chain) - 1
        for index in range(len(chain) - 1, max(-1, len(chain) - 1 - MAX_HOPS), -1):
            known = self._look(chain[index])
            if known is None:
                break
            ip, place = known[0], index
            if not known[1]:
                break
        return ip, place


def forwarding_fields(origin: Origin, peer: str, scheme: bytes, authority: bytes) -> list[Field]:
    """
    X-Forwarded-For, -Proto and -Host, and Forwarded (RFC 7239), for the service.

    :param peer: the address of the connection: the last hop, which the gateway itself has seen.
    :param scheme: ``http`` or ``https``, of the connection.
    :param authority: host and port as the request has them, valid; may be empty.
    """
    if ":" in peer:
        peer = canonical_ip(peer) or peer
    element = _element(peer, authority, scheme)
    fields = [
        (b"X-Forwarded-Proto", origin.proto or scheme),
        (b"Forwarded", b"%b, %b" % (origin.forwarded, element) if origin.forwarded else element),
    ]
    if peer:
        hop = peer.encode("ascii")
        fields.append((b"X-Forwarded-For", b"%b, %b" % (origin.hops, hop) if origin.hops else hop))
    elif origin.hops:
        fields.append((b"X-Forwarded-For", origin.hops))
    host = origin.host or authority
    if host:
        fields.append((b"X-Forwarded-Host", host))
    return fields


def _element(ip: str, host: bytes | None, proto: bytes | None) -> bytes:
    """One element of Forwarded."""
    node = f'"[{ip}]"' if ":" in ip else ip or "unknown"
    made = b"for=" + node.encode("ascii")
    if host:
        made += b';host="%b"' % host
    return made + b";proto=" + proto if proto else made


def _at(values: list[bytes], place: int, length: int) -> bytes | None:
    """The entry at a place of the chain, or the last one where the list isn't as long as the chain."""
    if not values:
        return None
    entries = b",".join(values).split(b",")
    return entries[place if len(entries) == length else -1].strip()


def _elements(values: list[bytes]) -> tuple[list[dict[str, str]], bytes]:
    """What Forwarded says: its elements, and the value to pass on. The later fields, up to a malformed one."""
    elements: list[dict[str, str]] = []
    kept: list[bytes] = []
    for value in reversed(values):
        parsed = parse_forwarded(value.decode("latin-1"))
        if parsed is None:
            # A client may have left a quote open before the proxy wrote its own element.
            value = value.rpartition(b",")[2].strip()
            last = parse_forwarded(value.decode("latin-1"))
            if last:
                elements, kept = last + elements, [value, *kept]
            break
        if parsed:
            elements, kept = parsed + elements, [value, *kept]
    return elements, b", ".join(kept)


def parse_forwarded(value: str) -> list[dict[str, str]] | None:
    """
    The elements of Forwarded, in order, with lower-cased parameter names (RFC 7239 section 4).

    Unquoted addresses with a port are taken too, as some proxies write them.

    :return: None where the value is malformed.
    """
    elements: list[dict[str, str]] = []
    element: dict[str, str] = {}
    at = _skip(value, 0)
    while at < len(value):
        pair = _pair(value, at)
        if pair is None or pair[1].lower() in element:
            return None
        quoted = pair[2]
        element[pair[1].lower()] = pair[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        at = pair.end()
        if pair[4] == ";":
            if at == len(value):
                return None
            continue
        elements.append(element)
        element = {}
        at = _skip(value, at)
    return elements


def _skip(value: str, at: int) -> int:
    """Where the next element begins: empty ones don't count (RFC 9110 section 5.6.1.2)."""
    gap = _gap(value, at)
    return gap.end() if gap else at


def via(received: Iterable[Field], version: bytes, pseudonym: bytes) -> bytes:
    """
    The Via value to send on (RFC 9110 section 7.6.3).

    :param version: of the message as it was received, such as ``1.1``.
    """
    earlier = b", ".join([value for name, value in received if len(name) == 3 and name.lower() == b"via"])
    own = b"%b %b" % (version, pseudonym)
    if len(earlier) > MAX_VIA:
        earlier = earlier[-MAX_VIA:].partition(b",")[2].strip()
    return b"%b, %b" % (earlier, own) if earlier else own


def loops(received: Iterable[Field], pseudonym: bytes, times: int = 1) -> bool:
    """
    Whether Via says that the request has been here before.

    :param pseudonym: of this instance alone.
    :param times: how often it must have been here to count as a loop.
    """
    for name, value in received:
        if len(name) == 3 and name.lower() == b"via" and pseudonym in value:
            for entry in value.split(b","):
                parts = entry.split(None, 2)
                times -= len(parts) >= 2 and parts[1] == pseudonym
    return times <= 0
