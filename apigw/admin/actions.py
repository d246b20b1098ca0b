"""What operators do to a running gateway: peers, breakers, maintenance, the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from typing import Any

from attrs import asdict, field, frozen

from apigw.admin.done import Done
from apigw.admin.operations import Asked, Operation, Schema, wrong
from apigw.admin.states import peer_state
from apigw.config import GatewayConfig
from apigw.config.limiting import MAINTENANCE_LASTS
from apigw.config.model import LEVELS
from apigw.config.units import parse_duration
from apigw.errors import ClientError, RouteNotFound
from apigw.telemetry.levels import LogLevels
from apigw.upstream.peer import Peer
from apigw.upstream.upstream import Upstream

NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255}

PEER_STATE: Schema = {
    "type": "object",
    "required": ["name", "usable", "drained", "breaker", "active"],
    "properties": {
        "name": {"type": "string"},
        "usable": {"type": "boolean"},
        "drained": {"type": "boolean"},
        "breaker": {"type": "string"},
        "active": {"type": "integer"},
    },
}

ROUTE = "route:"
"""Stands before the name of a route where services are named too; no name has a colon."""

Maintain = Callable[[str, float], Awaitable[None]]
"""Gets the name of a service, empty for the whole gateway, and the seconds that it lasts, 0.0 for its end."""


class NotPossible(ClientError):
    status = 409
    code = "not-possible"
    title = "The gateway can't do that now"


@frozen
class Steering:
    """
    What the gateway itself lets operators do.

    :ivar load: from the text of a configuration to it; raises :class:`~apigw.config.ConfigErrors`.
    :ivar maintenance: what operators have said of it, by service, and by route with :data:`ROUTE` before its name; with
        an empty name of the whole gateway.
    :ivar done: what they have done.
    """

    maintain: Maintain
    maintenance: Callable[[], Mapping[str, float]]
    levels: LogLevels
    load: Callable[[str], Generator[None, None, GatewayConfig]]
    done: Done = field(factory=Done)


class Actions:
    """
    :param upstreams: of all services, by name.
    :param closed: seconds of the configured maintenance, by name as :class:`Steering` has them.
    """

    def __init__(self, upstreams: Mapping[str, Upstream], steering: Steering, closed: Mapping[str, float]) -> None:
        self._upstreams = upstreams
        self._steering = steering
        self._closed = closed

    def operations(self) -> Iterable[Operation]:
        peer = {"service": NAME, "peer": NAME}
        yield Operation(
            "POST",
            "/api/peers",
            "Drain a peer, so that it gets no new requests, or restore it.",
            self._peer,
            PEER_STATE,
            takes={**peer, "action": {"type": "string", "enum": ["drain", "restore"]}},
            needs=("service", "peer", "action"),
            acts=True,
            errors=(404,),
        )
        yield Operation(
            "POST",
            "/api/breakers",
            "Hold a peer's breaker open or closed, or reset it, so that it decides by itself again.",
            self._breaker,
            PEER_STATE,
            takes={**peer, "action": {"type": "string", "enum": ["open", "close", "reset"]}},
            needs=("service", "peer", "action"),
            acts=True,
            errors=(404,),
        )
        closed: Schema = {"type": "object", "required": ["on", "seconds", "services", "routes"]}
        yield Operation("GET", "/api/maintenance", "What is closed for maintenance.", self.maintenance, closed)
        yield Operation(
            "POST",
            "/api/maintenance",
            "Close the gateway, a service or a route for maintenance, or open it again; holds until a restart.",
            self._maintain,
            closed,
            takes={
                "on": {"type": "boolean"},
                "service": NAME,
                "route": NAME,
                "for": {"type": "string", "maxLength": 32},
            },
            needs=("on",),
            acts=True,
            errors=(404, 409),
        )
        levels: Schema = {"type": "object", "required": ["level", "namespaces"]}
        yield Operation("GET", "/api/log-level", "How much the log tells.", self._levels, levels)
        yield Operation(
            "POST",
            "/api/log-level",
            "Have the log tell more or less, of all or of a namespace; holds until a restart.",
            self._set_level,
            levels,
            takes={
                "level": {"type": "string", "enum": list(LEVELS)},
                "namespace": {"type": "string", "maxLength": 128},
            },
            needs=("level",),
            acts=True,
        )

    def _find(self, body: Mapping[str, Any]) -> tuple[Upstream, Peer]:
        upstream = self._upstreams.get(body["service"])
        if upstream is None:
            raise RouteNotFound(f"There is no service {body['service']!r}.")
        for peer in upstream.peers:
            if peer.label == body["peer"]:
                return upstream, peer
        raise RouteNotFound(f"The service {upstream.name} has no peer {body['peer']!r}.")

    def _peer(self, asked: Asked) -> dict[str, Any]:
        upstream, peer = self._find(asked.body)
        if asked.body["action"] == "drain":
            upstream.drain(peer)
        else:
            upstream.restore(peer)
        return _told(peer)

    def _breaker(self, asked: Asked) -> dict[str, Any]:
        _, peer = self._find(asked.body)
        breaker = peer.breaker
        {"open": breaker.force_open, "close": breaker.force_close, "reset": breaker.reset}[asked.body["action"]]()
        return _told(peer)

    def maintenance(self, _: Asked) -> dict[str, Any]:
        """In force: seconds of the whole gateway, and of services and routes that are closed by themselves."""
        found = {**self._closed, **self._steering.maintenance()}
        closed = {name: seconds for name, seconds in found.items() if name and seconds}
        return {
            "on": bool(found.get("")),
            "seconds": found.get("", 0.0),
            "services": {name: seconds for name, seconds in closed.items() if not name.startswith(ROUTE)},
            "routes": {name.removeprefix(ROUTE): one for name, one in closed.items() if name.startswith(ROUTE)},
        }

    async def _maintain(self, asked: Asked) -> dict[str, Any]:
        service = asked.body.get("service", "")
        if service and service not in self._upstreams:
            raise RouteNotFound(f"There is no service {service!r}.")
        route = asked.body.get("route", "")
        if route and f"{ROUTE}{route}" not in self._closed:
            raise RouteNotFound(f"There is no route {route!r}.")
        if service and route:
            raise wrong("Close a service or a route, each by itself.")
        seconds = 0.0
        if asked.body["on"]:
            try:
                seconds = parse_duration(asked.body["for"]) if "for" in asked.body else MAINTENANCE_LASTS
            except ValueError:
                raise wrong("for must be a duration, such as 10m.") from None
            if not seconds > 0.0:
                raise wrong("for must be longer than that.")
        await self._steering.maintain(f"{ROUTE}{route}" if route else service, seconds)
        return self.maintenance(asked)

    def _levels(self, _: Asked) -> dict[str, Any]:
        levels = self._steering.levels
        return {"level": levels.default, "namespaces": levels.namespaces}

    def _set_level(self, asked: Asked) -> dict[str, Any]:
        try:
            self._steering.levels.set(asked.body["level"], asked.body.get("namespace", ""))
        except ValueError as error:
            raise wrong(f"{error}.") from None
        return self._levels(asked)


def _told(peer: Peer) -> dict[str, Any]:
    state = peer_state(peer)
    return asdict(state, recurse=False) | {"usable": state.usable}
