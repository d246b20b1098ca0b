"""Health and version of the gateway itself, from memory: asking costs no service anything."""

from __future__ import annotations

import json
from collections.abc import Callable

from apigw.dates import HttpDate
from apigw.errors import MethodNotAllowed, RouteNotFound
from apigw.messages import Exchange, Response

READ = (b"GET", b"HEAD")


def answer(status: int, reason: bytes, value: object, date: HttpDate) -> Response:
    """A JSON answer of the gateway's own."""
    body = json.dumps(value).encode()
    fields = [
        (b"Date", date.now()),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Cache-Control", b"no-store"),
    ]
    return Response(status, reason, fields, body)


class Health:
    """
    What ``/health`` answers: ``/health`` and ``/health/live`` as long as the loop turns, ``/health/ready`` until the
    gateway drains, ``/health/startup`` once it listens.

    :param version: of the gateway.
    :param uptime: seconds since the start.
    :param ready: whether new work is welcome.
    """

    def __init__(self, version: str, uptime: Callable[[], float], ready: Callable[[], bool], date: HttpDate) -> None:
        self._version = version
        self._uptime = uptime
        self._ready = ready
        self._date = date

    def __call__(self, exchange: Exchange) -> Response:
        """
        :raises MethodNotAllowed: anything but GET and HEAD.
        :raises RouteNotFound: no such check.
        """
        if exchange.request.method not in READ:
            raise MethodNotAllowed(fields=[(b"Allow", b"GET, HEAD")])
        check = exchange.request.path.removeprefix(b"/health").strip(b"/")
        if check not in (b"", b"live", b"ready", b"startup"):
            raise RouteNotFound("There is no such health check.")
        ready = check != b"ready" or self._ready()
        status = {
            "status": "ok" if ready else "draining",
            "version": self._version,
            "uptime_seconds": round(self._uptime(), 3),
        }
        return answer(200 if ready else 503, b"OK" if ready else b"Service Unavailable", status, self._date)


class Version:
    """What ``/version`` answers."""

    def __init__(self, version: str, date: HttpDate) -> None:
        self._version = version
        self._date = date

    def __call__(self, exchange: Exchange) -> Response:
        """:raises MethodNotAllowed: anything but GET and HEAD."""
        if exchange.request.method not in READ:
            raise MethodNotAllowed(fields=[(b"Allow", b"GET, HEAD")])
        return answer(200, b"OK", {"name": "apigw", "version": self._version}, self._date)
