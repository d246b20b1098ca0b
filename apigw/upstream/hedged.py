"""Sends a second copy of a request that takes unusually long, to another peer; the first answer wins."""

from __future__ import annotations

from collections.abc import Callable, Collection

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from apigw.errors import ClientDisconnected, GatewayError
from apigw.messages import Attempt, Exchange
from apigw.policy.hedge import Hedge
from apigw.policy.retry_budget import RetryBudget
from apigw.upstream.response import PeerResponse
from apigw.upstream.retries import RetryCounts
from apigw.upstream.send import Send, Tried
from apigw.upstream.upstream import Upstream


class Hedged:
    """
    :param send: gets the answers.
    :param upstream: whose peers there are.
    :param hedge: when a request takes unusually long; shared by the routes of the service.
    :param budget: what retries spend of.
    :param counts: where hedges are counted, as retries for the reason ``hedge``.
    :param methods: that may be sent twice.
    """

    def __init__(
        self,
        send: Send,
        upstream: Upstream,
        hedge: Hedge,
        budget: RetryBudget,
        counts: RetryCounts,
        methods: Collection[bytes],
        clock: IReactorTime,
        seconds: Callable[[], float],
    ) -> None:
        self._send = send
        self._upstream = upstream
        self._hedge = hedge
        self._budget = budget
        self._counts = counts
        self._methods = methods
        self._clock = clock
        self._seconds = seconds

    async def __call__(
        self,
        exchange: Exchange,
        attempt: Attempt,
        target: bytes,
        has_host: bool,
        lines: bytes,
        key: bytes | None = None,
        tried: Tried = (),
    ) -> PeerResponse:
        """As :class:`~apigw.upstream.send.Send` has it. The attempt whose answer it is stands last in the exchange."""
        request = exchange.request
        wait = None
        if not tried and request.body is None and request.method in self._methods and len(self._upstream.peers) > 1:
            wait = self._hedge.after(attempt.begun)
        if wait is None:
            response = await self._send(exchange, attempt, target, has_host, lines, key, tried)
        else:

            def copy(other: Attempt) -> Deferred[PeerResponse]:
                others = () if other is attempt else (attempt.candidate,)
                return Deferred.fromCoroutine(self._sent(exchange, other, target, has_host, lines, key, others))

            race = _Race(exchange, attempt, copy, self._may_hedge)
            response = await race.run(self._clock, wait)
        now = self._seconds()
        self._hedge.answered(now - attempt.begun, now)
        return response

    async def _sent(
        self,
        exchange: Exchange,
        attempt: Attempt,
        target: bytes,
        has_host: bool,
        lines: bytes,
        key: bytes | None,
        tried: Tried,
    ) -> PeerResponse:
        return await self._send(exchange, attempt, target, has_host, lines, key, tried)

    def _may_hedge(self) -> float | None:
        """:return: the time, None where the budget is spent."""
        now = self._seconds()
        if not self._budget.withdraw(now):
            self._counts.declined["budget"] += 1
            return None
        self._counts.made["hedge"] += 1
        return now


class _Race:
    """One request and its copy."""

    def __init__(
        self,
        exchange: Exchange,
        first: Attempt,
        copy: Callable[[Attempt], Deferred[PeerResponse]],
        may_hedge: Callable[[], float | None],
    ) -> None:
        self._exchange = exchange
        self._first = first
        self._copy = copy
        self._may_hedge = may_hedge
        self._running: dict[Attempt, Deferred[PeerResponse]] = {}
        self._timer: IDelayedCall | None = None
        self._failure: Failure | None = None
        self._over = False
        self._done: Deferred[PeerResponse] = Deferred(self._cancelled)

    def run(self, clock: IReactorTime, wait: float) -> Deferred[PeerResponse]:
        """:return: the first answer; where there is none, what the request itself failed with."""
        done = self._done
        self._start(self._first)
        if not self._over:
            self._timer = clock.callLater(wait, self._second)
        return done

    def _start(self, attempt: Attempt) -> None:
        running = self._running[attempt] = self._copy(attempt)
        running.addCallbacks(self._answered, self._failed, callbackArgs=(attempt,), errbackArgs=(attempt,))

    def _second(self) -> None:
        self._timer = None
        first = self._first
        if first.candidate is None:
            return  # it waits for a connection: nobody is slow, all are busy
        now = self._may_hedge()
        if now is not None:
            other = Attempt(now, first.inform, first.deadline, first.timeouts)
            self._exchange.attempts.append(other)
            self._start(other)

    def _answered(self, response: PeerResponse, attempt: Attempt) -> None:
        if self._over:
            response.discard()
            return
        attempts = self._exchange.attempts
        attempts.remove(attempt)
        attempts.append(attempt)
        self._end(attempt)
        self._done.callback(response)

    def _failed(self, failure: Failure, attempt: Attempt) -> None:
        if self._over:
            return  # it was cancelled
        del self._running[attempt]
        if isinstance(failure.value, GatewayError):
            attempt.error = failure.value
        if attempt is self._first or self._failure is None:
            self._failure = failure
        if not self._running:
            self._end(None)
            self._done.errback(self._failure)

    def _end(self, winner: Attempt | None) -> None:
        """Cancel what isn't needed any more."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        running, self._running = self._running, {}
        for attempt, one in running.items():
            attempt.inform = None
            if attempt is not winner:
                one.cancel()

    def _cancelled(self, done: Deferred[PeerResponse]) -> None:
        self._end(None)
        done.errback(Failure(ClientDisconnected()))
