"""What clients are told of their limits."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.gcra import LocalQuotas, Quota
from apigw.policy.limit_fields import draft, legacy, whole_seconds

IP = Quota("ip", 100, 60.0, 100)
ROUTE = Quota("route", 10, 1.0, 20)


@pytest.mark.parametrize(("wait", "told"), [(0.0, 1), (1e-9, 1), (0.2, 1), (1.0, 1), (1.01, 2), (59.4, 60), (60.0, 60)])
def test_a_wait_is_rounded_up_and_never_none(wait: float, told: int) -> None:
    assert whole_seconds(wait) == told


def test_the_draft_names_each_policy() -> None:
    assert draft([(IP, 0.6), (ROUTE, 2.0)]) == (
        b'RateLimit-Policy: "ip";q=100;w=60, "route";q=20;w=2\r\nRateLimit: "ip";r=99;t=1, "route";r=0;t=2\r\n'
    )


def test_the_triple_is_that_of_the_tightest() -> None:
    assert legacy([(IP, 30.0), (ROUTE, 1.8)], 1_700_000_000.0) == (
        b"X-RateLimit-Limit: 20\r\nX-RateLimit-Remaining: 2\r\nX-RateLimit-Reset: 1700000002\r\n"
    )


@given(st.integers(1, 1000), st.floats(0.01, 1e5), st.integers(1, 1000), st.integers(1, 5))
def test_all_numbers_are_whole_and_none_is_negative(count: int, period: float, burst: int, tries: int) -> None:
    quotas, quota = LocalQuotas(), Quota("q", count, period, burst)
    for _ in range(tries):
        standings = quotas.take(5.0, ((quota, "a"),)).standings
        item = rb'"q";q=[1-9]\d*;w=[1-9]\d*'
        assert re.fullmatch(rb"RateLimit-Policy: " + item + rb'\r\nRateLimit: "q";r=\d+;t=\d+\r\n', draft(standings))
        assert re.fullmatch(rb"(?:X-RateLimit-[A-Z][a-z]+: \d+\r\n){3}", legacy(standings, 1.7e9))
