"""The limit that finds itself, tried on models of services."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.policy.adaptive import HIGH, LOW, NORMAL, AdaptiveLimit, AdaptivePolicy
from apigw.policy.outcome import ABANDONED, FAILED, OK


def pressed(limit: AdaptiveLimit, capacity: int, latency: float, seconds: float, start: float = 0.0) -> list[float]:
    """
    Keep the limit full at a service that works on so many requests at once, and makes the others wait.

    :return: the limit after each round.
    """
    now, seen = start, []
    while now < start + seconds:
        while limit.admit(HIGH):
            pass
        under_way = limit.active
        elapsed = latency * max(1.0, under_way / capacity)
        now += elapsed
        for _ in range(under_way):
            limit.release(now, elapsed, OK)
        seen.append(limit.limit)
    return seen


def test_it_grows_to_what_the_service_can_do_and_not_far_beyond():
    limit = AdaptiveLimit(AdaptivePolicy(initial=5.0))
    seen = pressed(limit, capacity=50, latency=0.05, seconds=120.0)
    assert sorted(seen[-200:])[20] >= 45
    assert max(seen) <= 100


def test_a_queue_that_stays_is_not_taken_for_normal():
    limit = AdaptiveLimit(AdaptivePolicy(initial=20.0))
    seen = pressed(limit, capacity=20, latency=0.02, seconds=1200.0)
    assert max(seen[-500:]) <= 45


def test_a_service_that_became_slower_for_good_gets_its_limit_back():
    limit = AdaptiveLimit(AdaptivePolicy(initial=20.0))
    pressed(limit, capacity=50, latency=0.02, seconds=30.0)
    fallen = pressed(limit, capacity=50, latency=0.2, seconds=20.0, start=30.0)
    assert min(fallen) < 12
    back = pressed(limit, capacity=50, latency=0.2, seconds=500.0, start=50.0)
    assert sorted(back[-100:])[10] >= 45


def test_the_same_where_the_limit_is_not_in_use():
    limit = AdaptiveLimit(AdaptivePolicy(initial=20.0))
    for number in range(4000):
        for _ in range(4):
            assert limit.admit()
        for _ in range(4):
            limit.release(number * 0.1, 0.01 if number < 1000 else 0.1, OK)
    seen = pressed(limit, capacity=50, latency=0.1, seconds=20.0, start=400.0)
    assert seen[-1] > 20


def test_it_shrinks_when_the_service_becomes_slower():
    limit = AdaptiveLimit(AdaptivePolicy(initial=50.0))
    before = pressed(limit, capacity=50, latency=0.05, seconds=60.0)[-1]
    after = pressed(limit, capacity=5, latency=0.05, seconds=15.0, start=60.0)
    assert min(after) < 0.5 * before


def test_it_does_not_grow_while_it_is_not_used():
    limit = AdaptiveLimit(AdaptivePolicy(initial=20.0))
    for number in range(5000):
        assert limit.admit()
        limit.release(number * 0.01, 0.01, OK)
    assert limit.limit == 20.0


def test_overload_takes_a_tenth_each_step():
    limit = AdaptiveLimit(AdaptivePolicy(initial=100.0, window=1.0))
    for step in range(3):
        for _ in range(50):
            assert limit.admit()
        for _ in range(50):
            limit.release(float(step), 0.1, FAILED)
    assert limit.limit == pytest.approx(72.9)


def test_what_says_nothing_changes_nothing():
    limit = AdaptiveLimit(AdaptivePolicy())
    for number in range(200):
        assert limit.admit()
        limit.release(float(number), 30.0, ABANDONED)
    assert (limit.limit, limit.active) == (20.0, 0)


@pytest.mark.parametrize(("outcome", "bound"), [(OK, 30.0), (FAILED, 8.0)])
def test_it_stays_within_its_bounds(outcome, bound):
    limit = AdaptiveLimit(AdaptivePolicy(initial=20.0, lowest=8.0, highest=30.0, window=0.0, samples=1))
    for now in range(300):
        count = 0
        while limit.admit(HIGH):
            count += 1
        for _ in range(count):
            limit.release(float(now), 0.05, outcome)
    assert limit.limit == bound


def test_the_lowest_priority_is_shed_first():
    limit = AdaptiveLimit(AdaptivePolicy(initial=10.0, shares=(1.0, 0.9, 0.7)))
    admitted = {LOW: 0, NORMAL: 0, HIGH: 0}
    for priority in admitted:
        while limit.admit(priority):
            admitted[priority] += 1
    assert admitted == {LOW: 7, NORMAL: 2, HIGH: 1}
    assert limit.shed == [1, 1, 1]


def test_no_priority_is_shut_out_of_an_idle_service():
    limit = AdaptiveLimit(AdaptivePolicy(initial=1.0, lowest=1.0))
    assert limit.admit(LOW)
    assert not limit.admit(HIGH)


@given(
    st.lists(
        st.tuples(
            st.floats(-5.0, 5.0), st.floats(0.0, 100.0), st.integers(0, 2), st.integers(0, 2), st.integers(0, 20)
        ),
        max_size=60,
    )
)
@settings(max_examples=100)
def test_whatever_comes_it_counts_right_and_keeps_its_bounds(steps):
    policy = AdaptivePolicy(lowest=2.0, highest=50.0, window=0.1, samples=2)
    limit = AdaptiveLimit(policy)
    now, active = 0.0, 0
    for step, elapsed, outcome, priority, count in steps:
        now += step
        for _ in range(count):
            active += limit.admit(priority)
            assert active <= max(1.0, 50.0 * policy.shares[HIGH])
        for _ in range(min(active, count)):
            limit.release(now, elapsed, outcome)
            active -= 1
        assert limit.active == active
        assert policy.lowest <= limit.limit <= policy.highest
