"""Copies of requests: what is counted, what ends, and what is kept of a body."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.task import Clock

from apigw.body import RequestBody
from apigw.collected import Collected
from apigw.errors import UpstreamUnavailable
from apigw.messages import Attempt, Exchange, Response
from apigw.stages.mirror import Copies, Mirror
from tests.hygiene.log_errors import LoggedErrors
from tests.kit import asking


class Endless:
    """A body of which nothing comes."""

    discarded = 0

    def deliverBody(self, protocol: IProtocol) -> None:
        protocol.makeConnection(self)  # type: ignore[arg-type]

    def discard(self) -> None:
        self.discarded += 1


class Setting:
    def __init__(self, across: Callable[[Exchange], Any], share: float = 1.0, most: int = 2) -> None:
        self.clock = Clock()
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.copies = Copies("r", "s", share, across, most, 5.0, self.clock, self.counts)
        self.stage = Mirror([self.copies], 10)

    def ask(self, body: RequestBody | None = None, attempts: int = 1) -> None:
        exchange = asking(b"POST")
        exchange.request.body = body
        self.stage.request(exchange)
        exchange.attempts.extend(Attempt(0.0) for _ in range(attempts))
        self.stage.done(exchange)

    @property
    def outcomes(self) -> dict[str, int]:
        return {outcome: count for (_, _, outcome), count in self.counts.items()}


def answered(exchange: Exchange) -> Response:
    return Response(204, b"", [], b"")


def test_what_came_to_no_service_is_not_copied() -> None:
    one = Setting(answered)
    one.ask(attempts=0)
    one.ask()
    assert one.outcomes == {"2xx": 1}


def test_an_answer_without_an_end_is_cut() -> None:
    bodies: list[Endless] = []

    def across(exchange: Exchange) -> Response:
        bodies.append(Endless())
        return Response(200, b"", [], bodies[-1])

    one = Setting(across)
    for _ in range(3):
        one.ask()
    assert (one.copies.under_way, one.outcomes) == (2, {"full": 1})
    one.clock.advance(5.0)
    assert (one.copies.under_way, one.outcomes) == (0, {"full": 1, "timeout": 2})
    assert [body.discarded for body in bodies] == [1, 1]
    assert one.clock.getDelayedCalls() == []


def test_a_service_that_never_answers_is_given_up() -> None:
    one = Setting(lambda exchange: Deferred())
    one.ask()
    one.clock.advance(5.0)
    assert one.outcomes == {"timeout": 1}


def test_errors_are_counted_by_their_code_and_bugs_are_logged(logged_errors: LoggedErrors) -> None:
    def across(exchange: Exchange) -> Response:
        raise errors.pop()

    errors: list[Exception] = [ValueError("a bug"), UpstreamUnavailable()]
    one = Setting(across)
    one.ask()
    assert one.outcomes == {UpstreamUnavailable.code: 1}
    one.ask()
    assert one.outcomes == {UpstreamUnavailable.code: 1, "internal-error": 1}
    assert len(logged_errors.flush(ValueError)) == 1


def body_of(*pieces: bytes, ended: bool = True) -> RequestBody:
    body = RequestBody(sum(map(len, pieces)), lambda: None, lambda: None)
    for piece in pieces:
        body.feed(piece)
    if ended:
        body.end([])
    return body


def test_a_body_is_copied_whole_or_not_at_all() -> None:
    seen: list[bytes] = []

    def across(exchange: Exchange) -> Response:
        collected = Collected()
        assert exchange.request.body is not None
        exchange.request.body.startProducing(collected)
        seen.append(bytes(collected.data))
        return answered(exchange)

    one = Setting(across)
    one.ask(body_of(b"01234", b"56789"))
    one.ask(body_of(b"0123456789a"))
    one.ask(body_of(b"01234", ended=False))
    one.ask(body_of())
    assert one.outcomes == {"2xx": 2, "body": 2}
    assert seen == [b"0123456789", b""]
