"""Keeps what is to be seen of the last requests: no bodies, no fields, and never more of them than a fixed number."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from apigw.messages import Attempt, Exchange
from apigw.policy.principal import Principal
from apigw.policy.redact import redacted

KEPT = 1000
"""Requests that are kept."""

PENDING = 8192
"""Requests that may end between two turns; of more in a second the first are not told apart."""

Raw = tuple[
    float,
    float,
    bytes,
    bytes,
    bytes,
    bytes,
    bytes,
    bytes,
    str,
    str | None,
    Principal | None,
    str,
    str,
    int,
    int,
    int,
    str,
    str,
    "Sequence[Attempt] | Sequence[Try]",
]
"""What :meth:`Recent.ended` takes down, in the order in which a :class:`Record` is made of it."""

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

    :ivar kept: the last ones, as they ended.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.kept: deque[Record] = deque(maxlen=KEPT)
        self.number = 0
        self._seconds = seconds
        self._pending: deque[Raw] = deque(maxlen=PENDING)
        self._append = self._pending.append

    def ended(self, exchange: Exchange) -> None:
        """Take down what was; the rest is done by :meth:`turn`. Keeps nothing that keeps a body or a connection."""
        request, response, error, route = exchange.request, exchange.response, exchange.error, exchange.route
        assert route is not None
        attempts: Sequence[Attempt] | Sequence[Try] = exchange.attempts
        if error is not None or len(attempts) > 1:
            attempts = _tries(exchange.begun, exchange.attempts)  # the errors of attempts hold whole stacks
        body = request.body
        self._append(
            (
                self._seconds(),
                exchange.begun,
                exchange.id,
                request.method,
                request.authority,
                request.path,
                request.query,
                request.client.scheme,
                exchange.client_ip,
                exchange.principal,
                exchange.identity,
                route.name,
                route.service,
                response.status if response is not None else error.status if error is not None else 0,
                0 if body is None else body.received,
                exchange.sent,
                "" if error is None else error.code,
                exchange.would_refuse,
                attempts,
            )
        )

    def turn(self) -> Iterator[Ended]:
        """
        Bring :attr:`kept` up to date.

        :return: of each request since the last turn.
        """
        pending, self._pending = self._pending, deque(maxlen=PENDING)
        self._append = self._pending.append
        self.number += len(pending)
        first = self.number - len(pending)
        skip = len(pending) - KEPT
        for index, raw in enumerate(pending):
            if index >= skip:
                self.kept.append(_record(first + index + 1, raw))
            yield raw[0], raw[0] - raw[1], raw[11], raw[12], raw[13], raw[16]


def _record(number: int, raw: Raw) -> Record:
    (
        ended,
        begun,
        id,
        method,
        authority,
        path,
        query,
        scheme,
        client,
        user,
        identity,
        route,
        service,
        status,
        received,
        sent,
        error,
        would_refuse,
        attempts,
    ) = raw
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
        route,
        service,
        status,
        received,
        sent,
        error,
        would_refuse,
        _tries(begun, attempts),
    )
