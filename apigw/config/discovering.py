"""What ``[discovery]`` says: who is asked for the addresses of services."""

# ruff: noqa: RUF009 (option and group are attrs fields)
from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from attrs import frozen

from apigw.config.files import absolute
from apigw.config.kind import Kind, list_of
from apigw.config.option import group, option
from apigw.config.retrying import BACKOFF
from apigw.config.tokens import parse_url
from apigw.config.units import DURATION, SWITCH

DNS_PORT = 53

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where pods find their service account."""

_SERVER = re.compile(r"\[([^\]]*)\](?::([0-9]{1,5}))?|([0-9.]*)(?::([0-9]{1,5}))?|([0-9a-fA-F:.]*)").fullmatch


def parse_name_server(text: str) -> tuple[str, int]:
    """:return: address and port."""
    match = _SERVER(text)
    try:
        if match is None:
            raise ValueError
        host = str(ip_address(match[1] or match[3] or match[5] or ""))
    except ValueError:
        raise ValueError(
            f"{text!r} is not an address, write for example 10.0.0.2, 10.0.0.2:8600 or [fd00::2]:53"
        ) from None
    port = int(match[2] or match[4] or DNS_PORT)
    if not 1 <= port <= 65535:
        raise ValueError(f"{text!r}: a port is a whole number from 1 to 65535")
    return host, port


def render_name_server(server: tuple[str, int]) -> str:
    host, port = server
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_api(text: str) -> str:
    """:return: the URL without a slash at its end."""
    url = parse_url(text).rstrip("/")
    if "?" in url:
        raise ValueError(f"{text!r} has a query, leave it out")
    parts = urlsplit(url)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError(f"{text!r} would have the token sent in clear text, write https")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


NAME_SERVERS: Kind[tuple[tuple[str, int], ...]] = list_of(
    Kind("address", parse_name_server, render_name_server), "addresses, with ports if need be", at_least=1
)
LATER_FILE: Kind[str] = Kind("path", lambda text: str(absolute(text)))
"""Looked at when it is needed: Kubernetes puts these files into pods, and replaces them."""


@frozen(kw_only=True)
class KubernetesAccess:
    api: str = option(
        Kind("URL", parse_api),
        default="https://kubernetes.default.svc",
        help="The API server, for `kubernetes://` in `urls`.",
    )
    token_file: str = option(
        LATER_FILE,
        default=f"{ACCOUNT}/token",
        help="The token of a service account that may list and watch EndpointSlices; read for each request.",
    )
    ca: str = option(
        LATER_FILE,
        default=f"{ACCOUNT}/ca.crt",
        help="The authorities that may have signed the API server's certificate.",
    )


@frozen(kw_only=True)
class DiscoverySection:
    """Where services come from besides this file."""

    environment: bool = option(
        SWITCH,
        default=True,
        help="Each variable `<NAME>_SERVICE_URL` registers a service and, where no route names that, a route.",
    )
    url: str | None = option(
        Kind("URL", parse_url),
        default=None,
        unset="none",
        example="http://system/api/discovery/services",
        help="An HTTP registry. Services without `urls` have the peers that it names, and `registry:NAME` in `urls`"
        " stands for them.",
    )
    interval: float = option(DURATION, default=45.0, help="How often the registry is asked.")
    dns_servers: tuple[tuple[str, int], ...] = option(
        NAME_SERVERS,
        default=(),
        unset="those of `/etc/resolv.conf`",
        example="10.0.0.2, 10.0.0.3:8600",
        help="Who is asked for the names in `urls`.",
    )
    dns_ttl: tuple[float, float] = option(
        BACKOFF,
        default=(5.0, 60.0),
        help="Names are looked up again when their TTL is over, but neither before the first nor after the second.",
    )
    kubernetes: KubernetesAccess = group(KubernetesAccess)
