"""By latency."""

from __future__ import annotations

from math import exp
from random import Random

import pytest

from apigw.policy.balance.ewma import FAILURE_COST, PeakEwma
from apigw.policy.outcome import ABANDONED, FAILED, OK
from tests.policy.balance.crowd import Peer, anyone, crowd


def made(members: list[Peer]) -> PeakEwma[int]:
    balancer: PeakEwma[int] = PeakEwma(Random(1), decay=10.0)
    balancer.update(members, 0.0)
    return balancer


def answered(balancer: PeakEwma[int], candidate: Peer, now: float, elapsed: float, outcome: int = OK) -> None:
    balancer.take(candidate, now)
    balancer.done(candidate, now, elapsed, outcome)


def test_a_peak_counts_at_once_and_fades_in_time():
    [candidate] = members = crowd([1])
    balancer = made(members)
    answered(balancer, candidate, 0.0, 0.1)
    assert balancer.cost(candidate, 0.0) == pytest.approx(0.1)
    answered(balancer, candidate, 1.0, 2.0)
    assert balancer.cost(candidate, 1.0) == pytest.approx(2.0)
    answered(balancer, candidate, 11.0, 0.1)
    assert balancer.cost(candidate, 11.0) == pytest.approx(0.1 + 1.9 * exp(-1))
    assert balancer.cost(candidate, 21.0) == pytest.approx((0.1 + 1.9 * exp(-1)) * exp(-1))


def test_requests_under_way_count_by_weight():
    members = crowd([1, 4])
    balancer = made(members)
    for member in members:
        answered(balancer, member, 0.0, 0.2)
        member.active = 4
    assert balancer.cost(members[0], 0.0) == pytest.approx(1.0)
    assert balancer.cost(members[1], 0.0) == pytest.approx(0.4)


def test_failing_fast_is_not_being_fast():
    [candidate] = members = crowd([1])
    balancer = made(members)
    answered(balancer, candidate, 0.0, 0.001, FAILED)
    assert balancer.cost(candidate, 0.0) == FAILURE_COST
    answered(balancer, candidate, 0.0, 3.0, FAILED)
    assert balancer.cost(candidate, 0.0) == 3.0


def test_what_nobody_waited_for_says_nothing():
    [candidate] = members = crowd([1])
    balancer = made(members)
    answered(balancer, candidate, 0.0, 5.0, ABANDONED)
    assert candidate.latency == 0.0


def test_a_slow_peer_gets_little_and_is_tried_again():
    members = crowd([1, 1, 1])
    balancer = made(members)
    counts = [0, 0, 0]
    for number in range(3000):
        now = number * 0.01
        picked = balancer.pick(now, None, anyone)
        assert picked is not None
        counts[picked.peer] += 1
        balancer.done(picked, now, 0.5 if picked.peer == 0 else 0.01, OK)
    assert counts[0] < 600
    late = [0, 0, 0]
    for number in range(12000):
        now = 30.0 + number * 0.01
        picked = balancer.pick(now, None, anyone)
        assert picked is not None
        late[picked.peer] += 1
        balancer.done(picked, now, 0.01, OK)
    assert late[0] > 1500


def test_a_new_peer_counts_as_an_average_one():
    members = crowd([1, 1])
    balancer = made(members)
    for number in range(2000):
        answered(balancer, members[0], number * 0.01, 0.3)
    assert balancer.cost(members[1], 20.0) == pytest.approx(0.3, rel=0.01)
