"""What the admin listener shows: routes, services, limits, the last requests, the configuration, the version."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from typing import Any

from apigw.admin.health import whole
from apigw.admin.live import Live
from apigw.admin.operations import Asked, Operation, Parameter, Schema
from apigw.admin.stream import NOW_PATH, Streams
from apigw.admin.stream import PATH as LIVE_PATH
from apigw.config import GatewayConfig
from apigw.config.display import shown
from apigw.config.model import RouteSection
from apigw.dates import HttpDate
from apigw.telemetry.recent import KEPT
from apigw.telemetry.upstreams import States
from twisted import __version__ as twisted_version

Value = dict[str, Any]

LIMITS = ("limit.ip", "limit.user", "limit.consumer", "limit.route", "limit.by", "limit.cost")
CONCURRENT = ("concurrent.ip", "concurrent.user", "concurrent.consumer", "concurrent.route")


def listed(name: str, *needed: str) -> Schema:
    """An object with a list of objects."""
    items = {"type": "object", "required": list(needed)}
    return {"type": "object", "required": [name], "properties": {name: {"type": "array", "items": items}}}


class AdminApi:
    """
    The views.

    :param states: of all services.
    :param uptime: seconds since the start.
    :param streams: what happens, as it happens.
    """

    def __init__(
        self,
        config: GatewayConfig,
        version: str,
        states: States,
        uptime: Callable[[], float],
        live: Live,
        date: HttpDate,
    ) -> None:
        self._config = config
        self._version = version
        self._states = states
        self._uptime = uptime
        self._live = live
        self._streams = Streams(live, date)

    def operations(self) -> Iterable[Operation]:
        yield Operation("GET", "/api/routes", "The configured routes.", self.routes, listed("routes", "name", "path"))
        yield Operation(
            "GET",
            "/api/services",
            "Services with their peers, queues, retries and sources of addresses.",
            self.services,
            listed("services", "name", "status", "peers"),
        )
        yield Operation(
            "GET", "/api/peers", "All peers of all services.", self.peers, listed("peers", "service", "name", "usable")
        )
        yield Operation(
            "GET",
            "/api/breakers",
            "The breaker of each peer.",
            self.breakers,
            listed("breakers", "service", "peer", "state"),
        )
        yield Operation(
            "GET",
            "/api/discovery",
            "Where addresses of services are found.",
            self.discovery,
            listed("sources", "service", "name", "failing"),
        )
        limits = {"type": "object", "required": ["gateway", "routes", "refusals"]}
        yield Operation("GET", "/api/limits", "Limits, and who was refused by which.", self.limits, limits)
        texts = [
            Parameter(name, {"type": "string", "maxLength": 255}, f"Those of {what} only.")
            for name, what in (("route", "a route"), ("user", "a user"), ("status", "a status, or of a class as 5xx"))
        ]
        most = Parameter("most", {"type": "integer", "minimum": 1, "maximum": KEPT}, "How many; 100.")
        yield Operation(
            "GET",
            "/api/requests",
            f"The last requests, the latest first, of {KEPT} that are kept.",
            self.requests,
            listed("requests", "number", "method", "path", "route", "status", "ms", "tries"),
            query=(*texts, most),
        )
        yield Operation("GET", LIVE_PATH, "What happens, as it happens.", self._stream, media="text/event-stream")
        now = {"type": "object", "required": ["time", "history", "services", "routes", "refusals", "tail"]}
        yield Operation("GET", NOW_PATH, "What a stream begins with.", lambda _: self._live.whole(), now)
        config = {"type": "object", "required": ["sections"], "properties": {"sections": {"type": "object"}}}
        yield Operation(
            "GET",
            "/api/config",
            "Each value in force, and where it came from; secrets are masked.",
            self.config,
            config,
        )
        version = {"type": "object", "required": ["name", "version", "uptime_seconds"]}
        yield Operation("GET", "/api/version", "What runs, and for how long.", self.version, version)

    def _stream(self, asked: Asked) -> object:
        assert asked.exchange is not None
        return self._streams(asked.exchange)

    def routes(self, _: Asked) -> Value:
        return {"routes": [_route(route) for route in self._config.routes]}

    def services(self, _: Asked) -> Value:
        return {"services": [whole(service) for service in self._states()]}

    def peers(self, _: Asked) -> Value:
        return {
            "peers": [{"service": state.name, **peer} for state in self._states() for peer in whole(state)["peers"]]
        }

    def breakers(self, _: Asked) -> Value:
        return {
            "breakers": [
                {
                    "service": state.name,
                    "peer": peer.name,
                    "state": peer.breaker,
                    "trips": peer.opened,
                    "transitions": dict(peer.transitions),
                }
                for state in self._states()
                for peer in state.peers
            ]
        }

    def discovery(self, _: Asked) -> Value:
        return {
            "sources": [
                {"service": state.name, **source} for state in self._states() for source in whole(state)["sources"]
            ]
        }

    def limits(self, _: Asked) -> Value:
        """As configured, of those that are set; and refusals by the code of the error."""
        sections = self._sections()
        routes = []
        for route in self._config.routes:
            own = {key: text for key, text in sections[f"route:{route.name}"] if key in (*LIMITS, *CONCURRENT) and text}
            if own:
                routes.append({"name": route.name, "enforce": route.enforce, **own})
        return {
            "gateway": {key: text for key, text in sections.get("limits", ()) if text},
            "routes": routes,
            "refusals": self._live.refusals(),
        }

    def _sections(self) -> dict[str, list[tuple[str, str | None]]]:
        found: dict[str, list[tuple[str, str | None]]] = {}
        for header, key, text, _ in shown(self._config):
            found.setdefault(header, []).append((key, text))
        return found

    def requests(self, asked: Asked) -> Value:
        self._live.catch_up()
        query = asked.query
        most = int(query.get("most", "100"))
        status = query.get("status", "").lower()
        found = []
        for record in reversed(self._live.recent.kept):
            if "route" in query and record.route != query["route"]:
                continue
            if "user" in query and record.user != query["user"]:
                continue
            if status and status not in (str(record.status), f"{record.status // 100}xx"):
                continue
            found.append(record)
            if len(found) >= most:
                break
        return {"requests": self._live.records(found)}

    def config(self, _: Asked) -> Value:
        """Each value as text, with where it came from; secrets are ``***``."""
        sections: dict[str, dict[str, Value]] = {}
        for header, key, text, origin in shown(self._config):
            sections.setdefault(header, {})[key] = {"value": text, "origin": origin}
        return {"sections": sections}

    def version(self, _: Asked) -> Value:
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
        "services": list(route.services),
    }
