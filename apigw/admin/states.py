"""Takes down how services and their peers are at this moment; asks nobody."""

from __future__ import annotations

from apigw.telemetry.upstreams import PeerState, ServiceState
from apigw.upstream.peer import Peer
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
    )


def service_state(upstream: Upstream) -> ServiceState:
    return ServiceState(upstream.name, upstream.waiting, tuple(map(peer_state, upstream.peers)))
