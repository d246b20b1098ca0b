"""Takes down how services and their peers are at this moment; asks nobody."""

from __future__ import annotations

from collections.abc import Iterable

from apigw.telemetry.upstreams import PeerState, ServiceState, SourceState
from apigw.upstream.discovery.watch import Watch
from apigw.upstream.peer import Peer
from apigw.upstream.retries import RetryCounts
from apigw.upstream.upstream import Upstream


def peer_state(peer: Peer) -> PeerState:
    pool, candidate, health, watched = peer.pool, peer.candidate, peer.health, peer.watched
    return PeerState(
        name=peer.label,
        weight=candidate.weight,
        backup=candidate.backup,
        healthy=None if health is None else health.healthy,
        reason="" if health is None else health.reason,
        ejected=watched is not None and watched.ejected,
        breaker=peer.breaker.state,
        opened=peer.breaker.opened,
        active=candidate.active,
        busy=pool.busy,
        idle=len(pool.idle),
        ejections=peer.ejections,
        transitions=dict(peer.transitions),
        drained=peer.drained,
    )


def source_state(watch: Watch) -> SourceState:
    failing = watch.failing_since is not None
    return SourceState(
        name=watch.label,
        failing=failing,
        error=watch.last_error if failing else "",
        last_success=watch.answered,
        addresses=len(watch.found),
        failures=dict(watch.failures),
    )


def service_state(upstream: Upstream, retries: RetryCounts, watches: Iterable[Watch]) -> ServiceState:
    """
    :param retries: of the service.
    :param watches: of the sources of its addresses.
    """
    line = upstream.line
    return ServiceState(
        name=upstream.name,
        waiting=len(line.waiting),
        peers=tuple(map(peer_state, upstream.peers)),
        queued=line.joined,
        refused={"full": line.full, "timeout": line.late},
        retries=dict(retries.made),
        declined=dict(retries.declined),
        sources=tuple(map(source_state, watches)),
    )
