"""Counts exchanges and their attempts as they end; one look-up and a few additions for each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.messages import Attempt, Exchange
from apigw.telemetry.cells import BYTES, SECONDS, Cell, family

METHODS = {
    name.encode(): name for name in ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
}
"""Source: OpenTelemetry, ``http.request.method``: the methods of RFC 9110 and PATCH, all others are ``_OTHER``."""

OTHER = "_OTHER"

PeerKey = tuple[str, str]
"""Names of the service and of the peer."""


class _Requests:
    """What is counted of the requests of one route, method and status."""

    __slots__ = ("labels", "received", "seconds", "sent")

    def __init__(self, route: str, method: str, status: int) -> None:
        self.labels = {"http_route": route, "http_request_method": method, "http_response_status_code": str(status)}
        self.seconds = Cell(SECONDS)
        self.sent = Cell(BYTES)
        self.received = Cell(BYTES)


class _Attempts:
    """What is counted of the attempts of one service, peer and outcome."""

    __slots__ = ("labels", "seconds", "total")

    def __init__(self, service: str, peer: str, outcome: str) -> None:
        self.labels = {"service": service, "peer": peer, "outcome": outcome}
        self.total = 0
        self.seconds = Cell(SECONDS)


class RequestMetrics(Collector):
    """
    :param seconds: monotonic, as in exchanges.
    :param peers: names of the peers there are; what was counted of others is forgotten, for where addresses come and
        go their number has no bound.

    :ivar active: requests under way.

    The label of a route is its configured name, never a path; that of a request that matches none is ``-``.
    """

    def __init__(self, seconds: Callable[[], float], peers: Callable[[], Collection[PeerKey]]) -> None:
        self.active = 0
        self._seconds = seconds
        self._peers = peers
        self._requests: dict[tuple[str, bytes, int], _Requests] = {}
        self._attempts: dict[tuple[str, str, object], _Attempts] = {}
        self._errors: dict[tuple[str, str], int] = {}

    def begun(self, exchange: Exchange) -> None:
        self.active += 1

    def ended(self, exchange: Exchange) -> None:
        """Count it; its route is known, and all of its answer that there will be was sent."""
        self.active -= 1
        request, response, error, route = exchange.request, exchange.response, exchange.error, exchange.route
        assert route is not None
        status = response.status if response is not None else error.status if error is not None else 0
        counted = self._requests.get((route.name, request.method, status))
        if counted is None:
            counted = self._first(route.name, request.method, status)
        elapsed = self._seconds() - exchange.begun
        cell = counted.seconds  # here and below as Cell.add, which would be a call for each
        cell.counts[bisect_left(SECONDS, elapsed)] += 1
        cell.sum += elapsed
        cell, sent = counted.sent, exchange.sent
        cell.counts[bisect_left(BYTES, sent)] += 1
        cell.sum += sent
        if request.body is not None:
            counted.received.add(request.body.received)
        if error is not None:
            key = (route.name, error.code)
            self._errors[key] = self._errors.get(key, 0) + 1
        for attempt in exchange.attempts:
            self._attempt(route.service, attempt)

    def attempted(self, service: str, attempts: Iterable[Attempt]) -> None:
        """Count attempts that are not those of an exchange of a client."""
        for attempt in attempts:
            self._attempt(service, attempt)

    def _first(self, route: str, method: bytes, status: int) -> _Requests:
        """The cells for what was not seen before. Only methods on the list get a key of their own."""
        if method not in METHODS:
            method = OTHER.encode()
        key = (route, method, status)
        if key not in self._requests:
            self._requests[key] = _Requests(route, METHODS.get(method, OTHER), status)
        return self._requests[key]

    def _attempt(self, service: str, attempt: Attempt) -> None:
        error = attempt.error
        outcome = attempt.status // 100 if error is None else error.code
        counted = self._attempts.get((service, attempt.peer, outcome))
        if counted is None:
            text = "abandoned" if outcome == 0 else f"{outcome}xx" if error is None else error.code
            counted = self._attempts[service, attempt.peer, outcome] = _Attempts(service, attempt.peer, text)
        counted.total += 1
        if attempt.first_byte:
            counted.seconds.add(attempt.first_byte - attempt.begun)

    # -- for a scrape ------------------------------------------------------------------------------------------------

    def collect(self) -> Iterator[Metric]:
        self._forget()
        yield family(
            "http_server_request_duration_seconds",
            "histogram",
            "From the first byte of a request to the last of its answer.",
            lambda: self._histogram("http_server_request_duration_seconds", lambda cells: cells.seconds),
        )
        yield family(
            "http_server_request_body_size_bytes",
            "histogram",
            "Bodies of the requests that have one.",
            lambda: self._histogram("http_server_request_body_size_bytes", lambda cells: cells.received),
        )
        yield family(
            "http_server_response_body_size_bytes",
            "histogram",
            "Bodies of answers, as far as they were sent.",
            lambda: self._histogram("http_server_response_body_size_bytes", lambda cells: cells.sent),
        )
        yield family(
            "http_server_active_requests",
            "gauge",
            "Requests under way.",
            lambda: [Sample("http_server_active_requests", {}, self.active)],
        )
        yield family(
            "apigw_errors",
            "counter",
            "Requests that the gateway answered by itself, or whose answer was cut, by the code of the error.",
            self._error_samples,
        )
        yield family(
            "apigw_upstream_attempts",
            "counter",
            "Attempts to get an answer of a peer, by the class of its status or the code of the error.",
            self._attempt_samples,
        )
        yield family(
            "apigw_upstream_attempt_duration_seconds",
            "histogram",
            "From the beginning of an attempt to the head of its answer.",
            self._attempt_histogram,
        )

    def _histogram(self, name: str, cell: Callable[[_Requests], Cell]) -> Iterator[Sample]:
        for counted in list(self._requests.values()):
            yield from cell(counted).samples(name, counted.labels)

    def _error_samples(self) -> Iterator[Sample]:
        for (route, code), count in list(self._errors.items()):
            yield Sample("apigw_errors_total", {"http_route": route, "error_type": code}, count)

    def _attempt_samples(self) -> Iterator[Sample]:
        for counted in list(self._attempts.values()):
            yield Sample("apigw_upstream_attempts_total", counted.labels, counted.total)

    def _attempt_histogram(self) -> Iterator[Sample]:
        for counted in list(self._attempts.values()):
            yield from counted.seconds.samples("apigw_upstream_attempt_duration_seconds", counted.labels)

    def _forget(self) -> None:
        """Drop what is known of peers that are no more; an attempt that came to no peer has none."""
        there = self._peers()
        for key in [key for key in self._attempts if key[1] and key[:2] not in there]:
            del self._attempts[key]
