"""Balancers by the names that ``balance`` has for them."""

from __future__ import annotations

from typing import Any

from apigw.policy.balance.balancer import Balancer, Chance
from apigw.policy.balance.consistent_hash import ConsistentHash
from apigw.policy.balance.ewma import PeakEwma
from apigw.policy.balance.least_connections import LeastConnections
from apigw.policy.balance.p2c import PowerOfTwoChoices
from apigw.policy.balance.random import WeightedRandom
from apigw.policy.balance.round_robin import RoundRobin

BALANCERS: dict[str, type[Balancer[Any]]] = {
    "round_robin": RoundRobin,
    "least_connections": LeastConnections,
    "p2c": PowerOfTwoChoices,
    "ewma": PeakEwma,
    "random": WeightedRandom,
    "consistent_hash": ConsistentHash,
}


def balancer(name: str, chance: Chance) -> Balancer[Any]:
    """
    A new balancer.

    :param name: a key of :data:`BALANCERS`.
    :raises KeyError: there is no such balancer.
    """
    return BALANCERS[name](chance)
