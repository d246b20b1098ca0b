"""``upgrade``, ``tunnel.*`` and ``events.*`` of a route: what goes on long after the head of the answer."""

from __future__ import annotations

import re

from attrs import frozen

from apigw.config.kind import Kind, list_of
from apigw.config.option import option
from apigw.config.units import DURATION, integer

_PROTOCOL = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(/[!#$%&'*+.^_`|~0-9A-Za-z-]+)?").fullmatch
_HTTP = ("h2", "h2c", "http", "tls")


def parse_protocol(text: str) -> str:
    """:return: a name of RFC 9110 section 7.8, in lower case."""
    if not _PROTOCOL(text):
        raise ValueError(f"{text!r} is not the name of a protocol, such as websocket")
    name = text.lower()
    if name.partition("/")[0] in _HTTP:
        raise ValueError(f"{text!r} would carry requests past all policies, leave it out")
    return name


PROTOCOLS = list_of(Kind("protocol", parse_protocol), "protocols")


@frozen(kw_only=True)
class RouteTunnel:
    idle: float = option(DURATION, default=300.0, help="Without a byte in either direction; the tunnel is closed then.")
    total: float = option(DURATION, default=86400.0, help="How long a tunnel may last.")
    user: int = option(
        integer(0, 1_000_000),
        default=100,
        help="Tunnels of each user that may be open at once, or of each address that is a guest's; 429 past it. `0` is"
        " any number.",
    )
    route: int = option(
        integer(0, 10_000_000), default=10_000, help="The same for the route in all; 503 past it. `0` is any number."
    )


@frozen(kw_only=True)
class RouteEvents:
    heartbeat: float | None = option(
        DURATION,
        default=None,
        unset="none",
        example="15s",
        help="How often a comment is sent in a `text/event-stream` that is silent, so that nothing on the way takes the"
        " connection for dead.",
    )
