"""``split`` and ``mirror`` of a route: which services share its requests, and which get copies of them."""

from __future__ import annotations

import re

from attrs import frozen

from apigw.config.kind import Kind, list_of
from apigw.config.names import HASH_ON, parse_name
from apigw.config.option import option
from apigw.config.units import integer, parse_percent, render_percent, size_between

_WEIGHT = re.compile(r"[0-9]{1,6}").fullmatch


@frozen
class Weighted:
    service: str
    weight: int

    def __str__(self) -> str:
        return f"{self.service}:{self.weight}"


def _parse_weighted(text: str) -> Weighted:
    name, colon, weight = (part.strip() for part in text.partition(":"))
    if not colon or not _WEIGHT(weight):
        raise ValueError(f"{text!r} is not a service and its weight, such as user:90")
    return Weighted(parse_name(name), int(weight))


_WEIGHTS: Kind[tuple[Weighted, ...]] = list_of(
    Kind("`service:weight`", _parse_weighted), "`service:weight`", at_least=2, identity=lambda one: one.service
)


def _parse_split(text: str) -> tuple[Weighted, ...]:
    found = _WEIGHTS.parse(text)
    if not any(one.weight for one in found):
        raise ValueError("has no weight above 0, write for example user:90, user-canary:10")
    return found


SPLIT: Kind[tuple[Weighted, ...]] = Kind(_WEIGHTS.form, _parse_split, _WEIGHTS.render, lines=True)


@frozen(kw_only=True)
class RouteSplit:
    on: str | None = option(
        HASH_ON,
        default=None,
        unset="each request by itself",
        example="user",
        help="Of what the same always gets the same service. Who has none of it is drawn anew with each request.",
    )


@frozen
class Mirrored:
    """:ivar share: 0.0 to 1.0."""

    service: str
    share: float

    def __str__(self) -> str:
        return f"{self.service}:{render_percent(self.share)}"


def _parse_mirrored(text: str) -> Mirrored:
    name, colon, share = (part.strip() for part in text.partition(":"))
    if not colon or not share.endswith("%"):
        raise ValueError(f"{text!r} is not a service and its share, such as user-shadow:5%")
    return Mirrored(parse_name(name), parse_percent(share))


MIRROR: Kind[tuple[Mirrored, ...]] = list_of(
    Kind("`service:percentage`", _parse_mirrored), "`service:percentage`", at_least=1, identity=lambda one: one.service
)


@frozen(kw_only=True)
class RouteMirror:
    max_body: int = option(
        size_between(0, 16 * 1024**2),
        default=65536,
        help="Bytes of a body that are kept to be copied; a request with a larger one isn't copied.",
    )
    max_in_flight: int = option(
        integer(1, 10_000),
        default=100,
        help="Copies for each service that may be under way at once; more are left out.",
    )
