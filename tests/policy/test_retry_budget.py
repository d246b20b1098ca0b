"""The budget: never more than it says, and never less than its floor."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.policy.retry_budget import RetryBudget

STEPS = st.lists(st.tuples(st.floats(0.0, 4.0), st.integers(0, 30), st.integers(0, 30)), max_size=60)


@given(STEPS, st.sampled_from([0.0, 0.1, 0.2, 1.0]), st.sampled_from([0.0, 0.5, 3.0]))
@settings(max_examples=150)
def test_never_more_than_ratio_and_floor(steps, ratio, floor):
    budget = RetryBudget(ratio, floor)
    now, requests, begun, spent = 0.0, 0, 0.0, 0
    for step, deposits, withdrawals in steps:
        now += step
        for _ in range(deposits):
            budget.deposit(now)
        requests += deposits
        for _ in range(withdrawals):
            spent += budget.withdraw(now)
        assert spent <= ratio * requests + floor * (now - begun) + max(floor, 1.0 if floor else 0.0) + 1e-6
    assert budget.spent == spent
    assert budget.spent + budget.refused == sum(withdrawals for _, _, withdrawals in steps)


@given(STEPS)
def test_what_is_old_is_not_spent(steps):
    """No more at any time than a fifth of the requests of the window."""
    budget = RetryBudget(0.2, 0.0, window=10.0)
    now = 0.0
    deposits: list[float] = []
    for step, count, withdrawals in steps:
        now += step
        for _ in range(count):
            budget.deposit(now)
            deposits.append(now)
        recent = sum(1 for then in deposits if then >= now - 10.0 - 1e-6)
        assert sum(budget.withdraw(now) for _ in range(withdrawals)) <= 0.2 * recent + 1e-6


def test_a_service_that_refuses_all_gets_its_requests_and_a_fifth_and_the_floor():
    budget = RetryBudget()
    retries = 0
    for number in range(100 * 60):
        now = number / 100
        budget.deposit(now)
        retries += sum(budget.withdraw(now) for _ in range(2))
    assert 0.2 * 6000 + 3 * 59 <= retries <= 0.2 * 6000 + 3 * 61


def test_the_floor_is_there_without_any_request():
    budget = RetryBudget(0.2, 3.0)
    assert [budget.withdraw(0.0) for _ in range(4)] == [True, True, True, False]
    assert not budget.withdraw(0.3)
    assert budget.withdraw(0.34)
    assert [budget.withdraw(1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_floor_below_one_a_second():
    budget = RetryBudget(0.0, 0.5)
    assert sum(budget.withdraw(quarter / 4) for quarter in range(4 * 20 + 1)) == 11


def test_nothing_of_nothing():
    budget = RetryBudget(0.0, 0.0)
    budget.deposit(0.0)
    assert not budget.withdraw(1000.0)


def test_deposits_last_for_the_window():
    budget = RetryBudget(0.5, 0.0, window=10.0)
    for _ in range(10):
        budget.deposit(0.0)
    assert budget.withdraw(8.9)
    assert not budget.withdraw(10.1)
    budget.deposit(1e9)
    budget.deposit(1e9)
    assert budget.withdraw(1e9)
    assert not budget.withdraw(1e9)


def test_the_oldest_deposits_are_spent_first():
    budget = RetryBudget(1.0, 0.0, window=10.0)
    budget.deposit(0.0)
    budget.deposit(9.0)
    assert budget.withdraw(9.0)
    assert budget.withdraw(15.0)
    assert not budget.withdraw(15.0)


@given(st.lists(st.floats(-1e12, 1e12), max_size=50))
def test_any_time_is_borne(times):
    budget = RetryBudget()
    for now in times:
        budget.deposit(now)
        budget.withdraw(now)
    assert budget.spent <= 3.0 + 0.2 * len(times) + 3.0 * (max(times, default=0.0) - min(times, default=0.0))


@pytest.mark.parametrize("wrong", [(-0.1, 3.0, 10.0), (0.2, -1.0, 10.0), (0.2, 3.0, 0.0)])
def test_wrong_numbers(wrong):
    with pytest.raises(ValueError, match="negative"):
        RetryBudget(*wrong)
