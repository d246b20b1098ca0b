"""Health and version of the gateway and its services, from memory: asking costs no service anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

from attrs import asdict

from apigw.dates import HttpDate
from apigw.errors import MethodNotAllowed, RouteNotFound
from apigw.messages import Exchange, Response
from apigw.telemetry.upstreams import ServiceState, States

READ = (b"GET", b"HEAD")


def read_only(exchange: Exchange) -> None:
    """:raises MethodNotAllowed: anything but GET and HEAD."""
    if exchange.request.method not in READ:
        raise MethodNotAllowed(fields=[(b"Allow", b"GET, HEAD")])


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


def told(service: ServiceState) -> dict[str, object]:
    """What anybody may know of a service: no addresses."""
    usable = sum(peer.usable for peer in service.peers)
    return {"name": service.name, "status": service.status, "peers": len(service.peers), "usable_peers": usable}


def whole(service: ServiceState) -> dict[str, Any]:
    """What operators may know of a service."""
    peers = [asdict(peer, recurse=False) | {"usable": peer.usable} for peer in service.peers]
    return {
        "name": service.name,
        "status": service.status,
        "waiting": service.waiting,
        "queued": service.queued,
        "queue_refused": service.refused,
        "retries": service.retries,
        "retries_declined": service.declined,
        "peers": peers,
        "sources": [asdict(source, recurse=False) for source in service.sources],
    }


class Health:
    """
    What ``/health`` and what lies below it answers.

    ``/health`` and ``/health/live``: the loop turns. ``/health/startup``: it listens. ``/health/ready``: new work is
    welcome, that is, the gateway doesn't drain, and each essential service is up. ``/health/services`` and
    ``/health/services/NAME``: what is known of the services, without their addresses. ``/health/detailed``: with
    them, for operators. What is not well has the status 503.

    :param version: of the gateway.
    :param uptime: seconds since the start.
    :param draining: no more work is taken.
    :param essential: names of services.
    :param operators: raises what refuses all others.
    """

    def __init__(
        self,
        version: str,
        uptime: Callable[[], float],
        draining: Callable[[], bool],
        states: States,
        essential: Collection[str],
        operators: Callable[[Exchange], None],
        date: HttpDate,
    ) -> None:
        self._version = version
        self._uptime = uptime
        self._draining = draining
        self._states = states
        self._essential = essential
        self._operators = operators
        self._date = date

    def __call__(self, exchange: Exchange) -> Response:
        """
        :raises MethodNotAllowed: anything but GET and HEAD.
        :raises RouteNotFound: no such check, or no such service.
        """
        read_only(exchange)
        path = exchange.request.path.removeprefix(b"/health").strip(b"/")
        if path.startswith(b"services/"):
            return self._service(path[9:].decode("latin-1"))
        check = _CHECKS.get(path)
        if check is None:
            raise RouteNotFound("There is no such health check.")
        if path == b"detailed":
            self._operators(exchange)
        return check(self)

    def _answer(self, well: bool, status: str, **more: object) -> Response:
        value = {"status": status, "version": self._version, "uptime_seconds": round(self._uptime(), 3), **more}
        return answer(200 if well else 503, b"OK" if well else b"Service Unavailable", value, self._date)

    def _live(self) -> Response:
        return self._answer(True, "ok")

    def _ready(self) -> Response:
        if self._draining():
            return self._answer(False, "draining")
        missing = [service.name for service in self._states() if service.name in self._essential and not service.up]
        return self._answer(False, "unready", missing=missing) if missing else self._answer(True, "ok")

    def _services(self) -> Response:
        states = self._states()
        return self._answer(True, _overall(states), services=[told(service) for service in states])

    def _service(self, name: str) -> Response:
        for service in self._states():
            if service.name == name:
                value = told(service)
                well = service.up
                return answer(200 if well else 503, b"OK" if well else b"Service Unavailable", value, self._date)
        raise RouteNotFound("There is no such service.")

    def _detailed(self) -> Response:
        states = self._states()
        return self._answer(
            True,
            _overall(states),
            draining=self._draining(),
            essential=list(self._essential),
            services=[whole(service) for service in states],
        )


_CHECKS: dict[bytes, Callable[[Health], Response]] = {
    b"": Health._live,
    b"live": Health._live,
    b"startup": Health._live,
    b"ready": Health._ready,
    b"services": Health._services,
    b"detailed": Health._detailed,
}


def _overall(states: Collection[ServiceState]) -> str:
    """``ok`` where all services are up, ``down`` where none is, else ``degraded``."""
    if all(service.status == "up" for service in states):
        return "ok"
    return "degraded" if any(service.up for service in states) else "down"


class Version:
    """What ``/version`` answers."""

    def __init__(self, version: str, date: HttpDate) -> None:
        self._version = version
        self._date = date

    def __call__(self, exchange: Exchange) -> Response:
        """:raises MethodNotAllowed: anything but GET and HEAD."""
        read_only(exchange)
        return answer(200, b"OK", {"name": "apigw", "version": self._version}, self._date)
