"""Keeps what is to be seen of the last requests: no bodies, no fields, and never more of them than a fixed number."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence

from attrs import frozen

from apigw.messages import Attempt, Exchange
from apigw.pipeline import Route
from apigw.policy.principal import Principal
from apigw.policy.redact import redacted
from apigw.telemetry.tallies import BOUNDS, Tally

KEPT = 1000
"""Requests that are kept."""

DETAILED = 500
"""Of those between two turns that are kept one by one: the first ones. The others are counted."""

Detail = tuple[
    float,
    float,
    Route,
    int,
    str,
    bytes,
    bytes,
    bytes,
    bytes,
    bytes,
    bytes,
    str,
    str | None,
    Principal | None,
    int,
    int,
    str,
    "Sequence[Attempt] | Sequence[Try]",
]
"""What :meth:`Recent.ended` takes down of one of them: when it ended and began, and what a :class:`Record` has."""


@frozen
class Try:
    """
    One attempt. Times in seconds.

    :ivar begun: after the first byte of the request.
    :ivar queued: in line for a connection. :ivar connect: to make one.
    :ivar waited: from then to the head of the answer; 0.0 where none came.
    :ivar status: 0 where none came. :ivar error: its code, empty for none.
    """

    peer: str
    begun: float
    queued: float
    connect: float
    waited: float
    reused: bool
    status: int
    error: str


@frozen
class Record:
    """
    One request that has ended.

    :ivar number: rises by one with each.
    :ivar ended: monotonic seconds.
    :ivar seconds: from the first byte of the request to the last of the answer.
    :ivar path: raw. :ivar shown: with the query, as far as it may be shown.
    :ivar error: the code of the error, empty for none. :ivar would_refuse: of one that was only reported.
    """

    number: int
    ended: float
    seconds: float
    id: str
    method: bytes
    authority: bytes
    path: bytes
    scheme: bytes
    shown: str
    client_ip: str
    user: str | None
    identity: Principal | None
    route: str
    service: str
    status: int
    received: int
    sent: int
    error: str
    would_refuse: str
    tries: Sequence[Try]


def _tries(begun: float, attempts: Sequence[Attempt] | Sequence[Try]) -> list[Try]:
    found = []
    for attempt in attempts:
        if isinstance(attempt, Try):
            found.append(attempt)
            continue
        waited = 0.0
        if attempt.first_byte:
            waited = max(0.0, attempt.first_byte - attempt.begun - attempt.queued - attempt.connect)
        error = "" if attempt.error is None else attempt.error.code
        found.append(
            Try(
                attempt.peer,
                attempt.begun - begun,
                attempt.queued,
                attempt.connect,
                waited,
                attempt.reused,
                attempt.status,
                error,
            )
        )
    return found


class Recent:
    """
    :param seconds: monotonic, as in exchanges.

    :ivar kept: the last ones, as they ended. :ivar number: of the last of them.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.kept: deque[Record] = deque(maxlen=KEPT)
        self.number = 0
        self._seconds = seconds
        self._details: list[Detail] = []
        self._tallies: dict[str, Tally] = {}

    def ended(self, exchange: Exchange) -> None:
        """Take down what was; the rest is done by :meth:`turn`. Keeps nothing that keeps a body or a connection."""
        response, error, route = exchange.response, exchange.error, exchange.route
        assert route is not None
        status = response.status if response is not None else error.status if error is not None else 0
        ended = self._seconds()
        tally = self._tallies.get(route.name)
        if tally is None:
            tally = self._tallies[route.name] = Tally(route.service)
        tally.latencies[bisect_left(BOUNDS, ended - exchange.begun)] += 1
        if status >= 500:
            tally.failed += 1
        elif error is not None and status >= 400:
            tally.refused[error.code] += 1
        if len(self._details) < DETAILED:
            self._detail(exchange, route, ended, status)

    def _detail(self, exchange: Exchange, route: Route, ended: float, status: int) -> None:
        error = exchange.error
        attempts: Sequence[Attempt] | Sequence[Try] = exchange.attempts
        if error is not None or len(attempts) > 1:
            attempts = _tries(exchange.begun, exchange.attempts)  # the errors of attempts hold whole stacks
        request = exchange.request
        body = request.body
        self._details.append(
            (
                ended,
                exchange.begun,
                route,
                status,
                "" if error is None else error.code,
                exchange.id,
                request.method,
                request.authority,
                request.path,
                request.query,
                request.client.scheme,
                exchange.client_ip,
                exchange.principal,
                exchange.identity,
                0 if body is None else body.received,
                exchange.sent,
                exchange.would_refuse,
                attempts,
            )
        )

    def catch_up(self) -> None:
        """Bring :attr:`kept` up to date."""
        details, self._details = self._details, []
        for detail in details:
            self.number += 1
            self.kept.append(_record(self.number, detail))

    def turn(self) -> dict[str, Tally]:
        """
        Begin anew to count, with :attr:`kept` up to date.

        :return: what has ended since the last turn, by the names of routes.
        """
        self.catch_up()
        tallies, self._tallies = self._tallies, {}
        return tallies


def _record(number: int, detail: Detail) -> Record:
    (
        ended,
        begun,
        route,
        status,
        error,
        id,
        method,
        authority,
        path,
        query,
        scheme,
        client,
        user,
        identity,
        received,
        sent,
        would_refuse,
        attempts,
    ) = detail
    return Record(
        number,
        ended,
        ended - begun,
        id.decode("latin-1"),
        method,
        authority,
        path,
        scheme,
        redacted(path, query).decode("latin-1"),
        client,
        user,
        identity,
        route.name,
        route.service,
        status,
        received,
        sent,
        error,
        would_refuse,
        _tries(begun, attempts),
    )
