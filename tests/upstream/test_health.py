"""When peers are checked, under Twisted's Clock, and what another process has found."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.web.iweb import IAgent
from zope.interface import implementer

from apigw.policy.health import HealthPolicy
from apigw.upstream.health import CheckSettings, HealthCheck
from apigw.upstream.peer import Peer
from tests.kit import Memory


@implementer(IAgent)
class Refuses:
    """No connection is made. :ivar asked: when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked: list[float] = []

    def request(self, *_: object, **__: object) -> Deferred[object]:
        self.asked.append(self._clock.seconds())
        return fail(ConnectionRefusedError())


class Checked:
    def __init__(self, interval: float) -> None:
        self.clock = Clock()
        self.agent = Refuses(self.clock)
        self.changes: list[Peer] = []
        self.peer: Peer = Memory().peers[0]
        settings = CheckSettings(HealthPolicy(interval=interval, interval_down=interval, unhealthy_after=3))
        self.check = HealthCheck(
            self.peer, self.agent, settings, self.clock, self.clock.seconds, Random(1), self.changes.append
        )

    @property
    def healthy(self) -> bool:
        assert self.peer.health is not None
        return self.peer.health.healthy


def test_checks_are_an_interval_apart_give_or_take_a_tenth() -> None:
    checked = Checked(10.0)
    checked.check.start()
    for _ in range(10_000):
        checked.clock.advance(0.1)
    checked.check.stop()
    asked = checked.agent.asked
    pauses = [after - before for before, after in pairwise(asked)]
    assert 90 <= len(pauses) <= 110
    assert min(pauses) > 8.8
    assert max(pauses) < 11.2


def test_what_another_has_found_counts_at_once() -> None:
    checked = Checked(10.0)
    checked.check.told(False, "status 500")
    assert (checked.healthy, checked.changes) == (False, [checked.peer])
    checked.check.told(False, "status 502")
    assert len(checked.changes) == 1
    assert checked.peer.health is not None
    assert checked.peer.health.reason == "status 502"
    checked.check.told(True, "")
    assert (checked.healthy, len(checked.changes)) == (True, 2)


@pytest.mark.parametrize("known", [False, True])
def test_the_first_check_decides_unless_something_is_known(known: bool) -> None:
    checked = Checked(10.0)
    if known:
        checked.check.told(True, "")
    checked.check.start()
    checked.clock.advance(1.0)
    assert len(checked.agent.asked) == 1
    assert checked.healthy is known
    checked.check.stop()
