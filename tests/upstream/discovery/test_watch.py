"""Sources are asked for ever, one question at a time, and the last good list outlives whatever they do."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from apigw.upstream.discovery.source import Answer, Found, Malformed, SourceFailed
from apigw.upstream.discovery.watch import FIRST_RETRY, JITTER, LAST_RETRY, Watch

ONE = Found(scheme="http", host="10.0.0.1", port=1)
TWO = Found(scheme="http", host="10.0.0.2", port=2)


@define
class Scripted:
    """Answers as told; an exception is raised, a Deferred waited for."""

    script: list[object]
    label: str = "scripted"
    asked: list[float] = field(factory=list)
    clock: Clock = field(factory=Clock)
    closed: int = 0

    async def fetch(self) -> Answer:
        self.asked.append(self.clock.seconds())
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Deferred):
            step = await step
        if isinstance(step, BaseException):
            raise step
        assert isinstance(step, Answer)
        return step

    def close(self) -> None:
        self.closed += 1


def watching(*script: object) -> tuple[Scripted, Watch, list[Sequence[Found]]]:
    source = Scripted(list(script))
    lists: list[Sequence[Found]] = []
    return source, Watch("user", source, lists.append, source.clock, source.clock.seconds, Random(1)), lists


@pytest.fixture
def warnings():
    events: list[str] = []

    def observe(event: LogEvent) -> None:
        if str(event.get("log_namespace", "")).endswith("watch.Watch") and event["log_level"] >= LogLevel.info:
            events.append(event["log_format"].format(**{k: v for k, v in event.items() if k != "log_format"}))

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


def test_asks_at_once_and_again_after_the_ttl_but_never_before():
    source, watch, lists = watching(Answer((ONE,), 10.0), Answer((ONE, TWO), 10.0))
    watch.startService()
    assert lists == [(ONE,)]
    source.clock.advance(9.99)
    assert len(source.asked) == 1
    source.clock.advance(10.0 * JITTER + 0.01)
    assert len(source.asked) == 2
    assert lists == [(ONE,), (ONE, TWO)]
    watch.stopService()
    assert source.clock.getDelayedCalls() == []


def test_the_same_list_in_another_order_is_no_change():
    source, watch, lists = watching(Answer((ONE, TWO), 1.0), Answer((TWO, ONE, TWO), 1.0))
    watch.startService()
    source.clock.advance(2.0)
    assert len(source.asked) == 2
    assert lists == [(ONE, TWO)]
    watch.stopService()


def test_questions_never_overlap():
    waiting: Deferred[Answer] = Deferred()
    source, watch, lists = watching(waiting, Answer((ONE,), 5.0))
    watch.startService()
    source.clock.advance(1000.0)
    assert len(source.asked) == 1
    waiting.callback(Answer((TWO,), 5.0))
    assert lists == [(TWO,)]
    watch.stopService()


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (SourceFailed("is down"), "unreachable"),
        (Malformed("is no list"), "malformed"),
        (RuntimeError("bug"), "error"),
        (Answer((), 5.0), "empty"),
    ],
)
def test_a_source_that_fails_or_empties_keeps_the_list_and_is_said_once(trouble, kind, warnings):
    source, watch, lists = watching(Answer((ONE,), 5.0), trouble, trouble, trouble, Answer((TWO,), 5.0))
    watch.startService()
    source.clock.advance(6.0)
    assert watch.failing_since == source.clock.seconds()
    assert watch.last_error
    assert lists == [(ONE,)]
    assert watch.found == (ONE,)
    source.clock.advance(FIRST_RETRY * 1.1)
    source.clock.advance(FIRST_RETRY * 2.2)
    assert watch.failures == {kind: 3}
    assert len(warnings) == 1
    assert watch.last_error in warnings[0]
    assert "its last 1 addresses stay in use" in warnings[0]
    source.clock.advance(FIRST_RETRY * 4.4)
    assert lists == [(ONE,), (TWO,)]
    assert watch.failing_since is None
    assert warnings[1:] == ["service user: scripted answers again"]
    watch.stopService()


def test_attempts_at_a_dead_source_become_rare_but_go_on():
    source, watch, lists = watching(SourceFailed("is down"))
    watch.startService()
    for _ in range(4000):
        source.clock.advance(0.5)
    pauses = [after - before for before, after in zip(source.asked, source.asked[1:], strict=False)]
    assert pauses[0] < 2.0
    assert all(LAST_RETRY <= pause <= LAST_RETRY * (1 + JITTER) + 0.5 for pause in pauses[6:])
    assert len(pauses) > 50
    assert lists == []
    watch.stopService()


def test_a_list_that_cannot_be_taken_does_not_end_the_watch(logged_errors):
    source = Scripted([Answer((ONE,), 1.0), Answer((TWO,), 1.0)])
    taken = []

    def changed(found: Sequence[Found]) -> None:
        taken.append(found)
        raise ZeroDivisionError

    watch = Watch("user", source, changed, source.clock, source.clock.seconds, Random(1))
    watch.startService()
    source.clock.advance(1.5)
    assert taken == [(ONE,), (TWO,)]
    assert watch.failures == {"unusable": 2}
    watch.stopService()
    assert len(logged_errors.flush(ZeroDivisionError)) == 2


def test_stopping_gives_up_on_the_question_under_way_and_says_nothing(warnings):
    cancelled = []
    source, watch, _ = watching(Deferred(cancelled.append), Answer((ONE,), 1.0))
    watch.startService()
    assert watch.stopService().called
    assert len(cancelled) == 1
    assert source.closed == 1
    assert warnings == []
    assert not watch.failures
    assert source.clock.getDelayedCalls() == []


def test_a_question_that_is_cancelled_from_within_is_a_failure_like_others():
    waiting: Deferred[Answer] = Deferred()
    source, watch, lists = watching(waiting, Answer((ONE,), 1.0))
    watch.startService()
    waiting.cancel()
    assert watch.failures == {"error": 1}
    source.clock.advance(2.0)
    assert lists == [(ONE,)]
    watch.stopService()


def test_starts_again_after_a_stop():
    _, watch, lists = watching(Answer((ONE,), 1.0), Answer((TWO,), 1.0))
    watch.startService()
    watch.stopService()
    watch.startService()
    assert lists == [(ONE,), (TWO,)]
    watch.stopService()
