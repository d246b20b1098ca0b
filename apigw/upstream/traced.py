"""Tells the service of the trace that a request belongs to."""

from __future__ import annotations

from collections.abc import Awaitable

from apigw.messages import Attempt, Exchange
from apigw.policy.requestid import RequestIds
from apigw.policy.traceparent import parent_line
from apigw.upstream.response import PeerResponse
from apigw.upstream.send import Send, Tried


class Traced:
    """
    A :class:`~apigw.upstream.send.Send`. Each attempt of a sampled request is a span of its own, so that what the
    service does is seen below the attempt that caused it.
    """

    def __init__(self, send: Send, ids: RequestIds) -> None:
        self._send = send
        self._ids = ids

    def __call__(
        self,
        exchange: Exchange,
        attempt: Attempt,
        target: bytes,
        has_host: bool,
        lines: bytes,
        key: bytes | None = None,
        tried: Tried = (),
    ) -> Awaitable[PeerResponse]:
        """As :class:`~apigw.upstream.send.Send` has it."""
        trace = exchange.trace
        if trace is not None:
            span_id = trace.span_id
            if trace.sampled:
                span_id = attempt.span_id = self._ids.new()[:16]
            lines += parent_line(trace.trace_id, span_id, trace.flags) + trace.state
        return self._send(exchange, attempt, target, has_host, lines, key, tried)
