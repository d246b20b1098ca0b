"""Chance by weight."""

from __future__ import annotations

from apigw.policy.balance.random import WeightedRandom
from tests.policy.balance.crowd import anyone, crowd


class Scripted:
    """Draws from a list."""

    def __init__(self, *draws: float) -> None:
        self._draws = list(draws)

    def random(self) -> float:
        return self._draws.pop(0)


def test_each_part_of_the_line_belongs_to_one():
    draws = (0.0, 0.0999, 0.1, 0.3999, 0.4, 1.0 - 2**-53)
    balancer: WeightedRandom[int] = WeightedRandom(Scripted(*draws))
    balancer.update(crowd([1, 3, 6]), 0.0)
    assert [balancer.pick(0.0, None, anyone).peer for _ in draws] == [0, 0, 1, 1, 2, 2]


def test_equal_weights_too():
    draws = (0.0, 0.333, 0.334, 0.999, 1.0 - 2**-53)
    balancer: WeightedRandom[int] = WeightedRandom(Scripted(*draws))
    balancer.update(crowd([5, 5, 5]), 0.0)
    assert [balancer.pick(0.0, None, anyone).peer for _ in draws] == [0, 0, 1, 2, 2]


def test_during_slow_start_a_draw_may_be_thrown_away():
    members = crowd([1, 1])
    members[0].ramp_begun, members[0].ramp_until = 0.0, 10.0
    draws = (0.2, 0.49, 0.2, 0.51, 0.9, 0.99)
    balancer: WeightedRandom[int] = WeightedRandom(Scripted(*draws))
    balancer.update(members, 5.0)
    assert [balancer.pick(5.0, None, anyone).peer for _ in range(2)] == [0, 1]
