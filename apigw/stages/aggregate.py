"""Asks several services at once, and makes one JSON object of their answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from apigw.dates import HttpDate
from apigw.errors import (
    ClientDisconnected,
    ClientError,
    GatewayError,
    InternalError,
    PartFailed,
    UpstreamProtocolError,
    UpstreamTimeout,
)
from apigw.messages import Attempt, Exchange, Field, Response, field_value, field_values
from apigw.pipeline import Across
from apigw.policy.json_shape import NotJson, parse
from apigw.stages.copied import copied
from apigw.stages.json_body import is_json
from apigw.stages.kept_body import discard, keep_answer

ERRORS = "errors"
"""The member that says which parts are missing, and why."""

OF_THE_WHOLE = (
    b"accept",
    b"accept-encoding",
    b"content-encoding",
    b"content-type",
    b"expect",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"range",
    b"trailer",
)
"""Fields of a request that services don't get, for they are about the answer as a whole, or about a body."""

FOR_PARTS: Sequence[Field] = ((b"Accept", b"application/json"), (b"Accept-Encoding", b"identity"))
"""What they get instead."""

PASSED_ON = (403, 404, 410)
"""Statuses of a part that say something of the whole."""

SLACK = 0.05
"""Seconds: a head that comes too late is the service's failure, for its breaker; that is to be noticed first."""

Attempted = Callable[[str, Sequence[Attempt]], object]
"""Gets the name of a service, and the attempts to get an answer of it, once they are over."""


@frozen(eq=False)
class Part:
    """
    :ivar name: of the member. :ivar across: asks the service.
    :ivar seconds: in which its answer must be there as a whole.
    """

    name: str
    service: str
    across: Across
    seconds: float


@frozen
class Told:
    """
    An answer of a part.

    :ivar text: JSON. :ivar caching: values of Cache-Control. :ivar vary: of Vary.
    """

    text: bytes
    caching: tuple[bytes, ...]
    vary: tuple[bytes, ...]


@frozen
class Missed:
    """Why there is none. :ivar status: that of the service, or that of the error."""

    error: GatewayError
    status: int


class Aggregate:
    """
    What a route has across that several services answer together.

    :param otherwise: what becomes of the whole where a part fails: ``fail``, or the part is ``null``, or left out for
        ``omit``.
    :param cap: bytes of the answer of a part.
    :param counts: by route, part and outcome: the class of the status, or the code of the error.
    """

    _log = Logger()

    def __init__(
        self,
        route: str,
        parts: Sequence[Part],
        otherwise: str,
        cap: int,
        clock: IReactorTime,
        date: HttpDate,
        counts: Counter[tuple[str, str, str]],
        attempted: Attempted,
    ) -> None:
        self._route = route
        self._parts = tuple(parts)
        self._otherwise = otherwise
        self._cap = cap
        self._clock = clock
        self._date = date
        self._counts = counts
        self._attempted = attempted

    def explain(self, exchange: Exchange) -> dict[str, Any]:
        """What each service would get. :raises LoopDetected: the request has come through here before."""
        parts = []
        for part in self._parts:
            explain = getattr(part.across, "explain", None)
            if explain is not None:
                parts.append((part.name, part.service, explain(copied(exchange, b"GET"))))
        return {"parts": parts}

    async def __call__(self, exchange: Exchange) -> Response:
        """
        :raises PartFailed: a part failed, and none may; or all did.
        :raises ClientError: no part could be asked for, for the request has something wrong about it.
        """
        strict = self._otherwise == "fail"
        found = await _All([self._begin(part, exchange) for part in self._parts], strict).done
        missed = [(part, one) for part, one in zip(self._parts, found, strict=True) if isinstance(one, Missed)]
        if missed and (strict or len(missed) == len(found)):
            raise _failed(*missed[0])
        told = [one for one in found if isinstance(one, Told)]
        members = []
        for part, one in zip(self._parts, found, strict=True):
            if isinstance(one, Told):
                members.append(b"%b:%b" % (json.dumps(part.name).encode(), one.text))
            elif self._otherwise == "null":
                members.append(b"%b:null" % json.dumps(part.name).encode())
        if missed:
            errors = [{"name": part.name, "status": one.status, "code": one.error.code} for part, one in missed]
            members.append(b"%b:%b" % (json.dumps(ERRORS).encode(), json.dumps(errors).encode()))
        body = b"{%b}" % b",".join(members)
        fields = [
            (b"Date", self._date.now()),
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % len(body)),
            *_caching(told, bool(missed)),
        ]
        return Response(200, b"OK", fields, body)

    def _begin(self, part: Part, exchange: Exchange) -> Deferred[Told | Missed | None]:
        """:return: fires with None where the part was given up."""
        own = copied(exchange, b"GET")
        seconds = part.seconds if exchange.budget is None else min(part.seconds, exchange.budget)
        asked = Deferred.fromCoroutine(self._ask(part, own))
        asked.addTimeout(max(0.0, seconds) + SLACK, self._clock)
        return asked.addBoth(self._over, part, own)

    async def _ask(self, part: Part, exchange: Exchange) -> Told | Missed:
        answer = part.across(exchange)
        response = answer if isinstance(answer, Response) else await answer
        try:
            if not 200 <= response.status < 300:
                discard(response)
                return Missed(PartFailed(code="part-status"), response.status)
            text = await self._read(response)
        except BaseException:
            discard(response)
            raise
        seen = response.seen
        return Told(text, tuple(field_values(seen, b"cache-control")), tuple(field_values(seen, b"vary")))

    async def _read(self, response: Response) -> bytes:
        """:raises UpstreamProtocolError: it is too large, or no JSON."""
        if response.status in (204, 205):
            return b"null"
        if not is_json(response) or field_value(response.seen, b"content-encoding") not in (None, b"identity"):
            raise UpstreamProtocolError(code="part-not-json")
        data = None
        if response.length is None or response.length <= self._cap:
            data = await keep_answer(response, self._cap)
        if data is None or len(data) > self._cap:
            raise UpstreamProtocolError(code="part-too-large")
        try:
            parse(data.decode("utf-8"))
        except (NotJson, UnicodeDecodeError):
            raise UpstreamProtocolError(code="part-not-json") from None
        return data

    def _over(self, result: Told | Missed | Failure, part: Part, exchange: Exchange) -> Told | Missed | None:
        self._attempted(part.service, exchange.attempts)
        if isinstance(result, Failure):
            error: Any = result.value
            if isinstance(error, (CancelledError, ClientDisconnected)):
                return None
            if isinstance(error, TimeoutError):
                error = UpstreamTimeout(code="upstream-total-timeout")
            elif not isinstance(error, GatewayError):
                self._log.failure("{route}: the part {part} failed", result, route=self._route, part=part.name)
                error = InternalError()
            result = Missed(error, error.status)
        outcome = "2xx"
        if isinstance(result, Missed):
            outcome = f"{result.status // 100}xx" if isinstance(result.error, PartFailed) else result.error.code
        self._counts[self._route, part.name, outcome] += 1
        return result


