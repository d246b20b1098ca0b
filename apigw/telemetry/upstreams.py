"""The state of services and their peers, read when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attrs import frozen
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.telemetry.cells import family

Values = Sequence[tuple[str, float]]

STATES = ("closed", "half_open", "open", "forced_closed", "forced_open")
"""Of a breaker."""


@frozen
class PeerState:
    """
    One address of a service at one moment.

    :ivar name: such as ``10.0.0.1:9001``.
    :ivar backup: used only when no other is usable.
    :ivar healthy: what active checks say, None without any.
    :ivar reason: what was wrong at the last check, empty for nothing.
    :ivar ejected: its answers failed, so it is out for a while.
    :ivar breaker: one of :data:`STATES`.
    :ivar opened: how often the breaker tripped.
    :ivar active: requests under way.
    :ivar busy: connections that carry a request or are being made for one.
    :ivar idle: connections that wait for one.
    """

    name: str
    weight: int
    backup: bool
    healthy: bool | None
    reason: str
    ejected: bool
    breaker: str
    opened: int
    active: int
    busy: int
    idle: int

    @property
    def usable(self) -> bool:
        """It gets requests."""
        return self.healthy is not False and not self.ejected and self.breaker not in ("open", "forced_open")


@frozen
class ServiceState:
    """
    A service at one moment.

    :ivar waiting: requests that wait for a connection.
    """

    name: str
    waiting: int
    peers: Sequence[PeerState]

    @property
    def up(self) -> bool:
        """Some peer gets requests."""
        return any(peer.usable for peer in self.peers)

    @property
    def status(self) -> str:
        """``up`` where all peers get requests, ``degraded`` where some do, else ``down``."""
        if not self.up:
            return "down"
        return "up" if all(peer.usable for peer in self.peers) else "degraded"


States = Callable[[], Sequence[ServiceState]]


class UpstreamMetrics(Collector):
    """:param states: of all services, now."""

    def __init__(self, states: States) -> None:
        self._states = states

    def collect(self) -> Iterator[Metric]:
        states = self._states()
        yield _of_services("up", "Some peer of the service gets requests.", states, lambda one: one.up)
        yield _of_services(
            "queue_length", "Requests that wait for a connection to the service.", states, lambda one: one.waiting
        )
        yield _of_peers("connections", "Connections to the peer, by state.", states, _connections)
        yield _of_peers(
            "active_requests", "Requests under way at the peer.", states, lambda peer: [("", float(peer.active))]
        )
        yield _of_peers(
            "peer_healthy",
            "What active checks say; not there where there are none.",
            states,
            lambda peer: [] if peer.healthy is None else [("", float(peer.healthy))],
        )
        yield _of_peers(
            "peer_ejected",
            "The peer's answers failed, so it is out for a while.",
            states,
            lambda peer: [("", float(peer.ejected))],
        )
        yield _of_peers("breaker_state", "1 for the state that the peer's breaker is in.", states, _breaker)
        yield _of_peers(
            "breaker_trips",
            "How often the peer's breaker tripped.",
            states,
            lambda peer: [("", float(peer.opened))],
            "counter",
        )


def _connections(peer: PeerState) -> Values:
    return [("busy", float(peer.busy)), ("idle", float(peer.idle))]


def _breaker(peer: PeerState) -> Values:
    return [(state, float(peer.breaker == state)) for state in STATES]


def _of_services(
    name: str, documentation: str, states: Sequence[ServiceState], value: Callable[[ServiceState], float]
) -> Metric:
    name = f"apigw_upstream_{name}"
    return family(
        name,
        "gauge",
        documentation,
        lambda: (Sample(name, {"service": one.name}, float(value(one))) for one in states),
    )


def _of_peers(
    name: str,
    documentation: str,
    states: Sequence[ServiceState],
    values: Callable[[PeerState], Values],
    kind: str = "gauge",
) -> Metric:
    """:param values: each with its state, which is a label unless it is empty."""
    name = f"apigw_upstream_{name}"
    sample = f"{name}_total" if kind == "counter" else name

    def samples() -> Iterator[Sample]:
        for service in states:
            for peer in service.peers:
                for state, value in values(peer):
                    labels = {"service": service.name, "peer": peer.name}
                    yield Sample(sample, labels | {"state": state} if state else labels, value)

    return family(name, kind, documentation, samples)
