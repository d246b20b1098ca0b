"""The memory that workers share, from hand to hand."""

from __future__ import annotations

import os
from contextlib import closing

import pytest

from apigw.policy.gcra import Quota
from apigw.state.segment import create
from apigw.state.shared import PASSED, SharedMemory

TWO = Quota("ip", 2, 60.0, 2)


def test_who_gets_it_counts_in_it() -> None:
    made = SharedMemory.create(1000, 2)
    os.set_inheritable(made.quotas, True)
    passed = SharedMemory.passed({"HOME": "/", **made.environment(0)})
    assert passed == made
    assert not os.get_inheritable(made.quotas)
    with closing(made.open_quotas()) as one, closing(passed.open_quotas()) as two:
        assert not one.take(1.0, ((TWO, "a"),)).wait
        assert not two.take(1.0, ((TWO, "a"),)).wait
        assert one.take(1.0, ((TWO, "a"),)).wait
    made.close()


def test_workers_count_what_is_under_way_by_their_numbers() -> None:
    made = SharedMemory.create(1000, 2)
    one, two = (SharedMemory.passed(made.environment(number)) for number in range(2))
    assert one is not None
    assert two is not None
    with closing(one.open_in_flight()) as first, closing(two.open_in_flight()) as second:
        assert first.enter([(1, "a")]) == -1
        assert second.enter([(1, "a")]) == 0
        with closing(one.open_in_flight()):
            assert second.enter([(1, "a")]) == -1
    made.close()


def test_where_nothing_was_passed_on_there_is_none() -> None:
    assert SharedMemory.passed({}) is None


def test_something_else_is_refused() -> None:
    descriptor = create(64)
    passed = SharedMemory.passed({PASSED: f"{descriptor}:{descriptor}:6400:1:0:/nowhere"})
    assert passed is not None
    with pytest.raises(ValueError, match="made for another configuration"):
        passed.open_quotas()
    os.close(descriptor)
