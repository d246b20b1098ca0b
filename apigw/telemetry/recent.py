"""Keeps what is to be seen of the last requests: no bodies, no fields, and never more of them than a fixed number."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from attrs import frozen

from apigw.messages import Attempt, Exchange
from apigw.pipeline import Route
from apigw.policy.principal import Principal
from apigw.policy.redact import redacted

KEPT = 1000
"""Requests that are kept."""

PENDING = 16384
"""Requests that may end between two turns; of more the first are forgotten."""

DETAILED = 500
"""Of those between two turns that are kept one by one: the first ones. Of the others little more than the time."""

Brief = tuple[float, float, Route, int, str]
"""When a request has ended and begun, its route, status, and the code of the error."""

Rest = tuple[
    Brief,
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
"""What else :meth:`Recent.ended` takes down, in the order in which a :class:`Record` is made of it."""

Ended = tuple[float, float, str, str, int, str]
"""When a request has ended, seconds it took, route, service, status, code of the error."""


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
        self._brief: deque[Brief] = deque(maxlen=PENDING)
        self._rest: list[Rest] = []

    def ended(self, exchange: Exchange) -> None:
        """Take down what was; the rest is done by :meth:`turn`. Keeps nothing that keeps a body or a connection."""
        response, error, route = exchange.response, exchange.error, exchange.route
        assert route is not None
        status = response.status if response is not None else error.status if error is not None else 0
        brief = (self._seconds(), exchange.begun, route, status, "" if error is None else error.code)
        self._brief.append(brief)
        if len(self._rest) >= DETAILED:
            return
        attempts: Sequence[Attempt] | Sequence[Try] = exchange.attempts
        if error is not None or len(attempts) > 1:
            attempts = _tries(exchange.begun, exchange.attempts)  # the errors of attempts hold whole stacks
        request = exchange.request
        body = request.body
        self._rest.append(
            (
                brief,
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

    def turn(self) -> list[Ended]:
        """
        Bring :attr:`kept` up to date.

        :return: of each request since the last turn.
        """
        rest, self._rest = self._rest, []
        for one in rest:
            self.number += 1
            self.kept.append(_record(self.number, one))
        brief, self._brief = self._brief, deque(maxlen=PENDING)
        return [
            (ended, ended - begun, route.name, route.service, status, error)
            for ended, begun, route, status, error in brief
        ]


def _record(number: int, rest: Rest) -> Record:
    (
        brief,
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
    ) = rest
    ended, begun, route, status, error = brief
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
