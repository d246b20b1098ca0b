"""When a request takes unusually long."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.policy.hedge import HIGHEST, LOWEST, STEP, Hedge, HedgePolicy, LatencyQuantile


@given(
    st.lists(st.floats(LOWEST, HIGHEST * 0.9), min_size=1, max_size=300),
    st.sampled_from([0.5, 0.9, 0.95, 0.99]),
)
@settings(max_examples=150)
def test_a_quantile_is_at_most_a_tenth_too_high(latencies, quantile):
    estimate = LatencyQuantile(quantile)
    for latency in latencies:
        estimate.add(latency, 0.0)
    exact = sorted(latencies)[int(quantile * len(latencies))]
    assert exact * 0.999999 <= estimate.value(0.0) <= exact * STEP * 1.000001


def test_the_95th_percentile_of_many():
    chance = Random(1)
    estimate = LatencyQuantile(0.95)
    for number in range(5000):
        estimate.add(chance.expovariate(1 / 0.02), number / 500)
    assert estimate.value(10.0) == pytest.approx(0.0599, rel=0.15)


def test_it_follows_and_forgets():
    estimate = LatencyQuantile(0.95, window=30.0)
    for number in range(300):
        estimate.add(1.0, number / 10)
    assert estimate.value(30.0) == pytest.approx(1.0, rel=0.11)
    assert estimate.count(59.0) == 300
    for number in range(600):
        estimate.add(0.01, 30.0 + number / 10)
    assert estimate.value(90.0) == pytest.approx(0.01, rel=0.11)
    assert estimate.count(1e6) == 0
    assert estimate.value(1e6) == 0.0


def test_a_change_is_seen_within_a_sixteenth():
    estimate = LatencyQuantile(0.5)
    for latency in [0.01] * 100:
        estimate.add(latency, 0.0)
        estimate.value(0.0)
    for latency in [1.0] * 120:
        estimate.add(latency, 0.0)
        estimate.value(0.0)
    assert estimate.value(0.0) == pytest.approx(1.0, rel=0.11)


@pytest.mark.parametrize("latency", [-5.0, 0.0, 1e-300, 1e-4])
def test_the_shortest_share_a_bucket(latency):
    estimate = LatencyQuantile()
    estimate.add(latency, 0.0)
    assert estimate.value(0.0) == pytest.approx(LOWEST)


@pytest.mark.parametrize("latency", [100.0, 1e9, float("inf")])
def test_the_longest_share_a_bucket(latency):
    estimate = LatencyQuantile()
    estimate.add(latency, 0.0)
    assert HIGHEST <= estimate.value(0.0) <= HIGHEST * STEP * STEP


@pytest.mark.parametrize("wrong", [(0.0, 1.0), (1.0, 1.0), (0.5, 0.0)])
def test_numbers_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="between 0 and 1"):
        LatencyQuantile(*wrong)


@given(st.lists(st.tuples(st.floats(0.0, 1e3), st.floats(-1e9, 1e9)), max_size=50))
def test_any_time_is_borne(steps):
    hedge = Hedge(HedgePolicy(samples=1))
    for elapsed, now in steps:
        hedge.answered(elapsed, now)
        after = hedge.after(now)
        assert after is None or 0.001 <= after <= 10.0


def test_no_hedge_before_enough_is_known():
    hedge = Hedge(HedgePolicy(samples=100))
    for _ in range(99):
        hedge.answered(0.02, 0.0)
    assert hedge.after(0.0) is None
    hedge.answered(0.02, 0.0)
    assert hedge.after(0.0) == pytest.approx(0.02, rel=0.1)
    assert hedge.after(1e6) is None


@pytest.mark.parametrize(("elapsed", "after"), [(0.0001, 0.005), (60.0, 2.0)])
def test_it_has_bounds(elapsed, after):
    hedge = Hedge(HedgePolicy(samples=1, shortest=0.005, longest=2.0))
    hedge.answered(elapsed, 0.0)
    assert hedge.after(0.0) == after


def test_one_request_in_twenty_is_hedged():
    chance = Random(2)
    hedge = Hedge(HedgePolicy(samples=100))
    hedged = 0
    for number in range(6000):
        now = number / 200
        elapsed = chance.lognormvariate(-4.0, 0.8)
        after = hedge.after(now)
        if after is not None and elapsed > after:
            hedged += 1
        hedge.answered(elapsed, now)
    assert 0.02 * 6000 < hedged < 0.07 * 6000
