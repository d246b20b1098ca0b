"""Retries of one route: asks the policy and the service's budget, and waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from time import time

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from apigw.errors import UpstreamError
from apigw.messages import Attempt, Exchange, field_value
from apigw.policy.retry import RETRY, RetryPolicy, parse_retry_after, parse_retry_count
from apigw.policy.retry_budget import RetryBudget
from apigw.upstream.response import PeerResponse

KEPT_BODY = 65536
"""Bytes of a request body kept for a retry; Envoy's default, per_request_buffer_limit, is 1 MiB, Caddy keeps none."""


@frozen
class RetryCounts:
    """
    Of a service, for all its routes.

    :ivar made: retries by the reason of the failure: a word of the errors, or a status.
    :ivar declined: retries that were not made, by the reason why not.
    """

    made: Counter[str] = field(factory=Counter)
    declined: Counter[str] = field(factory=Counter)


class Retries:
    """
    :param policy: of the route.
    :param budget: of the service, shared by its routes.
    :param clock: for pauses.
    :param counts: likewise shared.

    :ivar begin: counts a request for the budget, at monotonic seconds.
    :ivar body: bytes of a request body that are kept, so that it can be sent again.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        budget: RetryBudget,
        clock: IReactorTime,
        seconds: Callable[[], float],
        chance: Random,
        counts: RetryCounts,
    ) -> None:
        self._policy = policy
        self._budget = budget
        self.begin = budget.deposit
        self._clock = clock
        self._seconds = seconds
        self._chance = chance
        self.body = KEPT_BODY if policy.attempts > 1 else 0
        self._counts = counts

    @property
    def policy(self) -> RetryPolicy:
        return self._policy

    def after_error(self, exchange: Exchange, attempt: Attempt, error: UpstreamError) -> float | None:
        """:return: seconds until the next attempt, None for no other one."""
        verdict = self._policy.unanswered(
            len(exchange.attempts),
            error.reason,
            _method(exchange),
            sent=attempt.sent,
            replayable=_replayable(exchange),
            chain=_chain(exchange),
        )
        return self._decide(exchange, attempt, verdict, error.reason, None)

    def after_answer(self, exchange: Exchange, attempt: Attempt, response: PeerResponse) -> float | None:
        """As :meth:`after_error`, for an answer whose status may call for it."""
        if response.status not in self._policy.statuses:
            return None
        wait = parse_retry_after(field_value(response.head.fields, b"retry-after"), time())
        verdict = self._policy.answered(
            len(exchange.attempts),
            response.status,
            _method(exchange),
            replayable=_replayable(exchange),
            chain=_chain(exchange),
            retry_after=wait,
        )
        return self._decide(exchange, attempt, verdict, str(response.status), wait)

    def sleep(self, pause: float) -> Deferred[None]:
        """:return: fires after ``pause`` seconds; may be cancelled."""
        return deferLater(self._clock, pause)

    def _decide(
        self, exchange: Exchange, attempt: Attempt, verdict: str, reason: str, wait: float | None
    ) -> float | None:
        if verdict == RETRY:
            pause = self._policy.pause(len(exchange.attempts), self._chance, wait)
            now = self._seconds()
            if exchange.started:
                verdict = "started"
            elif now + pause >= attempt.deadline:
                verdict = "deadline"
            elif not self._budget.withdraw(now):
                verdict = "budget"
            else:
                self._counts.made[reason] += 1
                return pause
        self._counts.declined[verdict] += 1
        return None


def _method(exchange: Exchange) -> bytes:
    """What has an idempotency key may be sent again as a PUT may."""
    return b"PUT" if exchange.repeatable else exchange.request.method


def _replayable(exchange: Exchange) -> bool:
    body = exchange.request.body
    return body is None or body.replayable


def _chain(exchange: Exchange) -> int:
    return parse_retry_count(field_value(exchange.request.fields, b"x-retry-count"))
