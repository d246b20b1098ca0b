"""Where services are: the URLs of their peers, read strictly."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from attrs import frozen

from apigw.config.kind import Kind, list_of
from apigw.config.problems import did_you_mean

DEMO_SERVICES = ("user", "ai", "music")
"""What ``demo:NAME`` may name."""

MAX_WEIGHT = 65535
DEFAULT_PORTS = {"http": 80, "https": 443}

SOURCES = ("srv+http", "srv+https", "kubernetes", "kubernetes+https", "registry")
"""Schemes of what isn't an address but stands for some."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL).fullmatch
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?").fullmatch
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)").fullmatch
_DNS_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)").fullmatch
_CATALOGUED = re.compile(r"[A-Za-z0-9._-]{1,100}").fullmatch
_ALL_DIGITS = re.compile(r"[0-9.]+").fullmatch


@frozen(kw_only=True)
class PeerAddress:
    """
    One address of a service, or where its addresses are found.

    :ivar scheme: ``http``, ``https``, ``unix`` (plain HTTP over a UNIX socket), ``demo`` (an embedded service), or one
        of :data:`SOURCES`.
    :ivar host: name in lower case or IP address, IPv6 without brackets; with ``demo`` the embedded service's name, with
        ``srv+...`` that of the records, with ``kubernetes...`` and ``registry`` that of the service there.
    :ivar port: 0 but with ``http`` and ``https``.
    :ivar path: of the socket, absolute; only with ``unix``.
    :ivar weight: share of requests relative to the other peers.
    :ivar name: what Host and the certificate of the peer say, where it isn't ``host``.
    :ivar namespace: only with ``kubernetes...``.
    :ivar port_name: a name or a number, empty for the only one; only with ``kubernetes...``.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    weight: int = 1
    name: str = ""
    namespace: str = ""
    port_name: str = ""

    @property
    def discovered(self) -> bool:
        """It isn't an address yet, but stands for some that are found."""
        return self.scheme in SOURCES or (self.scheme in DEFAULT_PORTS and not _address(self.host))

    @property
    def url(self) -> str:
        if self.scheme in DEFAULT_PORTS:
            return f"{self.scheme}://{self.label}"
        if self.namespace:
            port = f":{self.port_name}" if self.port_name else ""
            return f"{self.scheme}://{self.namespace}/{self.host}{port}"
        if self.scheme.startswith("srv+"):
            return f"{self.scheme}://{self.host}"
        return f"{self.scheme}:{self.path or self.host}"

    @property
    def label(self) -> str:
        """For logs and metrics, such as ``10.0.0.1:9001``, ``[::1]:80``, ``/run/user.sock`` or ``user``."""
        if self.scheme in DEFAULT_PORTS:
            return f"{self._bracketed}:{self.port}"
        return self.path or self.host

    @property
    def authority(self) -> str:
        """For the Host field: without a port that the scheme implies; ``localhost`` with ``unix``."""
        if self.scheme not in DEFAULT_PORTS:
            return "localhost"
        host = self.name or self._bracketed
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def _address(host: str) -> bool:
    return ":" in host or _ALL_DIGITS(host) is not None


def parse_host(text: str) -> str:
    """
    A host as a URL or a Host field has it.

    :return: the name in lower case, or the IP address in its shortest form, IPv6 without brackets.
    """
    if text.startswith("["):
        try:
            return str(IPv6Address(text[1:-1]))
        except AddressValueError:
            raise ValueError(f"{text!r} is not an IPv6 address") from None
    name = text.lower()
    if _ALL_DIGITS(name):
        try:
            return str(IPv4Address(name))
        except AddressValueError:
            raise ValueError(f"{text!r} is not an IPv4 address") from None
    if not name.isascii():
        raise ValueError(f"{text!r} is not plain ASCII, write {_punycode(name)}")
    if len(name) > 253 or not all(_LABEL(label) for label in name.split(".")):
        raise ValueError(f"{text!r} is not a host name")
    return name


def _punycode(name: str) -> str:
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        return "its punycode form, xn--..."


