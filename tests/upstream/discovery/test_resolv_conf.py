"""resolv.conf and the hosts file are read as the system's resolver reads them, whatever is in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.upstream.discovery.resolv_conf import (
    MAX_NDOTS,
    ResolverSettings,
    hosts_addresses,
    parse_resolv_conf,
)

POD = """
# made by the kubelet
search default.svc.cluster.local svc.cluster.local cluster.local
nameserver 10.96.0.10
nameserver fd00::a
options ndots:5 timeout:3 edns0 attempts:4
"""


def test_all_that_counts():
    assert parse_resolv_conf(POD) == ResolverSettings(
        servers=(("10.96.0.10", 53), ("fd00::a", 53)),
        search=("default.svc.cluster.local", "svc.cluster.local", "cluster.local"),
        ndots=5,
        timeout=3.0,
        attempts=4,
    )


def test_nothing_in_it_means_the_server_on_this_machine():
    assert parse_resolv_conf("") == ResolverSettings()
    assert parse_resolv_conf("").servers == (("127.0.0.1", 53),)


def test_the_last_search_or_domain_counts():
    assert parse_resolv_conf("search a b\ndomain c.\n").search == ("c",)


def test_what_is_malformed_is_left_out():
    text = "nameserver\nnameserver example\nnameserver 192.0.2.1 x\noptions ndots: ndots:x timeout:0 ndots:99\n; x\n"
    settings = parse_resolv_conf(text)
    assert settings.servers == (("192.0.2.1", 53),)
    assert settings.ndots == MAX_NDOTS
    assert settings.timeout == 1.0


@given(st.text())
def test_any_text_gives_usable_settings(text):
    settings = parse_resolv_conf(text + "\noptions " + text.replace("\n", " "))
    assert settings.servers
    assert 1.0 <= settings.timeout <= 30.0
    assert 1 <= settings.attempts <= 5
    assert settings.candidates("a.b")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("user", ["user.ns.svc", "user.svc", "user"]),
        ("user.other", ["user.other.ns.svc", "user.other.svc", "user.other"]),
        ("user.other.svc", ["user.other.svc", "user.other.svc.ns.svc", "user.other.svc.svc"]),
        ("user.", ["user"]),
    ],
)
def test_short_names_are_searched_for_first(name, expected):
    assert ResolverSettings(search=("ns.svc", "svc"), ndots=2).candidates(name) == expected


HOSTS = """
127.0.0.1 localhost  # comment
::1 localhost ip6-localhost
192.0.2.1\tUser.Example user
192.0.2.1 user
192.0.2.2 user # other
not-an-address user
#192.0.2.3 user
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("localhost", ["127.0.0.1", "::1"]),
        ("user.example", ["192.0.2.1"]),
        ("USER", ["192.0.2.1", "192.0.2.2"]),
        ("other", []),
        ("192.0.2.1", []),
    ],
)
def test_hosts(name, expected):
    assert hosts_addresses(HOSTS, name) == expected