class _All:
    """
    :param asked: as :meth:`Aggregate._begin` has them.
    :param strict: give up all others when one is missed.

    :ivar done: fires with what came of each; fails with ``CancelledError`` when it is cancelled.
    """

    def __init__(self, asked: Sequence[Deferred[Told | Missed | None]], strict: bool) -> None:
        self.done: Deferred[list[Told | Missed | None]] = Deferred(self._cancelled)
        self._gone = False
        self._asked = asked
        self._found: list[Told | Missed | None] = [None] * len(asked)
        self._left = len(asked)
        self._strict = strict
        for index, one in enumerate(asked):
            one.addCallback(self._one, index)

    def _one(self, found: Told | Missed | None, index: int) -> None:
        self._found[index] = found
        self._left -= 1
        if self._strict and isinstance(found, Missed):
            self._strict = False
            self._give_up()
        if not self._left and not self._gone:
            self.done.callback(self._found)

    def _cancelled(self, _: object) -> None:
        self._gone = True
        self._give_up()

    def _give_up(self) -> None:
        for one in self._asked:
            one.cancel()


def _failed(part: Part, missed: Missed) -> GatewayError:
    error = missed.error
    if isinstance(error, ClientError):
        return error
    if isinstance(error, PartFailed):
        status = missed.status if missed.status in PASSED_ON else 502
        return PartFailed(f"The part {part.name} was answered with {missed.status}.", status=status)
    detail = f"The part {part.name} failed: {error.code}."
    return PartFailed(detail, status=error.status, retry_after=error.retry_after)


def _caching(told: Sequence[Told], partial: bool) -> list[Field]:
    """What may be kept of the whole: nothing where a part is missing, or where the parts don't say the same."""
    said = {b", ".join(one.caching) for one in told}
    fields = []
    if partial or len(said) > 1:
        fields.append((b"Cache-Control", b"no-store"))
    elif said != {b""}:
        fields.append((b"Cache-Control", said.pop()))
    names = dict.fromkeys(name.strip().lower() for one in told for value in one.vary for name in value.split(b","))
    names.pop(b"accept-encoding", None)
    if names:
        fields.append((b"Vary", b", ".join(names)))
    return fields
