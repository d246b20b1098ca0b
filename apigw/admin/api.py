"""What the admin listener shows: routes, services, the configuration in force, the version."""

from __future__ import annotations

import platform
from collections.abc import Callable

from apigw.admin.health import answer, read_only, whole
from apigw.config import GatewayConfig
from apigw.config.display import shown
from apigw.config.model import RouteSection
from apigw.dates import HttpDate
from apigw.errors import RouteNotFound
from apigw.messages import Exchange, Response
from apigw.telemetry.upstreams import States
from twisted import __version__ as twisted_version

Value = dict[str, object]


class AdminApi:
    """
    What ``/api/NAME`` answers.

    :param states: of all services.
    :param uptime: seconds since the start.
    """

    def __init__(
        self, config: GatewayConfig, version: str, states: States, uptime: Callable[[], float], date: HttpDate
    ) -> None:
        self._config = config
        self._version = version
        self._states = states
        self._uptime = uptime
        self._date = date
        self._views: dict[bytes, Callable[[], Value]] = {
            b"routes": self.routes,
            b"services": self.services,
            b"config": self.config,
            b"version": self.version,
        }

    def __call__(self, exchange: Exchange) -> Response:
        """
        :raises MethodNotAllowed: anything but GET and HEAD.
        :raises RouteNotFound: there is no such view.
        """
        view = self._views.get(exchange.request.path.removeprefix(b"/api/"))
        if view is None:
            raise RouteNotFound("There is no such view; there are routes, services, config and version.")
        read_only(exchange)
        return answer(200, b"OK", view(), self._date)

    def routes(self) -> Value:
        return {"routes": [_route(route) for route in self._config.routes]}

    def services(self) -> Value:
        return {"services": [whole(service) for service in self._states()]}

    def config(self) -> Value:
        """Each value as text, with where it came from; secrets are ``***``."""
        sections: dict[str, dict[str, Value]] = {}
        for header, key, text, origin in shown(self._config):
            sections.setdefault(header, {})[key] = {"value": text, "origin": origin}
        return {"sections": sections}

    def version(self) -> Value:
        return {
            "name": "apigw",
            "version": self._version,
            "python": platform.python_version(),
            "twisted": twisted_version,
            "uptime_seconds": round(self._uptime(), 3),
        }


def _route(route: RouteSection) -> Value:
    return {
        "name": route.name,
        "path": str(route.path),
        "host": list(route.host),
        "methods": list(route.methods),
        "headers": [condition.name for condition in route.headers],  # not their values: those may be secrets
        "service": route.service,
    }
