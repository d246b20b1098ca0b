"""The turn of the loop, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor

from apigw.loop import MOST, at_turn_end, steady
from tests.turns import in_one_turn


@pytest.fixture
def reactor() -> Iterator[Any]:
    """One that doesn't run."""
    made = EPollReactor()
    yield made
    for reader in made._internalReaders:
        made.removeReader(reader)
        reader.connectionLost(None)
    made._poller.close()


def test_the_end_of_a_turn_comes_after_all_that_is_ready():
    order = []

    def ready():
        order.append("ready")
        at_turn_end(lambda: order.append("end"))

    in_one_turn(ready, ready, ready)
    assert order == ["ready"] * 3 + ["end"] * 3


def test_outside_of_a_turn_and_at_its_end_there_is_nothing_to_wait_for():
    order = []
    at_turn_end(lambda: order.append("outside"))
    assert order == ["outside"]

    def end():
        at_turn_end(lambda: order.append("within"))
        order.append("end")

    in_one_turn(lambda: at_turn_end(end))
    assert order == ["outside", "within", "end"]


def test_what_fails_keeps_nothing_else_from_its_end(logged_errors):
    order = []

    def fails():
        raise ZeroDivisionError

    in_one_turn(lambda: at_turn_end(fails), fails, lambda: at_turn_end(lambda: order.append("end")))
    assert order == ["end"]
    assert len(logged_errors.flush()) == 2


def test_timers_go_by_monotonic_time(reactor):
    before = reactor.callLater(100.0, list)
    steady(reactor)
    steady(reactor)  # which changes nothing more
    after = reactor.callLater(90.0, list)
    assert reactor.seconds is monotonic
    assert 99.0 < before.getTime() - monotonic() <= 100.0
    assert 89.0 < after.getTime() - monotonic() <= 90.0
    assert 89.0 < reactor.timeout() <= 90.0
    before.reset(50.0)
    assert 49.0 < reactor.timeout() <= 50.0


def test_timers_of_a_reactor_that_runs_stay_as_they_are(reactor):
    reactor.running = True
    steady(reactor)
    assert reactor.seconds is not monotonic


def test_a_turn_has_its_bounds():
    order = []
    in_one_turn(*[lambda: order.append("ready")] * (MOST + 5))
    assert len(order) == MOST
