"""
Where the gateway listens: Twisted's endpoint descriptions, checked without a reactor.

Source: twisted.internet.endpoints, serverFromString, of which these are the stream servers without a protocol inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from attrs import field, frozen

from apigw.config.addresses import parse_host
from apigw.config.kind import Kind
from apigw.config.problems import did_you_mean

POSITIONAL = {
    "tcp": ("port", "interface", "backlog"),
    "tcp6": ("port", "backlog", "interface"),
    "unix": ("address", "mode", "backlog", "lockfile"),
    "systemd": ("domain", "index", "name"),
}
"""The arguments of each kind of endpoint in the order in which they may stand without their names."""

INSTEAD = {
    "ssl": "write tcp:PORT, and tls = yes",
    "tls": "write tcp:PORT, and tls = yes",
    "haproxy": "write tcp:PORT, and proxy_protocol = yes",
    "fd": "write systemd:domain=INET:index=0 for an inherited socket",
    "http": "write tcp:PORT",
    "https": "write tcp:PORT, and tls = yes",
}

BACKLOG = 1024
"""Connections that wait to be accepted where nothing is said of it; nginx has 511, the kernel cuts at somaxconn."""

WILDCARDS = ("", "0.0.0.0", "::")


@frozen
class ListenEndpoint:
    """
    :ivar text: for ``twisted.internet.endpoints.serverFromString``.
    :ivar family: ``tcp``, ``tcp6``, ``unix`` or ``systemd``.
    :ivar port: 0 lets the kernel choose; None but for ``tcp`` and ``tcp6``.
    :ivar interface: address to listen on, empty for all of them.
    :ivar path: of a UNIX socket.
    :ivar mode: of the same, such as 0o660.
    :ivar backlog: connections that wait to be accepted.
    :ivar inherited: with ``systemd`` its number from 0, or its name.
    """

    text: str = field(eq=True)
    family: str
    port: int | None = None
    interface: str = ""
    path: str = ""
    mode: int = 0o666
    backlog: int = BACKLOG
    inherited: int | str = 0

    def __str__(self) -> str:
        return self.text

    @property
    def local(self) -> bool:
        """Only this machine gets there."""
        if self.family == "unix" or self.interface == "localhost":
            return True
        try:
            return ip_address(self.interface).is_loopback
        except ValueError:
            return False

    def overlaps(self, other: ListenEndpoint) -> bool:
        """Both can't be listened on at once."""
        if self.family != other.family:
            return False
        if self.family == "systemd":
            return self.text == other.text
        if self.family == "unix":
            return self.path == other.path
        if not self.port or self.port != other.port:
            return False
        either = (self.interface, other.interface)
        return self.interface == other.interface or any(interface in WILDCARDS for interface in either)


def _split(text: str) -> Iterator[tuple[str | None, str]]:
    """Arguments as name and value, the name None where there is none; a backslash quotes what follows it."""
    name: str | None = None
    current = ""
    escaped = False
    for character in text:
        if escaped:
            current += character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ":":
            yield name, current
            name, current = None, ""
        elif character == "=" and name is None:
            name, current = current, ""
        else:
            current += character
    if escaped:
        raise ValueError(f"{text!r} ends with a backslash, which belongs before a character")
    yield name, current


def parse_endpoint(text: str) -> ListenEndpoint:
    (named, family), *rest = _split(text)
    if re.fullmatch("[0-9]{1,5}", text):
        raise ValueError(f"{text!r} is only a port, write tcp:{text}")
    if family in INSTEAD:
        raise ValueError(f"{text!r} is not a plain endpoint, {INSTEAD[family]}")
    if named is not None or family not in POSITIONAL:
        hint = did_you_mean(family, POSITIONAL) or ", write for example tcp:8080"
        raise ValueError(f"{text!r} is not an endpoint{hint}")
    arguments = _arguments(text, family, rest)
    if family == "systemd":
        if "domain" not in arguments or ("index" in arguments) == ("name" in arguments):
            raise ValueError(
                f"{text!r} needs a domain and either an index or a name, such as systemd:domain=INET:index=0"
            )
        if arguments["domain"] not in ("INET", "INET6", "UNIX"):
            raise ValueError(f"{arguments['domain']!r} is not a domain, write INET, INET6 or UNIX")
        index = _number(arguments, "index", 0, 65535)
        return ListenEndpoint(text, family, inherited=arguments.get("name", index))
    backlog = _number(arguments, "backlog", 1, 65535) if "backlog" in arguments else BACKLOG
    if family == "unix":
        path = arguments.get("address", "")
        if not path:
            raise ValueError(f"{text!r} has no path, write for example unix:/run/apigw.sock")
        if not re.fullmatch("[0-7]{3,4}", arguments.get("mode", "666")):
            raise ValueError(f"mode {arguments['mode']!r} is not a file mode, such as 660")
        _number(arguments, "lockfile", 0, 1)
        mode = int(arguments.get("mode", "666"), 8)
        return ListenEndpoint(text, family, path=path, mode=mode, backlog=backlog)
    if "port" not in arguments:
        raise ValueError(f"{text!r} has no port, write for example {family}:8080")
    port = _number(arguments, "port", 0, 65535)
    interface = arguments.get("interface", "")
    if interface:
        try:
            interface = parse_host(f"[{interface}]" if ":" in interface else interface)
        except ValueError:
            raise ValueError(f"interface {interface!r} is not an address to listen on, such as 127.0.0.1") from None
    return ListenEndpoint(text, family, port, interface, backlog=backlog)


def _arguments(text: str, family: str, rest: list[tuple[str | None, str]]) -> dict[str, str]:
    names = POSITIONAL[family]
    unnamed = iter(names)
    hint = r"; in an IPv6 address write \: for each colon" if "::" in text else ""
    found: dict[str, str] = {}
    for given, value in rest:
        name = next(unnamed, None) if given is None else given
        if name is None:
            raise ValueError(f"{text!r} has more arguments than {family} takes{hint}")
        if name not in names:
            close = did_you_mean(name, names) or f", it takes {', '.join(names)}"
            raise ValueError(f"{family} takes no {name!r}{close}")
        if name in found:
            raise ValueError(f"{text!r} gives {name} twice{hint}")
        found[name] = value
    return found


def _number(arguments: dict[str, str], name: str, low: int, high: int) -> int:
    value = arguments.get(name, str(low))
    if not re.fullmatch("[0-9]{1,6}", value) or not low <= int(value) <= high:
        raise ValueError(f"{name} {value!r} is not a whole number from {low} to {high}")
    return int(value)


def parse_port(text: str) -> ListenEndpoint:
    """As the founding system's PORT has it: all interfaces."""
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65535:
        raise ValueError(f"{text!r} is not a port, write a whole number from 0 to 65535")
    return parse_endpoint(f"tcp:{text}")


ENDPOINT: Kind[ListenEndpoint] = Kind(
    "`tcp:PORT`, `tcp:PORT:interface=ADDRESS`, `tcp6:PORT`, `unix:PATH` or `systemd:domain=INET:index=0`",
    parse_endpoint,
)
