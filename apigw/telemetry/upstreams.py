"""The state of services and their peers, read when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from attrs import field, frozen
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.telemetry.cells import family

Values = Sequence[tuple[str, float]]
Labelled = tuple[dict[str, str], Values]

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
    :ivar ejections: how often it was ejected.
    :ivar transitions: of the breaker, by the state it went to.
    :ivar drained: an operator wants no new requests to go there.
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
    ejections: int = 0
    transitions: Mapping[str, int] = field(factory=dict)
    drained: bool = False

    @property
    def usable(self) -> bool:
        """It gets requests."""
        out = self.drained or self.ejected or self.healthy is False
        return not out and self.breaker not in ("open", "forced_open")


@frozen
class SourceState:
    """
    Where addresses of a service come from, at one moment.

    :ivar name: such as ``dns:user.example``.
    :ivar failing: it can't tell now; what it told last is in force.
    :ivar error: why, empty while it doesn't fail.
    :ivar last_success: seconds since 1970, None for never.
    :ivar addresses: in force.
    :ivar failures: how often it failed, by kind.
    """

    name: str
    failing: bool
    error: str
    last_success: float | None
    addresses: int
    failures: Mapping[str, int]


@frozen
class ServiceState:
    """
    A service at one moment.

    :ivar waiting: requests that wait for a connection.
    :ivar queued: requests that have ever waited for one.
    :ivar refused: of them, and of those that found no place to wait in, by the reason.
    :ivar retries: by the reason of the failure.
    :ivar declined: retries that were not made, by the reason why not.
    """

    name: str
    waiting: int
    peers: Sequence[PeerState]
    queued: int = 0
    refused: Mapping[str, int] = field(factory=dict)
    retries: Mapping[str, int] = field(factory=dict)
    declined: Mapping[str, int] = field(factory=dict)
    sources: Sequence[SourceState] = ()

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
        yield _of_services("up", "Some peer of the service gets requests.", states, lambda one: [("", float(one.up))])
        yield _of_services(
            "queue_length",
            "Requests that wait for a connection to the service.",
            states,
            lambda one: [("", float(one.waiting))],
        )
        yield _of_services(
            "queued",
            "Requests that have waited for a connection to the service.",
            states,
            lambda one: [("", float(one.queued))],
            "counter",
        )
        yield _of_services(
            "queue_refused",
            "Requests that got no connection, by the reason: no place to wait in, or waited too long.",
            states,
            lambda one: _counts(one.refused),
            "counter",
            "reason",
        )
        yield _of_services(
            "retries",
            "Attempts after the first, by what failed before.",
            states,
            lambda one: _counts(one.retries),
            "counter",
            "reason",
        )
        yield _of_services(
            "retries_declined",
            "Failed attempts that none followed, by the reason.",
            states,
            lambda one: _counts(one.declined),
            "counter",
            "reason",
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
        yield _of_peers(
            "breaker_transitions",
            "How often the peer's breaker went to each state.",
            states,
            lambda peer: _counts(peer.transitions),
            "counter",
        )
        yield _of_peers(
            "peer_ejections",
            "How often the peer was ejected for its answers.",
            states,
            lambda peer: [("", float(peer.ejections))],
            "counter",
        )
        yield _of_sources(
            "failing",
            "The source of addresses can't tell now; what it told last is in force.",
            states,
            lambda one: [("", float(one.failing))],
        )
        yield _of_sources(
            "last_success_timestamp_seconds",
            "When the source of addresses last told some; not there before it did.",
            states,
            lambda one: [] if one.last_success is None else [("", one.last_success)],
        )
        yield _of_sources(
            "addresses",
            "Addresses of the source that are in force.",
            states,
            lambda one: [("", float(one.addresses))],
        )
        yield _of_sources(
            "failures",
            "How often the source of addresses could not tell.",
            states,
            lambda one: _counts(one.failures),
            "counter",
        )


def _connections(peer: PeerState) -> Values:
    return [("busy", float(peer.busy)), ("idle", float(peer.idle))]


def _breaker(peer: PeerState) -> Values:
    return [(state, float(peer.breaker == state)) for state in STATES]


def _counts(counts: Mapping[str, int]) -> Values:
    return [(name, float(count)) for name, count in counts.items()]


def _of_services(
    name: str,
    documentation: str,
    states: Sequence[ServiceState],
    values: Callable[[ServiceState], Values],
    kind: str = "gauge",
    label: str = "",
) -> Metric:
    """:param values: each with that of ``label``, which is left out where that is empty."""

    def each() -> Iterator[Labelled]:
        return (({"service": one.name}, values(one)) for one in states)

    return _family(f"apigw_upstream_{name}", documentation, kind, label, each)


def _of_peers(
    name: str,
    documentation: str,
    states: Sequence[ServiceState],
    values: Callable[[PeerState], Values],
    kind: str = "gauge",
) -> Metric:
    """:param values: each with its state, which is a label unless it is empty."""

    def each() -> Iterator[Labelled]:
        return (({"service": one.name, "peer": peer.name}, values(peer)) for one in states for peer in one.peers)

    return _family(f"apigw_upstream_{name}", documentation, kind, "state", each)


def _of_sources(
    name: str,
    documentation: str,
    states: Sequence[ServiceState],
    values: Callable[[SourceState], Values],
    kind: str = "gauge",
) -> Metric:
    """:param values: each with its kind, which is a label unless it is empty."""

    def each() -> Iterator[Labelled]:
        return (
            ({"service": one.name, "source": source.name}, values(source)) for one in states for source in one.sources
        )

    return _family(f"apigw_discovery_{name}", documentation, kind, "kind", each)


def _family(
    name: str,
    documentation: str,
    kind: str,
    label: str,
    each: Callable[[], Iterator[Labelled]],
) -> Metric:
    sample = f"{name}_total" if kind == "counter" else name

    def samples() -> Iterator[Sample]:
        for labels, values in each():
            for state, value in values:
                yield Sample(sample, {**labels, label: state} if state else labels, value)

    return family(name, kind, documentation, samples)
