"""Addresses against lists of networks."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.ip_lists import IpLists, Networks, client_key, parse


def nets(*texts: str) -> list[IPv4Network | IPv6Network]:
    return [ip_network(text) for text in texts]


@pytest.mark.parametrize(
    ("allow", "deny", "address", "admitted"),
    [
        ([], [], "192.0.2.1", True),
        ([], ["192.0.2.0/24"], "192.0.2.1", False),
        ([], ["192.0.2.0/24"], "192.0.3.1", True),
        (["10.0.0.0/8"], [], "10.1.2.3", True),
        (["10.0.0.0/8"], [], "11.0.0.1", False),
        (["10.0.0.0/8"], ["10.6.0.0/16"], "10.6.0.1", False),
        (["0.0.0.0/0"], [], "203.0.113.9", True),
        (["0.0.0.0/0"], [], "2001:db8::1", False),
        (["::/0"], [], "203.0.113.9", False),
        (["2001:db8::/32"], ["2001:db8:1::/48"], "2001:db8::5", True),
        (["2001:db8::/32"], ["2001:db8:1::/48"], "2001:DB8:1::5", False),
        ([], ["192.0.2.1/32"], "::ffff:192.0.2.1", False),
        ([], ["fe80::/10"], "fe80::1%eth0", False),
        ([], ["0.0.0.0/0"], "", True),
        (["0.0.0.0/0"], [], "", False),
    ],
)
def test_deny_before_allow(allow: list[str], deny: list[str], address: str, admitted: bool) -> None:
    assert IpLists(nets(*allow), nets(*deny)).admits(address) is admitted


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("", "192.0.2.1", False),
    ],
)
def test_an_ipv6_client_is_its_64(one: str, other: str, same: bool) -> None:
    assert (client_key(one) == client_key(other)) is same


NETWORKS = st.one_of(
    st.builds(
        lambda value, bits: ip_network((value >> (32 - bits) << (32 - bits), bits)),
        st.integers(0, 2**32 - 1),
        st.integers(0, 32),
    ),
    st.builds(
        lambda value, bits: ip_network((IPv6Address(value >> (128 - bits) << (128 - bits)), bits)),
        st.integers(0, 2**128 - 1),
        st.integers(0, 128),
    ),
)
ADDRESSES = st.one_of(st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**128 - 1).map(IPv6Address))


@given(st.lists(NETWORKS, max_size=8), ADDRESSES)
def test_it_holds_what_any_of_its_networks_holds(
    networks: list[IPv4Network | IPv6Network], elsewhere: IPv4Address | IPv6Address
) -> None:
    held = Networks(networks)
    for address in (elsewhere, *(network.broadcast_address for network in networks)):
        assert (address in held) is any(address in network for network in networks)
    for network in networks:
        beyond = int(network.broadcast_address) + 1
        if beyond < 2**network.max_prefixlen:
            address = type(network.broadcast_address)(beyond)
            assert (address in held) is any(address in other for other in networks)


@given(st.text(max_size=20))
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse(text) is None or client_key(text)
