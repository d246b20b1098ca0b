"""One timer a connection."""

from __future__ import annotations

import gc
import weakref

from twisted.internet.task import Clock

from apigw.deadline import Deadline


class Connection:
    """Has a deadline, which leads back to it."""

    def __init__(self, clock: Clock) -> None:
        self.expiries = 0
        self.deadline = Deadline(clock, self.expired, 10.0, clock.seconds)
        self.deadline.set(5.0)

    def expired(self) -> None:
        self.expiries += 1


def test_it_comes_at_its_moment() -> None:
    clock = Clock()
    connection = Connection(clock)
    clock.advance(4.9)
    connection.deadline.at = 8.0
    clock.advance(3.0)
    assert connection.expiries == 0
    clock.advance(0.2)
    assert connection.expiries == 1


def test_a_connection_whose_deadline_has_stopped_is_gone_without_the_collector() -> None:
    clock = Clock()
    connection = Connection(clock)
    there = weakref.ref(connection)
    gc.disable()
    try:
        connection.deadline.stop()
        del connection
        assert there() is None
    finally:
        gc.enable()
    assert clock.getDelayedCalls() == []
