"""Sticky cookies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.sticky import Sticky, cookie_values, set_cookie

SECRET = b"0123456789abcdef"
PEERS = [b"10.0.0.1:9001", b"10.0.0.2:9001", b"unix:/run/user.sock"]


def made(service: str = "user", secret: bytes = SECRET, peers: list[bytes] = PEERS) -> Sticky:
    sticky = Sticky(secret, service)
    sticky.update(peers)
    return sticky


def test_a_cookie_leads_back():
    sticky = made()
    for peer in PEERS:
        assert sticky.find([sticky.value(peer)]) == peer


def test_all_gateways_of_a_service_make_the_same_cookies():
    assert [made().value(peer) for peer in PEERS] == [made(peers=PEERS[::-1]).value(peer) for peer in PEERS]


def test_a_cookie_shows_no_address_and_is_a_cookie():
    for peer in PEERS:
        value = made().value(peer)
        assert peer not in value
        assert b"10.0" not in value
        assert len(value) <= 40
        assert value.replace(b".", b"").replace(b"-", b"").replace(b"_", b"").isalnum()


def test_one_of_another_service_or_secret_is_worth_nothing():
    value = made().value(PEERS[0])
    assert made("music").find([value]) is None
    assert made(secret=b"another secret..").find([value]) is None


def test_one_of_a_peer_that_has_gone_is_worth_nothing():
    sticky = made()
    value = sticky.value(PEERS[0])
    sticky.update(PEERS[1:])
    assert sticky.find([value]) is None
    with pytest.raises(KeyError):
        sticky.value(PEERS[0])


@given(st.integers(0, 39), st.integers(1, 255))
def test_no_byte_can_be_changed(place, change):
    sticky = made()
    value = bytearray(sticky.value(PEERS[0]))
    value[place % len(value)] ^= change
    assert sticky.find([bytes(value)]) is None


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_garbage_is_passed_over(values):
    sticky = made()
    assert sticky.find(values) is None
    assert sticky.find([*values, sticky.value(PEERS[1])]) == PEERS[1]


@pytest.mark.parametrize("cut", ["name", "mac"])
def test_half_a_cookie_is_none(cut):
    sticky = made()
    name, mac = sticky.value(PEERS[0]).split(b".")
    half = name if cut == "name" else mac
    assert sticky.find([half, half + b".", b"." + half]) is None


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="16 bytes"):
        Sticky(b"short", "user")


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ([], []),
        ([b"gw=1"], [b"1"]),
        ([b"a=b; gw=1; c=d"], [b"1"]),
        ([b"a=b;gw=1;c=d"], [b"1"]),
        ([b"a=b", b"gw=1", b"c=d; gw=2"], [b"1", b"2"]),
        ([b"gw=1; gw=2"], [b"1", b"2"]),
        ([b"gw=a=b"], [b"a=b"]),
        ([b" gw = 1 ;"], [b"1"]),
        ([b"gw="], [b""]),
        ([b"gw"], []),
        ([b"xgw=1; gwx=2; GW=3; a=gw"], []),
        ([b";;=;gw=1"], [b"1"]),
    ],
)
def test_reading_cookies(fields, values):
    assert list(cookie_values(fields, b"gw")) == values


def test_writing_cookies():
    assert set_cookie(b"gw", b"v.m", secure=False) == b"gw=v.m; Path=/; HttpOnly; SameSite=Lax"
    assert (
        set_cookie(b"gw", b"v.m", secure=True, max_age=3600)
        == b"gw=v.m; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"
    )
