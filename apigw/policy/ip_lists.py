"""Addresses by networks: which are allowed or denied, and which count as one client."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

CLIENT_BITS = 64
"""One IPv6 client has a /64 at the least (RFC 6177 section 2), so its addresses count as one."""


def parse(address: str) -> IPv4Address | IPv6Address | None:
    """The address, an IPv4 one in IPv6 form as IPv4; None for what is none, such as that of a UNIX socket."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (found.version == 6 and found.ipv4_mapped) or found


def client_key(address: str) -> str:
    """What tells clients apart: an IPv4 address, or the /64 of an IPv6 one."""
    found = parse(address)
    if found is None or found.version == 4:
        return address if found is None else str(found)
    return f"{int(found) >> (128 - CLIENT_BITS):x}/{CLIENT_BITS}"


class Networks:
    """
    A set of networks. A look-up costs one hash for each length of prefix in it, however many networks there are.

    :param networks: may overlap.
    """

    def __init__(self, networks: Iterable[Network]) -> None:
        self._prefixes: dict[tuple[int, int], set[int]] = {}
        for network in networks:
            shift = network.max_prefixlen - network.prefixlen
            self._prefixes.setdefault((network.version, shift), set()).add(int(network.network_address) >> shift)

    def __contains__(self, address: IPv4Address | IPv6Address) -> bool:
        value = int(address)
        version = address.version
        return any(of == version and value >> shift in prefixes for (of, shift), prefixes in self._prefixes.items())

    def __bool__(self) -> bool:
        return bool(self._prefixes)


class IpLists:
    """
    :param allow: none for all.
    :param deny: these not, even where ``allow`` has them.
    """

    def __init__(self, allow: Iterable[Network] = (), deny: Iterable[Network] = ()) -> None:
        self._allow = Networks(allow)
        self._deny = Networks(deny)

    def admits(self, address: str) -> bool:
        """
        Whether a client may ask.

        :param address: as text. What is no address, such as a UNIX socket's, no network can name: it is denied by no
            list, and allowed only where none is given.
        """
        found = parse(address)
        if found is None:
            return not self._allow
        return found not in self._deny and (not self._allow or found in self._allow)
