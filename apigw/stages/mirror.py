"""Sends copies of some requests to other services, whose answers nobody gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from apigw.body import RequestBody
from apigw.errors import ClientDisconnected, GatewayError
from apigw.messages import Exchange, Response
from apigw.pipeline import Across, Explained, Stage
from apigw.policy.split import Share
from apigw.stages.copied import copied
from apigw.stages.kept_body import discard, keep_answer

FIELD = b"X-Gateway-Mirror"
"""Says to a service that the request is a copy, and of which route; clients can't say it, as all of X-Gateway-."""

ANSWER = 65536
"""Bytes of an answer that are read, so that the connection can be used again; one that is larger ends it."""


class Copies:
    """
    What one service gets of the requests of one route.

    :param share: 0.0 to 1.0.
    :param across: asks the service, once for each copy.
    :param most: copies that may be under way; one more is left out.
    :param seconds: that a copy may take, its answer included.
    :param counts: by route, service and outcome: the class of the answer's status, the code of the error, ``timeout``,
        or why no copy was sent: ``body`` for one that didn't come to its end or is too large, ``full``.
    """

    _log = Logger()

    def __init__(
        self,
        route: str,
        service: str,
        share: float,
        across: Across,
        most: int,
        seconds: float,
        clock: IReactorTime,
        counts: Counter[tuple[str, str, str]],
    ) -> None:
        self.service = service
        self.share = share
        self.under_way = 0
        self._route = route
        self._drawn = Share(share)
        self._across = across
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._counts = counts

    def drawn(self) -> bool:
        """Whether the next request is one of those that are copied."""
        return self._drawn.next()

    def send(self, exchange: Exchange) -> None:
        """Send a copy of a request that is over. Never fails."""
        body = exchange.request.body
        data = None if body is None else body.kept
        if body is not None and data is None:
            self._count("body")
        elif self.under_way >= self._most:
            self._count("full")
        else:
            self.under_way += 1
            copy = copied(exchange, exchange.request.method, None if data is None else _whole(exchange, data))
            copy.request.empty_body = exchange.request.empty_body
            copy.budget = None  # nobody waits
            sent = Deferred.fromCoroutine(self._sent(copy))
            sent.addTimeout(self._seconds, self._clock)
            sent.addBoth(self._over)

    async def _sent(self, exchange: Exchange) -> str:
        answer = self._across(exchange)
        response = answer if isinstance(answer, Response) else await answer
        try:
            if await keep_answer(response, ANSWER) is None:
                discard(response)
        except BaseException:
            discard(response)
            raise
        return f"{response.status // 100}xx"

    def _over(self, result: str | Failure) -> None:
        self.under_way -= 1
        if isinstance(result, str):
            self._count(result)
        elif result.check(TimeoutError, CancelledError, ClientDisconnected):
            self._count("timeout")
        elif isinstance(result.value, GatewayError):
            self._count(result.value.code)
        else:
            self._log.failure("a copy for {service} failed", result, service=self.service)
            self._count("internal-error")

    def _count(self, outcome: str) -> None:
        self._counts[self._route, self.service, outcome] += 1


class Mirror(Stage):
    """
    Stands last on the way down. A copy is sent when the client has its answer, so it can't delay or change that; only
    of requests that were sent to their own service.

    :param cap: bytes of a body that are kept for the copy.
    """

    def __init__(self, copies: Sequence[Copies], cap: int) -> None:
        self._copies = tuple(copies)
        self._cap = cap

    def request(self, exchange: Exchange) -> None:
        if exchange.upgrade is not None:
            return
        drawn = [one for one in self._copies if one.drawn()]
        if not drawn:
            return
        exchange.kept[self] = drawn
        body = exchange.request.body
        if body is not None:
            body.keep = max(body.keep, self._cap)

    def explain(self, exchange: Exchange) -> Explained:
        """No turn is taken by it."""
        return Explained({"copies": [f"{one.service} {one.share:.4g}" for one in self._copies]})

    def done(self, exchange: Exchange) -> None:
        if exchange.attempts:
            for one in exchange.kept.pop(self, ()):
                one.send(exchange)


def _whole(exchange: Exchange, data: bytes) -> RequestBody:
    body = exchange.request.body
    return RequestBody.whole(data, [] if body is None else body.trailers)
