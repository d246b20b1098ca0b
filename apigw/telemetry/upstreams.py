"""The state of services and their peers, read when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attrs import frozen
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

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
        of_peer = ("service", "peer")
        up = GaugeMetricFamily("apigw_upstream_up", "Some peer of the service gets requests.", labels=("service",))
        queue = GaugeMetricFamily(
            "apigw_upstream_queue_length", "Requests that wait for a connection to the service.", labels=("service",)
        )
        connections = GaugeMetricFamily(
            "apigw_upstream_connections", "Connections to the peer, by state.", labels=(*of_peer, "state")
        )
        active = GaugeMetricFamily("apigw_upstream_active_requests", "Requests under way at the peer.", labels=of_peer)
        healthy = GaugeMetricFamily(
            "apigw_upstream_peer_healthy", "What active checks say; not there where there are none.", labels=of_peer
        )
        ejected = GaugeMetricFamily(
            "apigw_upstream_peer_ejected", "The peer's answers failed, so it is out for a while.", labels=of_peer
        )
        breaker = GaugeMetricFamily(
            "apigw_upstream_breaker_state", "1 for the state that the peer's breaker is in.", labels=(*of_peer, "state")
        )
        opened = Metric("apigw_upstream_breaker_trips", "How often the peer's breaker tripped.", "counter")
        for service in self._states():
            up.add_metric((service.name,), service.up)
            queue.add_metric((service.name,), service.waiting)
            for peer in service.peers:
                key = (service.name, peer.name)
                connections.add_metric((*key, "busy"), peer.busy)
                connections.add_metric((*key, "idle"), peer.idle)
                active.add_metric(key, peer.active)
                ejected.add_metric(key, peer.ejected)
                if peer.healthy is not None:
                    healthy.add_metric(key, peer.healthy)
                for state in STATES:
                    breaker.add_metric((*key, state), peer.breaker == state)
                opened.add_sample(
                    "apigw_upstream_breaker_trips_total", dict(zip(of_peer, key, strict=True)), peer.opened
                )
        yield from (up, queue, connections, active, healthy, ejected, breaker, opened)
