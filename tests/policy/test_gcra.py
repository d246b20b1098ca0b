"""Quotas: what may come at once, what comes back, and that a refusal costs nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.gcra import LocalQuotas, Quota, remaining

MINUTE = Quota("ip", 100, 60.0, 100)


def admitted(quotas: LocalQuotas, quota: Quota, now: float, tries: int, key: str = "a") -> int:
    return sum(quotas.take(now, ((quota, key),)).wait == 0.0 for _ in range(tries))


@pytest.mark.parametrize(
    ("count", "period", "burst"), [(100, 60.0, 100), (100, 60.0, 20), (50, 900.0, 50), (1, 3600.0, 1), (10, 1.0, 100)]
)
def test_the_burst_comes_at_once_and_then_the_rate(count: int, period: float, burst: int) -> None:
    quotas, quota = LocalQuotas(), Quota("q", count, period, burst)
    assert admitted(quotas, quota, 1000.0, burst + 10) == burst
    interval = period / count
    assert admitted(quotas, quota, 1000.0 + interval * 0.9, 3) == 0
    assert admitted(quotas, quota, 1000.0 + interval, 3) == 1
    assert admitted(quotas, quota, 1000.0 + interval * 6, 10) == min(5, burst)
    assert admitted(quotas, quota, 1000.0 + interval * (7 + 2 * burst), burst * 3) == burst


def test_what_is_left_and_when_it_is_whole() -> None:
    quotas = LocalQuotas()
    verdict = quotas.take(0.0, ((MINUTE, "a"),))
    assert verdict.quota is None
    assert remaining(verdict.standings[0]) == 99
    assert verdict.standings[0][1] == pytest.approx(0.6)
    for _ in range(99):
        verdict = quotas.take(0.0, ((MINUTE, "a"),))
    assert remaining(verdict.standings[0]) == 0
    assert verdict.standings[0][1] == pytest.approx(60.0)
    verdict = quotas.take(0.0, ((MINUTE, "a"),))
    assert verdict.wait == pytest.approx(0.6)
    assert verdict.quota is MINUTE
    assert remaining(verdict.standings[0]) == 0
    assert verdict.standings[0][1] == pytest.approx(60.0)


def test_a_refusal_by_one_spends_from_none_and_the_tightest_decides() -> None:
    quotas = LocalQuotas()
    wide, narrow, narrower = Quota("wide", 10, 1.0, 10), Quota("narrow", 1, 10.0, 1), Quota("narrower", 1, 60.0, 1)
    spends = ((wide, "w"), (narrow, "n"), (narrower, "r"))
    assert [remaining(standing) for standing in quotas.take(0.0, spends).standings] == [9, 0, 0]
    for _ in range(20):
        verdict = quotas.take(0.0, spends)
        assert verdict.quota is narrower
        assert verdict.wait == pytest.approx(60.0)
        assert [remaining(standing) for standing in verdict.standings] == [9, 0, 0]
    assert admitted(quotas, wide, 0.0, 20, "w") == 9


def test_keys_have_quotas_of_their_own() -> None:
    quotas = LocalQuotas()
    assert admitted(quotas, MINUTE, 0.0, 150, "a") == 100
    assert admitted(quotas, MINUTE, 0.0, 150, "b") == 100


def test_a_request_may_cost_more() -> None:
    quotas = LocalQuotas()
    spends = ((MINUTE, "a"),)
    assert remaining(quotas.take(0.0, spends, 60.0).standings[0]) == 40
    refused = quotas.take(0.0, spends, 60.0)
    assert refused.wait == pytest.approx(12.0)
    assert remaining(quotas.take(0.0, spends, 40.0).standings[0]) == 0
    with pytest.raises(ValueError, match="more than a burst of 100"):
        quotas.take(1e6, spends, 101.0)


def test_a_clock_that_goes_back_stands_still_and_gives_nothing_away() -> None:
    quotas = LocalQuotas()
    assert admitted(quotas, MINUTE, 1000.0, 100) == 100
    assert admitted(quotas, MINUTE, 0.0, 100) == 0
    assert admitted(quotas, MINUTE, 1000.6, 100) == 1


def test_the_key_not_asked_for_the_longest_goes_first() -> None:
    quotas = LocalQuotas(capacity=2)
    once = Quota("once", 1, 60.0, 1)
    assert admitted(quotas, once, 0.0, 1, "a") == 1
    assert admitted(quotas, once, 0.0, 1, "b") == 1
    assert admitted(quotas, once, 0.0, 1, "a") == 0
    assert admitted(quotas, once, 0.0, 1, "c") == 1
    assert admitted(quotas, once, 0.0, 1, "a") == 0
    assert len(quotas) == 2
    assert admitted(quotas, once, 0.0, 1, "b") == 1


def test_memory_is_bounded_whatever_comes() -> None:
    quotas = LocalQuotas(capacity=1000)
    for number in range(20_000):
        quotas.take(float(number), ((MINUTE, str(number)),))
    assert len(quotas) == 1000


@pytest.mark.parametrize(("count", "period", "burst"), [(0, 1.0, 1), (1, 0.0, 1), (1, 1.0, 0), (1, float("inf"), 1)])
def test_what_is_no_quota(count: int, period: float, burst: int) -> None:
    with pytest.raises(ValueError, match="no quota"):
        Quota("q", count, period, burst)


@given(
    st.integers(1, 50),
    st.floats(0.1, 1000.0),
    st.integers(1, 30),
    st.lists(st.floats(0.0, 20.0), min_size=1, max_size=80),
)
def test_never_more_than_the_burst_and_what_came_back(count: int, period: float, burst: int, gaps: list[float]) -> None:
    quotas, quota = LocalQuotas(), Quota("q", count, period, burst)
    now = 1000.0
    times: list[float] = []
    for gap in gaps:
        now += gap
        verdict = quotas.take(now, ((quota, "a"),))
        if verdict.wait == 0.0:
            times.append(now)
        assert 0 <= remaining(verdict.standings[0]) <= burst
        assert 0.0 <= verdict.standings[0][1] <= quota.window + 1e-3
    for first in range(len(times)):
        for last in range(first, len(times)):
            allowed = burst + (times[last] - times[first]) / quota.interval
            assert last - first + 1 <= allowed + 1e-3


@given(st.integers(1, 50), st.floats(0.1, 1000.0), st.integers(1, 30))
def test_who_waits_as_told_gets_in_and_not_before(count: int, period: float, burst: int) -> None:
    quotas, quota = LocalQuotas(), Quota("q", count, period, burst)
    assert admitted(quotas, quota, 1000.0, burst) == burst
    wait = quotas.take(1000.0, ((quota, "a"),)).wait
    assert wait == pytest.approx(quota.interval)
    assert admitted(quotas, quota, 1000.0 + wait * 0.99, 1) == (0 if wait * 0.01 > 1e-5 else 1)
    assert admitted(quotas, quota, 1000.0 + wait, 1) == 1


def test_no_more_is_left_than_there_ever_was() -> None:
    quota = Quota("q", 100_000_000, 1.0, 100_000_000)
    assert remaining((quota, 0.0)) == 100_000_000
    assert remaining(LocalQuotas().take(5.0, ((quota, "a"),)).standings[0]) == 99_999_999
