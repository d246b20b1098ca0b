"""Whose tunnels are counted together, and which pages may ask for WebSocket."""

from __future__ import annotations

from typing import cast

import pytest

from apigw.errors import OriginRefused, UpgradeLimited
from apigw.messages import Exchange, Outlet
from apigw.policy.cors import Cors
from apigw.stages.upgrade import TunnelBounds, Upgrades
from apigw.state.inflight import LocalInFlight
from apigw.streams import Streams
from tests.kit import asking


class Own:
    """An outlet that can do what any can."""

    def upgrading(self) -> Own:
        return self


def stage(user: int = 0, route: int = 0, cors: Cors | None = None) -> Upgrades:
    streams = cast(Streams, None)
    return Upgrades((b"websocket",), streams, LocalInFlight(), TunnelBounds("chat", user, route), cors)


def handshake(*origins: bytes, user: str | None = None, ip: str = "192.0.2.7") -> Exchange:
    exchange = asking()
    exchange.outlet = cast(Outlet, Own())
    exchange.principal, exchange.client_ip = user, ip
    request = exchange.request
    request.options = (b"upgrade",)
    request.fields = [(b"Upgrade", b"websocket"), (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ==")]
    request.fields += [(b"Origin", origin) for origin in origins]
    return exchange


def test_users_and_guests_are_counted_apart() -> None:
    upgrades = stage(user=1)
    first = handshake(user="ann")
    upgrades.request(first)
    assert first.upgrade is not None
    for other in (handshake(user="bob"), handshake(), handshake(ip="192.0.2.8")):
        upgrades.request(other)
    for again in (handshake(user="ann", ip="192.0.2.9"), handshake()):
        with pytest.raises(UpgradeLimited) as refused:
            upgrades.request(again)
        assert refused.value.status == 429
        upgrades.done(again)
    upgrades.done(first)
    upgrades.done(first)
    upgrades.request(handshake(user="ann"))
    with pytest.raises(UpgradeLimited):
        upgrades.request(handshake(user="ann"))


def test_the_route_has_a_bound_of_its_own() -> None:
    upgrades = stage(user=5, route=2)
    upgrades.request(handshake(user="ann"))
    upgrades.request(handshake(user="bob"))
    with pytest.raises(UpgradeLimited) as refused:
        upgrades.request(handshake(user="cid"))
    assert refused.value.status == 503


def test_no_bounds() -> None:
    upgrades = stage()
    for _ in range(3):
        upgrades.request(handshake())


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [
        ((), True),
        ((b"https://app.example",), True),
        ((b"https://gw",), True),
        ((b"https://evil.example",), False),
        ((b"null",), False),
        ((b"https://app.example", b"https://evil.example"), False),
        ((b"https://app.example", b"https://app.example"), False),
    ],
)
def test_origins(origins: tuple[bytes, ...], allowed: bool) -> None:
    upgrades = stage(cors=Cors(("https://app.example",)))
    if allowed:
        upgrades.request(handshake(*origins))
    else:
        with pytest.raises(OriginRefused):
            upgrades.request(handshake(*origins))
    stage().request(handshake(*origins))
