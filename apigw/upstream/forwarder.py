"""Sends the request of an exchange to a service and brings back its answer: what a proxy route has across."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

from attrs import evolve

from apigw.dates import HttpDate
from apigw.errors import LoopDetected, UpstreamError, without_frames
from apigw.http1.fields import wire_lines
from apigw.http1.response import ResponseHead
from apigw.messages import Attempt, Exchange, Fields, Response, Timeouts
from apigw.policy.fields import request_fields, response_fields
from apigw.policy.forwarded import loops, via
from apigw.policy.paths import Rewrite
from apigw.upstream.response import PeerResponse
from apigw.upstream.retries import Retries
from apigw.upstream.send import Send
from apigw.upstream.sticky import StickyPeers


class Forwarder:
    """
    :param send: gets the answer to an attempt: the service's upstream, or what is around it.
    :param rewrite: what the service gets as the path.
    :param retries: whether a failed attempt is made again.
    :param key: what consistent hashing goes by.
    :param preserve_host: send the client's Host, not the peer's.
    :param sticky: which peer a client had, where the service wants that.
    :param pseudonym: names this instance in Via, by which loops are found too.
    :param outgoing: what the service gets of a client's end-to-end fields; None for all.
    :param target: makes path and query for the service, in place of ``rewrite``.
    """

    def __init__(
        self,
        send: Send,
        timeouts: Timeouts,
        rewrite: Rewrite,
        seconds: Callable[[], float],
        date: HttpDate,
        retries: Retries,
        *,
        key: Callable[[Exchange], bytes | None] | None = None,
        preserve_host: bool = True,
        pseudonym: bytes = b"apigw",
        sticky: StickyPeers | None = None,
        outgoing: Callable[[Fields], Fields] | None = None,
        target: Callable[[Exchange], bytes] | None = None,
    ) -> None:
        self._send = send
        self._sticky = sticky
        self._timeouts = timeouts
        self._target = target or (partial(_rewritten, rewrite) if rewrite.changes else None)
        self._seconds = seconds
        self._date = date
        self._retries = retries
        self._key = key
        self._preserve_host = preserve_host
        self._pseudonym = pseudonym
        self._outgoing = outgoing

    async def __call__(self, exchange: Exchange) -> Response:
        request = exchange.request
        body = request.body
        if body is not None:
            if body.failure is not None:
                raise body.failure
            body.keep = max(body.keep, self._retries.body)
            body.outgoing = None if self._outgoing is None else self._trailing
        target = request.path + request.query if self._target is None else self._target(exchange)
        has_host = self._preserve_host and request.authority != b""
        key = None if self._key is None else self._key(exchange)
        attempt = self._attempt(exchange, None)
        self._retries.begin(attempt.begun)
        tried: list[Any] = []
        while True:
            lines = self._lines(exchange, attempt, len(tried))
            try:
                response = await self._send(exchange, attempt, target, has_host, lines, key, tried)
            except UpstreamError as error:
                attempt.error = error
                pause = self._retries.after_error(exchange, attempt, error)
                if pause is None:
                    raise
                without_frames(error)
            else:
                pause = None if response.status < 400 else self._retries.after_answer(exchange, attempt, response)
                if pause is not None:
                    response.discard()
            finally:
                attempt.inform = None
            if pause is None:
                break
            tried.append(attempt.candidate)
            await self._retries.sleep(pause)
            attempt = self._attempt(exchange, attempt)
        answer = self._answer(response)
        if self._sticky is not None and response.status < 500:
            answer.lines += self._sticky.line(exchange, exchange.attempts[-1].candidate)
        return answer

    def explain(self, exchange: Exchange) -> dict[str, Any]:
        """
        What would be sent, and how long it would be waited for; nothing is.

        :raises LoopDetected: the request has come through here before.
        :raises BadPath: see :class:`~apigw.stages.target.MadeTarget`.
        """
        request = exchange.request
        target = request.path + request.query if self._target is None else self._target(exchange)
        attempt = self._attempt(Exchange(request, exchange.outlet, exchange.begun), None)
        has_host = self._preserve_host and request.authority != b""
        timeouts = attempt.timeouts
        if exchange.budget is not None and exchange.budget < timeouts.total:
            timeouts = evolve(timeouts, total=exchange.budget)
            attempt.timeouts, attempt.deadline = timeouts, attempt.begun + timeouts.total
        return {
            "target": target.decode("latin-1"),
            "key": None if self._key is None else (self._key(exchange) or b"").decode("latin-1"),
            "has_host": has_host,
            "lines": self._lines(exchange, attempt, 0),
            "timeouts": timeouts,
            "retries": self._retries,
        }

    def _trailing(self, trailers: Fields) -> Fields:
        """Those that the service would get as fields: what is kept from it there may not come after the body."""
        assert self._outgoing is not None
        return [field for field in trailers if field in self._outgoing([field])]

    def _attempt(self, exchange: Exchange, before: Attempt | None) -> Attempt:
        now = self._seconds()
        if before is not None:
            deadline, timeouts = before.deadline, before.timeouts
        else:
            timeouts = self._timeouts
            if exchange.budget is not None and exchange.budget < timeouts.total:
                timeouts = evolve(timeouts, total=exchange.budget)
            deadline = now + timeouts.total if exchange.request.body is None else inf
        attempt = Attempt(now, exchange.inform, deadline, timeouts)
        exchange.attempts.append(attempt)
        return attempt

    def _answer(self, response: PeerResponse) -> Response:
        """The answer as the client gets it."""
        head = response.head
        known = head.notes.get(self)
        if known is None:
            known = head.notes[self] = self._passed_on(head)
        fields, wire, dated = known
        response.share_fields(fields, wire)
        if not dated:
            response.lines = b"Date: %b\r\n" % self._date.now()
        return response

    def _passed_on(self, head: ResponseHead) -> tuple[Fields, bytes, bool]:
        """What the client gets of an answer's fields, the same as it goes on the wire, and whether Date is there."""
        fields, dated = response_fields(head.fields, head.options)
        fields.append((b"Via", via(head.fields, b"1.%d" % head.minor, self._pseudonym)))
        return fields, wire_lines(fields), dated

    def _lines(self, exchange: Exchange, attempt: Attempt, retries: int) -> bytes:
        """What the service gets: the client's end-to-end fields, then the gateway's own."""
        request = exchange.request
        common = request.notes.get(self)
        if common is None:
            common = request.notes[self] = self._common(exchange)
        remaining = attempt.timeouts.total if attempt.deadline == inf else attempt.deadline - attempt.begun
        lines = b"%b%b%bX-Original-Path: %b\r\nX-Timeout-Remaining: %d\r\n" % (
            common,
            exchange.lines,
            exchange.id_lines,
            request.path,
            remaining * 1000.0,
        )
        return lines + b"X-Retry-Count: %d\r\n" % retries if retries else lines

    def _common(self, exchange: Exchange) -> bytes:
        """What is the same for all requests of a connection that have the same fields."""
        request = exchange.request
        received = request.fields
        if loops(received, self._pseudonym):
            raise LoopDetected
        fields = [(b"Host", request.authority)] if self._preserve_host and request.authority else []
        passed = request_fields(received, request.options)
        fields += passed if self._outgoing is None else self._outgoing(passed)
        if request.empty_body:
            fields.append((b"Content-Length", b"0"))
        fields += exchange.forwarding
        fields.append((b"Via", via(received, request.version, self._pseudonym)))
        fields.append((b"X-Gateway-Service", b"apigw"))
        return wire_lines(fields)


def _rewritten(rewrite: Rewrite, exchange: Exchange) -> bytes:
    request = exchange.request
    return rewrite.apply(request.path, exchange.params or {}) + request.query
