"""Keeps the requests under way to a service to a number that follows how fast it answers."""

from __future__ import annotations

from collections.abc import Callable

from apigw.errors import UpstreamError, UpstreamOverloaded
from apigw.messages import Attempt, Exchange
from apigw.policy.adaptive import AdaptiveLimit
from apigw.policy.outcome import ABANDONED, FAILED, OK
from apigw.upstream.response import PeerResponse
from apigw.upstream.send import Send, Tried

OVERLOAD = (429, 503)
"""Statuses by which a service says that it has too much to do (RFC 6585 section 4, RFC 9110 section 15.6.4)."""


class Adaptive:
    """
    :param send: gets the answers.
    :param limit: of the service, shared by its routes.
    :param priority: of the route, see :mod:`apigw.policy.adaptive`.

    A request counts until the head of its answer is there. How long it stood in line for a connection doesn't count
    as time of the service.
    """

    def __init__(self, send: Send, limit: AdaptiveLimit, priority: int, seconds: Callable[[], float]) -> None:
        self._send = send
        self._limit = limit
        self._priority = priority
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
        """As :class:`~apigw.upstream.send.Send` has it. :raises UpstreamOverloaded: the limit is reached."""
        if not self._limit.admit(self._priority):
            raise UpstreamOverloaded(
                "The service has as many requests under way as it answers in good time.", retry_after=1.0
            )
        outcome = ABANDONED
        try:
            response = await self._send(exchange, attempt, target, has_host, lines, key, tried)
            outcome = OK if response.status < 500 else ABANDONED
            if response.status in OVERLOAD:
                outcome = FAILED
            return response
        except UpstreamError as error:
            if error.reason == "timeout":
                outcome = FAILED
            raise
        finally:
            now = self._seconds()
            self._limit.release(now, now - attempt.begun - attempt.queued, outcome)
