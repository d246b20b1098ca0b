"""Takes a trace from the client or begins one, and tells of a sampled request and its attempts when it is over."""

from __future__ import annotations

from collections.abc import Callable

from apigw.messages import Exchange, Trace, field_values
from apigw.pipeline import Stage
from apigw.policy.requestid import RequestIds
from apigw.policy.traceparent import RANDOM, SAMPLED, Parent, Ratio, parse_parent, parse_state


class Tracing(Stage):
    """
    A trace goes on that the client has begun. Whether it is sampled is for the client to say where it is one of the
    proxies that are trusted; of all others the ratio decides, or anybody could have all of his requests sampled.

    :param trusted: whether what a connection's other end says may be believed.
    :param ended: gets each sampled exchange at its end; None where nobody is told.
    """

    def __init__(
        self,
        ids: RequestIds,
        ratio: Ratio,
        trusted: Callable[[str], bool],
        ended: Callable[[Exchange, Trace], object] | None,
    ) -> None:
        self._ids = ids
        self._ratio = ratio
        self._trusted = trusted
        self._ended = ended

    def explain(self, exchange: Exchange) -> None:
        """It has no say, but the service gets the trace."""
        self.request(exchange)

    def request(self, exchange: Exchange) -> None:
        request = exchange.request
        known = request.notes.get(self)
        if known is None:
            known = request.notes[self] = self._parent(exchange)
        parent, state, trusted = known
        new = self._ids.new()
        if parent is None:
            trace_id = new
            sampled = self._ratio.takes(trace_id)
            flags, parent_id = RANDOM, b""
        else:
            trace_id = parent.trace_id
            sampled = parent.sampled if trusted else self._ratio.takes(trace_id)
            flags, parent_id = parent.flags & RANDOM, parent.span_id
        sampled = sampled and self._ended is not None
        exchange.trace = Trace(trace_id, new[:16], parent_id, sampled, flags | SAMPLED if sampled else flags, state)

    def _parent(self, exchange: Exchange) -> tuple[Parent | None, bytes, bool]:
        """The same for all requests of a connection that have the same fields."""
        fields = exchange.request.fields
        parent = parse_parent(field_values(fields, b"traceparent"))
        state = b"" if parent is None else parse_state(field_values(fields, b"tracestate"))
        line = b"tracestate: %b\r\n" % state if state else b""
        return parent, line, self._trusted(exchange.request.client.host)

    def done(self, exchange: Exchange) -> None:
        trace = exchange.trace
        if trace is not None and trace.sampled and self._ended is not None:
            self._ended(exchange, trace)
