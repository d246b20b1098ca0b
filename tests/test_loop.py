"""The turn of the loop, and its end."""

from __future__ import annotations

from apigw.loop import at_turn_end
from tests.turns import in_one_turn


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
