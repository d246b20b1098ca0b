"""A configuration is made ready in turns, and reloads come one after the other."""

from __future__ import annotations

from time import monotonic

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from apigw.config.steps import Steps
from apigw.reload import CannotStart, Commit, Reload, Source, in_turns
from apigw.telemetry.reloads import Reloads


@pytest_twisted.ensureDeferred
async def test_the_reactor_has_its_turns() -> None:
    turns: list[float] = []

    def work() -> Steps[str]:
        for _ in range(5):
            until = monotonic() + 0.003
            while monotonic() < until:
                pass
            yield
        return "made"

    def turn() -> None:
        turns.append(monotonic())
        if len(turns) < 4:
            reactor.callLater(0.0, turn)  # type: ignore[attr-defined]

    reactor.callLater(0.0, turn)  # type: ignore[attr-defined]
    assert await in_turns(work(), reactor) == "made"
    assert len(turns) >= 4


@pytest_twisted.ensureDeferred
async def test_what_a_step_raises_is_raised() -> None:
    def work() -> Steps[None]:
        yield
        raise CannotStart("no")

    with pytest.raises(CannotStart, match="no"):
        await in_turns(work(), reactor)


class Prepared:
    """Takes the place of a gateway. :ivar done: what was done, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fails: Exception | None = None

    async def __call__(self, text: str) -> Commit:
        self.done.append("prepare")
        await deferLater(reactor, 0.0)
        if self.fails is not None:
            raise self.fails
        return Commit(lambda: self.done.append("take"), lambda: self.done.append("give up"))


@pytest_twisted.ensureDeferred
async def test_reloads_come_one_after_the_other() -> None:
    prepared, told = Prepared(), Reloads(0.0)
    reload = Reload(Source(None, {}), prepared, told)
    first: Deferred[bool] = reload()
    second: Deferred[bool] = reload()
    assert (await first, await second) == (True, True)
    assert prepared.done == ["prepare", "take", "prepare", "take"]
    assert (told.done, told.refused, told.reason) == (2, 0, "")


@pytest_twisted.ensureDeferred
async def test_why_one_is_refused_is_kept_until_one_is_not() -> None:
    prepared, told = Prepared(), Reloads(0.0)
    reload = Reload(Source(None, {}), prepared, told)
    prepared.fails = CannotStart("[listener:x] taken")
    assert await reload() is False
    assert (told.told()["status"], told.reason) == ("refused", "[listener:x] taken")
    prepared.fails = None
    assert await reload() is True
    assert (told.told()["status"], told.done, told.refused) == ("ok", 1, 1)


@pytest_twisted.ensureDeferred
async def test_a_file_that_is_gone_is_a_reason_too(tmp_path) -> None:  # type: ignore[no-untyped-def]
    told = Reloads(0.0)
    assert await Reload(Source(str(tmp_path / "gw.ini"), {}), Prepared(), told)() is False
    assert "can't be read" in told.reason
