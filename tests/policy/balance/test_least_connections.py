"""The fewest requests under way."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.policy.balance.least_connections import LeastConnections
from apigw.policy.outcome import OK
from tests.policy.balance.crowd import Peer, anyone, crowd


@given(
    weights=st.lists(st.integers(1, 5), min_size=1, max_size=8),
    steps=st.lists(st.tuples(st.sampled_from("ppde"), st.integers(0, 99)), max_size=250),
)
@settings(max_examples=100)
def test_it_is_always_the_least_of_the_usable(weights, steps):
    """Against looking at all, with ends, takes and refusals in any order."""
    members = crowd(weights)
    mine: LeastConnections[int] = LeastConnections(Random(1))
    mine.update(members, 0.0)
    under_way: list[Peer] = []
    for step, number in steps:
        if step == "d" and under_way:
            mine.done(under_way.pop(number % len(under_way)), 0.0, 0.1, OK)
        elif step == "e":
            candidate = members[number % len(members)]
            mine.take(candidate, 0.0)
            under_way.append(candidate)
        else:
            refused = number % (2 * len(members))
            loads = {c.peer: c.active / c.weight for c in members if c.peer != refused}
            picked = mine.pick(0.0, None, lambda c, refused=refused: c.peer != refused)
            if picked is None:
                assert not loads
            else:
                assert loads[picked.peer] == min(loads.values())
                under_way.append(picked)


def test_what_is_remembered_stays_small():
    members = crowd([1] * 10)
    mine: LeastConnections[int] = LeastConnections(Random(1))
    mine.update(members, 0.0)
    busy = [mine.pick(0.0, None, anyone) for _ in range(10)]
    assert None not in busy
    for _ in range(5000):
        picked = mine.pick(0.0, None, anyone)
        assert picked is not None
        mine.done(picked, 0.0, 0.1, OK)
    assert len(mine._heap) <= 4 * 10 + 64


def test_equals_take_turns():
    mine: LeastConnections[int] = LeastConnections(Random(1))
    mine.update(crowd([1] * 5), 0.0)
    picked = []
    for _ in range(20):
        candidate = mine.pick(0.0, None, anyone)
        assert candidate is not None
        mine.done(candidate, 0.0, 0.1, OK)
        picked.append(candidate.peer)
    assert all(set(picked[at : at + 5]) == set(range(5)) for at in range(0, 20, 5))


def test_who_was_refused_once_is_not_forgotten_when_all_are_idle():
    members = crowd([1, 1])
    mine: LeastConnections[int] = LeastConnections(Random(1))
    mine.update(members, 0.0)
    assert mine.pick(0.0, None, lambda candidate: candidate.peer == 1) is members[1]
    mine.done(members[1], 0.0, 0.1, OK)
    picked = set()
    for _ in range(4):
        candidate = mine.pick(0.0, None, anyone)
        assert candidate is not None
        mine.done(candidate, 0.0, 0.1, OK)
        picked.add(candidate.peer)
    assert picked == {0, 1}


def test_a_check_that_fails_loses_nobody():
    members = crowd([1, 1, 1])
    mine: LeastConnections[int] = LeastConnections(Random(1))
    mine.update(members, 0.0)
    asked: list[Peer] = []

    def broken(candidate: Peer) -> bool:
        asked.append(candidate)
        if len(asked) > 1:
            raise OSError
        return False

    with pytest.raises(OSError):
        mine.pick(0.0, None, broken)
    picked = [mine.pick(0.0, None, anyone) for _ in range(3)]
    assert {candidate.peer for candidate in picked if candidate} == {0, 1, 2}
