"""Draws by weight."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.split import Draw, Entry, Share


def every(_: int) -> bool:
    return True


def draw(*weights: int) -> Draw:
    return Draw([Entry(f"s{index}", weight) for index, weight in enumerate(weights)])


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(any))
def test_as_many_turns_as_there_is_weight_give_each_its_exact_share(weights: list[int]) -> None:
    one = draw(*weights)
    for _ in range(2):
        found = Counter(one.turn(every) for _ in range(sum(weights)))
        assert found == Counter({index: weight for index, weight in enumerate(weights) if weight})


def test_turns_are_spread() -> None:
    one = draw(5, 1, 1)
    assert [one.turn(every) for _ in range(7)] == [0, 0, 1, 0, 2, 0, 0]  # as nginx has it


def test_to_peek_takes_no_turn() -> None:
    one = draw(1, 1)
    assert [one.peek(every), one.peek(every), one.turn(every), one.peek(every)] == [0, 0, 0, 1]


def test_what_is_not_usable_or_has_no_weight_is_never_drawn() -> None:
    one = draw(3, 0, 1)
    assert {one.turn(lambda index: index != 0) for _ in range(9)} == {2}
    assert one.turn(lambda index: index == 1) is None
    assert one.of(b"key", lambda index: index == 1) is None


def test_one_that_was_left_out_makes_up_for_nothing() -> None:
    one = draw(1, 1)
    for _ in range(100):
        one.turn(lambda index: index == 0)
    found = Counter(one.turn(every) for _ in range(10))
    assert found == {0: 5, 1: 5}


KEYS = [b"user-%d" % number for number in range(5000)]


def test_a_key_always_draws_the_same_and_all_keys_together_by_weight() -> None:
    one, other = draw(90, 10), draw(90, 10)
    assert [one.of(key, every) for key in KEYS] == [other.of(key, every) for key in KEYS]
    share = sum(one.of(key, every) == 1 for key in KEYS) / len(KEYS)
    assert 0.08 < share < 0.12


def test_only_keys_move_that_have_to() -> None:
    before, after = draw(95, 5), draw(80, 20)
    moved = Counter((before.of(key, every), after.of(key, every)) for key in KEYS)
    assert moved[1, 0] == 0
    assert moved[0, 1] > 0
    three = draw(1, 1, 1)
    for key in KEYS[:500]:
        home = three.of(key, every)
        left = three.of(key, lambda index: index != 2)
        assert left == home or home == 2


@pytest.mark.parametrize(("share", "of_a_hundred"), [(0.0, 0), (0.05, 5), (0.333, 33), (1.0, 100)])
def test_a_share_is_exact_and_even(share: float, of_a_hundred: int) -> None:
    one = Share(share)
    taken = [one.next() for _ in range(100)]
    assert abs(sum(taken) - of_a_hundred) <= (share == 0.333)
    if share == 0.05:
        assert all(sum(taken[at : at + 20]) == 1 for at in range(0, 100, 20))
