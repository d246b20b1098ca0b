"""The better of two."""

from __future__ import annotations

from random import Random

from apigw.policy.balance.p2c import PowerOfTwoChoices
from apigw.policy.balance.random import WeightedRandom
from tests.policy.balance.crowd import anyone, crowd, held


def longest(kind: type[WeightedRandom[int]]) -> int:
    members = crowd([1] * 200)
    balancer = kind(Random(7))
    balancer.update(members, 0.0)
    held(balancer, 2000)
    return max(member.active for member in members)


def test_two_choices_keep_the_longest_line_short_where_one_does_not():
    assert longest(PowerOfTwoChoices) <= 13 < 18 <= longest(WeightedRandom)


def test_of_two_peers_the_less_loaded_is_picked_unless_both_draws_are_the_other():
    members = crowd([1, 1])
    balancer: PowerOfTwoChoices[int] = PowerOfTwoChoices(Random(1))
    balancer.update(members, 0.0)
    members[0].active = 1000
    assert {candidate.peer for candidate in held(balancer, 500)} == {1}


def test_load_counts_by_weight():
    members = crowd([4, 1])
    balancer: PowerOfTwoChoices[int] = PowerOfTwoChoices(Random(1))
    balancer.update(members, 0.0)
    members[0].active, members[1].active = 7, 2
    picked = balancer.pick(0.0, None, anyone)
    assert picked is members[0]
    members[0].active, members[1].active = 9, 2
    assert balancer.pick(0.0, None, anyone) is members[1]
