"""Turns by weight."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.policy.balance.round_robin import RoundRobin
from apigw.policy.outcome import OK
from tests.policy.balance.crowd import anyone, crowd, expected, held, nobody


def made(weights: list[int], seed: int = 1) -> RoundRobin[int]:
    balancer: RoundRobin[int] = RoundRobin(Random(seed))
    balancer.update(crowd(weights), 0.0)
    return balancer


@given(st.lists(st.integers(1, 30), min_size=1, max_size=15), st.integers(1, 500), st.integers(0, 9))
@settings(max_examples=100)
def test_at_any_time_each_has_its_share_within_one_turn(weights, count, seed):
    """Not only in the long run: that is what smooth means."""
    picked = [candidate.peer for candidate in held(made(weights, seed), count)]
    # The turns of a place in the order end with those before it: up to one turn of each other one is open.
    for index, share in enumerate(expected(weights, count)):
        slack = 1 + len(weights) * weights[index] / sum(weights)
        assert abs(picked.count(index) - share) <= slack


def test_equal_weights_go_round():
    picked = [candidate.peer for candidate in held(made([1, 1, 1, 1]), 40)]
    assert all(set(picked[at : at + 4]) == {0, 1, 2, 3} for at in range(0, 40, 4))


def test_the_heavy_one_is_spread_among_the_light():
    picked = [candidate.peer for candidate in held(made([5, 1, 1]), 70)]
    assert max(sum(1 for _ in run) for run in "".join("x" if p == 0 else " " for p in picked).split()) <= 5
    assert 49 <= picked.count(0) <= 51


def test_gateways_begin_with_different_peers():
    begun = {held(made([1] * 10, seed), 1)[0].peer for seed in range(40)}
    assert len(begun) > 5


def test_a_turn_that_was_refused_is_lost():
    balancer = made([1, 1, 1])
    for _ in range(300):
        candidate = balancer.pick(0.0, None, lambda candidate: candidate.peer != 0)
        assert candidate is not None
        balancer.done(candidate, 0.0, 0.0, OK)
    after = [candidate.peer for candidate in held(balancer, 30)]
    assert after[:6].count(0) <= 3
    assert 9 <= after.count(0) <= 11


def test_while_all_refuse_nobody_loses_its_turn():
    balancer = made([7, 1])
    for _ in range(1000):
        assert balancer.pick(0.0, None, nobody) is None
    picked = [candidate.peer for candidate in held(balancer, 80)]
    assert 9 <= picked.count(1) <= 11


def test_the_light_one_has_its_turn_though_all_refuse_now_and_then():
    balancer = made([7, 1])
    counts = [0, 0]
    for _ in range(80):
        assert balancer.pick(0.0, None, nobody) is None
        counts[held(balancer, 1)[0].peer] += 1
    assert 9 <= counts[1] <= 11


def test_who_comes_back_after_long_does_not_get_all_turns():
    members = crowd([1, 1, 1])
    balancer: RoundRobin[int] = RoundRobin(Random(3))
    balancer.update(members, 0.0)
    held(balancer, 3)
    balancer.update(members[:2], 0.0)
    held(balancer, 500)
    balancer.update(members, 0.0)
    assert 9 <= [candidate.peer for candidate in held(balancer, 30)].count(2) <= 11


def test_candidates_of_another_balancer_are_seated_anew():
    members = crowd([1, 1, 1])
    first: RoundRobin[int] = RoundRobin(Random(3))
    first.update(members[:1], 0.0)
    held(first, 1000)
    second: RoundRobin[int] = RoundRobin(Random(3))
    second.update(members, 0.0)
    assert 9 <= [candidate.peer for candidate in held(second, 30)].count(0) <= 11


def test_a_check_that_fails_loses_nobody():
    balancer = made([1, 1, 1])
    asked = []

    def broken(candidate):
        asked.append(candidate)
        if len(asked) > 1:
            raise OSError
        return False

    try:
        balancer.pick(0.0, None, broken)
    except OSError:
        pass
    assert {candidate.peer for candidate in held(balancer, 6)} == {0, 1, 2}
    assert balancer.pick(0.0, None, anyone) is not None
