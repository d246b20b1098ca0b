"""Doors that are closed."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from apigw.policy.maintenance import Door, wait

OFFICE = Door(60.0, [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")])
ALL = Door(30.0)


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::1", True),
        ("192.0.2.1", False),
        ("2001:db9::1", False),
        ("", False),
    ],
)
def test_a_door_admits_by_address(address: str, admitted: bool) -> None:
    assert OFFICE.admits(address) is admitted
    assert not ALL.admits(address)


def test_each_door_has_to_admit_a_client_and_the_longest_counts() -> None:
    assert wait([OFFICE, ALL], "192.0.2.1") == 60.0
    assert wait([OFFICE, ALL], "10.1.2.3") == 30.0
    assert wait([OFFICE], "10.1.2.3") == 0.0
    assert wait([], "192.0.2.1") == 0.0
