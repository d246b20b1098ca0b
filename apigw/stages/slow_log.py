"""Says of requests that took long where their time went."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.logger import Logger

from apigw.messages import Exchange
from apigw.pipeline import Stage

_log = Logger("apigw.slow")

MOST = 10
"""Requests of a second that are told one by one: where all are slow, a log that is slow too doesn't help."""


def phases(exchange: Exchange, ended: float) -> Mapping[str, float]:
    """
    Where the time of an exchange went, in seconds; together they are all of it.

    ``request`` is up to the first attempt: the policies, and a body that was needed before. ``queue`` is in line for
    a connection and ``connect`` to make one, of all attempts. ``first_byte`` is for the head of the answer: what the
    service took, and the failed attempts, with the pauses between them. ``body`` is from there to the last byte that
    the client took.
    """
    attempts = exchange.attempts
    if not attempts:
        return {"request": ended - exchange.begun, "queue": 0.0, "connect": 0.0, "first_byte": 0.0, "body": 0.0}
    begun, last = attempts[0].begun, attempts[-1]
    queue = sum(attempt.queued for attempt in attempts)
    connect = sum(attempt.connect for attempt in attempts)
    head = last.first_byte or ended
    return {
        "request": begun - exchange.begun,
        "queue": queue,
        "connect": connect,
        "first_byte": max(0.0, head - begun - queue - connect),
        "body": ended - head,
    }


def _goes_on(exchange: Exchange) -> bool:
    response = exchange.response
    if not exchange.attempts or response is None:
        return False
    if exchange.upgrade is not None:
        return True
    return any(
        name.lower() == b"content-type" and value.lower().startswith(b"text/event-stream")
        for name, value in response.fields
    )


class SlowLog(Stage):
    """
    :param after: seconds from which on a request is slow.
    :param seconds: monotonic, as in exchanges.
    :param path: from raw path and query to what may be logged of them.

    Of what goes on by its nature, tunnels and streams of events, only the time to the head of the answer counts.
    """

    def __init__(self, after: float, seconds: Callable[[], float], path: Callable[[bytes, bytes], bytes]) -> None:
        self._after = after
        self._seconds = seconds
        self._path = path
        self._second = 0
        self._told = 0
        self._untold = 0

    def done(self, exchange: Exchange) -> None:
        ended = self._seconds()
        took = ended - exchange.begun
        if took < self._after:
            return
        if _goes_on(exchange):
            ended = exchange.attempts[-1].first_byte or ended
            took = ended - exchange.begun
            if took < self._after:
                return
        second = int(ended)
        if second != self._second:
            self._second, self._told = second, 0
        if self._told >= MOST:
            self._untold += 1
            return
        self._told += 1
        self._tell(exchange, ended, took)
        self._untold = 0

    def _tell(self, exchange: Exchange, ended: float, took: float) -> None:
        request, route, attempts = exchange.request, exchange.route, exchange.attempts
        response, error = exchange.response, exchange.error
        times = {name: round(value * 1000.0, 3) for name, value in phases(exchange, ended).items()}
        place = {"route": "", "service": ""} if route is None else {"route": route.name, "service": route.service}
        fields: dict[str, object] = {
            "method": request.method.decode("latin-1"),
            "path": self._path(request.path, request.query).decode("latin-1"),
            **place,
            "peer": attempts[-1].peer if attempts else "",
            "status": response.status if response is not None else 0 if error is None else error.status,
            "attempts": len(attempts),
            "total_ms": round(took * 1000.0, 3),
            "slow": times,
        }
        if self._untold:
            fields["untold"] = self._untold
        _log.warn(
            "slow request {request_id}: {method} {path} of {route} took {ms:.0f} ms ({phases}){more}",
            request_id=exchange.id.decode("latin-1"),
            method=fields["method"],
            path=fields["path"],
            route=place["route"] or "no route",
            ms=took * 1000.0,
            phases=", ".join(f"{name} {value:.0f}" for name, value in times.items()),
            more=f"; {self._untold} more were not told" if self._untold else "",
            fields=fields,
        )
