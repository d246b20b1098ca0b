"""What is kept of the last requests."""

from __future__ import annotations

from pytest import approx

from apigw.stages.recording import Recording
from apigw.telemetry.recent import DETAILED, KEPT, Recent
from apigw.telemetry.tallies import percentile
from tests.kit import Memory

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
GET = b"GET /users/7?token=secret HTTP/1.1\r\nHost: gw\r\n\r\n"


def recorded(**more: object) -> tuple[Memory, Recent]:
    holder: list[Recent] = []
    memory = Memory(stages=[Recording(lambda exchange: holder[0].ended(exchange))], **more)  # type: ignore[arg-type]
    holder.append(Recent(memory.clock.seconds))
    return memory, holder[0]


def test_the_phases_of_a_request_add_up() -> None:
    memory, recent = recorded()
    client = memory.client()
    client.feed(GET)
    memory.clock.advance(0.25)
    memory.dials[0].feed(OK)
    tally = recent.turn()["memory"]
    assert (tally.service, percentile(tally.latencies, 0.5)) == ("memory", approx(0.25, rel=0.025))
    assert (tally.failed, tally.refused) == (0, {})
    [record] = recent.kept
    assert (record.ended, record.seconds, record.route, record.service) == (0.25, 0.25, "memory", "memory")
    assert (record.status, record.error) == (200, "")
    assert (record.number, record.shown, record.path, record.sent) == (1, "/users/7?token=*", b"/users/7", 2)
    [attempt] = record.tries
    assert (attempt.begun, attempt.queued, attempt.waited, attempt.status) == (0.0, 0.0, 0.25, 200)
    assert recent.turn() == {}
    assert len(recent.kept) == 1


def test_a_failed_attempt_is_told() -> None:
    memory, recent = recorded()
    client = memory.client()
    client.feed(GET)
    memory.dials[0].reset()
    assert recent.turn()["memory"].failed == 1
    [record] = recent.kept
    assert (record.status, record.error) == (502, "upstream-reset")
    assert [attempt.error for attempt in record.tries] == ["upstream-reset"]


def test_of_many_all_are_counted_and_some_kept() -> None:
    memory, recent = recorded()
    client = memory.client()
    for _ in range(DETAILED + 10):
        client.feed(GET)
        memory.dials[0].feed(OK)
    assert sum(recent.turn()["memory"].latencies.values()) == DETAILED + 10
    assert (len(recent.kept), recent.number) == (DETAILED, DETAILED)
    for _ in range(KEPT):
        client.feed(GET)
        memory.dials[0].feed(OK)
        recent.turn()
    assert len(recent.kept) == KEPT
    assert recent.kept[-1].number == recent.number == DETAILED + KEPT
