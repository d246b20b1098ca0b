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
    made = SharedMemory.create(1000)
    os.set_inheritable(made.descriptor, True)
    passed = SharedMemory.passed({"HOME": "/", **made.environment()})
    assert passed == made
    assert not os.get_inheritable(made.descriptor)
    with closing(made.zone()) as one, closing(passed.zone()) as two:
        assert not one.take(1.0, ((TWO, "a"),)).wait
        assert not two.take(1.0, ((TWO, "a"),)).wait
        assert one.take(1.0, ((TWO, "a"),)).wait
    os.close(made.descriptor)


def test_where_nothing_was_passed_on_there_is_none() -> None:
    assert SharedMemory.passed({}) is None


def test_something_else_is_refused() -> None:
    descriptor = create(64)
    passed = SharedMemory.passed({PASSED: f"{descriptor}:6400"})
    assert passed is not None
    with pytest.raises(ValueError, match="made for another configuration"):
        passed.zone()
    os.close(descriptor)
