"""resolv.conf and the hosts file, as the system's own resolver reads them."""

from __future__ import annotations

from ipaddress import ip_address

from attrs import frozen

PORT = 53
TIMEOUT = 2.0
"""Seconds for an answer; the C library's 5 would outlast most requests that wait for a first peer."""

ATTEMPTS = 2
MAX_NDOTS = 15
MAX_TIMEOUT = 30.0
MAX_ATTEMPTS = 5
"""The C library caps its options at the same values."""


@frozen(kw_only=True)
class ResolverSettings:
    """
    :ivar servers: addresses and ports, asked in turn.
    :ivar search: domains that are appended to short names.
    :ivar ndots: names with as many dots are tried as they are first, others with the search domains first.
    :ivar timeout: seconds for one server to answer.
    :ivar attempts: rounds through the servers.
    """

    servers: tuple[tuple[str, int], ...] = (("127.0.0.1", PORT),)
    search: tuple[str, ...] = ()
    ndots: int = 1
    timeout: float = TIMEOUT
    attempts: int = ATTEMPTS

    def candidates(self, name: str) -> list[str]:
        """What ``name`` may stand for, the likeliest first; a dot at its end says that it stands for itself alone."""
        if name.endswith("."):
            return [name[:-1]]
        long = [f"{name}.{domain}" for domain in self.search]
        return [name, *long] if name.count(".") >= self.ndots else [*long, name]


def parse_resolv_conf(text: str) -> ResolverSettings:
    """
    The content of ``resolv.conf``; what is malformed in it is left out, as the system's resolver does.

    Source: resolv.conf(5). The last ``search`` or ``domain`` counts, and ``options`` add up.
    """
    servers: list[tuple[str, int]] = []
    search: tuple[str, ...] = ()
    numbers = {"ndots": 1, "timeout": int(TIMEOUT), "attempts": ATTEMPTS}
    for line in text.splitlines():
        word, *values = line.split() or [""]
        if word == "nameserver" and values and is_address(values[0]):
            servers.append((values[0], PORT))
        elif word in ("search", "domain"):
            search = tuple(value.rstrip(".").lower() for value in values if value.strip("."))
        elif word == "options":
            for value in values:
                key, _, number = value.partition(":")
                if key in numbers and number.isascii() and number.isdigit():
                    numbers[key] = int(number[:4])
    return ResolverSettings(
        servers=tuple(servers) or ResolverSettings().servers,
        search=search,
        ndots=min(numbers["ndots"], MAX_NDOTS),
        timeout=min(max(1.0, numbers["timeout"]), MAX_TIMEOUT),
        attempts=min(max(1, numbers["attempts"]), MAX_ATTEMPTS),
    )


def hosts_addresses(text: str, name: str) -> list[str]:
    """
    The addresses of a name in the content of ``/etc/hosts``, in their order.

    Source: hosts(5).
    """
    name = name.lower().rstrip(".")
    found: list[str] = []
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if is_address(address) and address not in found and name in (other.lower() for other in names):
            found.append(address)
    return found


def is_address(text: str) -> bool:
    """Whether it is an IPv4 or IPv6 address, the latter perhaps with a zone."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
