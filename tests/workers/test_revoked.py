"""What a supervisor keeps of revocations reaches workers that start, whoever has told it."""

from __future__ import annotations

import json

from twisted.internet.task import Clock

from apigw.policy.revocations import Revocation, Revocations
from apigw.workers.revoked import MOST, Known, Telling


def worker(known: Known, clock: Clock) -> tuple[Revocations, Telling, list[str]]:
    told: list[str] = []
    revocations = Revocations(clock.seconds)

    def tell(lines: str) -> None:
        told.append(lines)
        known.told(lines)

    return revocations, Telling(revocations, tell, clock), told


def test_all_that_a_worker_knows_is_known_to_the_next_one() -> None:
    clock = Clock()
    known = Known(clock.seconds, 100_000)
    first, _, told = worker(known, clock)
    for number in range(12_000):
        first.take(Revocation("jti", f"{number}\n\u2028é", 100.0 + number, 50.0))
    clock.advance(0.0)
    assert len(told) > 1
    assert max(map(len, told)) <= MOST
    second, telling, echoed = worker(known, clock)
    telling.know(known.text())
    clock.advance(0.0)
    assert second.listed == first.listed
    assert echoed == []


def test_what_is_taken_back_or_over_is_not_told() -> None:
    clock = Clock()
    known = Known(clock.seconds, 10)
    first, _, _ = worker(known, clock)
    first.take(Revocation("jti", "a", 10.0))
    first.take(Revocation("sub", "b", 20.0))
    first.take(Revocation("sub", "c", 5.0))
    clock.advance(0.0)
    first.drop("jti", "a")
    clock.advance(6.0)
    assert [json.loads(line)["value"] for line in known.text().splitlines()] == ["b"]


def test_what_operators_were_told_is_known_at_once() -> None:
    clock = Clock()
    known = Known(clock.seconds, 10)
    body = b'{"sub": "a/b", "expires": 30.0, "issued_before": 3.0}'
    assert known.answered(b"POST", b"/api/revocations", body)
    second, telling, _ = worker(known, clock)
    telling.know(known.text())
    assert second.listed == {("sub", "a/b"): Revocation("sub", "a/b", 30.0, 3.0)}
    assert known.answered(b"DELETE", b"/api/revocations/sub/a%2Fb", b"")
    assert known.text() == ""
    assert not known.answered(b"POST", b"/api/peers/drain", b"{}")