def parse_peer(text: str) -> PeerAddress:
    """One URL and its attributes, such as ``http://10.0.0.1:9001 weight=2``."""
    url, *attributes = text.split()
    weight = 1
    for attribute in attributes:
        name, equals, value = attribute.partition("=")
        if not equals and ":" in name:
            raise ValueError(f"{attribute!r} follows {url!r} without a comma between them")
        if name != "weight":
            raise ValueError(f"{attribute!r} says nothing of an address, only weight=N may follow one")
        if not re.fullmatch("[0-9]{1,5}", value) or not 1 <= int(value) <= MAX_WEIGHT:
            raise ValueError(f"{attribute!r}: a weight is a whole number from 1 to {MAX_WEIGHT}")
        weight = int(value)
    match = _URL(url)
    if match is None or (match[1].isalnum() and match[2][:1].isdigit()):
        raise ValueError(f"{url!r} has no scheme, write http://{url}")
    scheme, rest = match[1].lower(), match[2]
    if scheme in SOURCES:
        return _source(url, scheme, rest, weight)
    if scheme == "unix":
        return PeerAddress(scheme=scheme, path=_socket_path(url, rest), weight=weight)
    if scheme == "demo":
        if rest not in DEMO_SERVICES:
            hint = did_you_mean(rest, DEMO_SERVICES) or f", there are {', '.join(DEMO_SERVICES)}"
            raise ValueError(f"{url!r} names no embedded service{hint}")
        return PeerAddress(scheme=scheme, host=rest, weight=weight)
    if scheme not in DEFAULT_PORTS:
        hint = did_you_mean(scheme, [*DEFAULT_PORTS, *SOURCES]) or ", write http://, https:// or unix:"
        raise ValueError(f"{url!r} has an unknown scheme{hint}")
    host, port = _authority(url, scheme, rest)
    return PeerAddress(scheme=scheme, host=host, port=port, weight=weight)


def _source(url: str, scheme: str, rest: str, weight: int) -> PeerAddress:
    if weight != 1 and not scheme.startswith("kubernetes"):
        raise ValueError(f"{url!r} tells weights by itself, leave weight={weight} out")
    if scheme == "registry":
        if not _CATALOGUED(rest):
            raise ValueError(f"{url!r} names no service of a registry, write for example registry:user")
        return PeerAddress(scheme=scheme, host=rest)
    if scheme.startswith("srv+"):
        host = rest.removeprefix("//")
        try:
            if not rest.startswith("//") or _address(parse_host(host)):
                raise ValueError
        except ValueError:
            raise ValueError(f"{url!r} names no SRV records, write for example {scheme}://_user._tcp.example") from None
        return PeerAddress(scheme=scheme, host=host.lower())
    match = re.fullmatch(r"//([^/:]*)/([^/:]*)(?::([^/:]*))?", rest)
    if match is None or not all(_DNS_LABEL(part) for part in match.groups("http")):
        raise ValueError(f"{url!r} names no service, write for example {scheme}://NAMESPACE/SERVICE:PORT")
    return PeerAddress(scheme=scheme, namespace=match[1], host=match[2], port_name=match[3] or "", weight=weight)


def _socket_path(url: str, rest: str) -> str:
    path = rest[2:] if rest.startswith("//") else rest
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError(f"{url!r} is not the absolute path of a socket, write for example unix:/run/user.sock")
    if len(path.encode()) > 107:
        raise ValueError(f"{url!r} is longer than the 107 bytes that a socket's path may have")
    return path


def _authority(url: str, scheme: str, rest: str) -> tuple[str, int]:
    if not rest.startswith("//"):
        raise ValueError(f"{url!r} lacks the slashes, write {scheme}://{rest.lstrip('/')}")
    rest = rest[2:]
    if "@" in rest:
        raise ValueError("a URL with a user or password in it, leave them out: secrets don't belong in this file")
    authority, extra = re.fullmatch(r"([^/?#\\]*)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    if extra not in ("", "/"):
        raise ValueError(f"{url!r} goes on after the host, write {scheme}://{authority} and rewrite in the route")
    match = _AUTHORITY(authority)
    if match is None or not match[1]:
        raise ValueError(f"{url!r} names no host, write for example {scheme}://10.0.0.1:9001")
    try:
        host = parse_host(match[1])
    except ValueError as error:
        raise ValueError(f"{url!r}: {error}") from None
    if match[2] is None:
        return host, DEFAULT_PORTS[scheme]
    if not re.fullmatch("[0-9]{1,5}", match[2]) or not 1 <= int(match[2]) <= 65535:
        raise ValueError(f"{url!r}: a port is a whole number from 1 to 65535")
    return host, int(match[2])


def render_peer(peer: PeerAddress) -> str:
    return peer.url if peer.weight == 1 else f"{peer.url} weight={peer.weight}"


PEER: Kind[PeerAddress] = Kind("URL", parse_peer, render_peer)
PEERS = list_of(
    PEER,
    "`http://HOST:PORT`, `https://HOST:PORT`, `unix:PATH` or `demo:NAME`, each with `weight=N` if need be;"
    " `srv+http://NAME`, `kubernetes://NAMESPACE/SERVICE:PORT` or `registry:NAME`",
    at_least=1,
    identity=lambda peer: peer.url,
)
