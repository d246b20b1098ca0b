"""What would become of a request at its service: which peer, what is sent, for how long, and how often."""

from __future__ import annotations

from copy import deepcopy
from math import isfinite
from typing import Any

from apigw.messages import Exchange
from apigw.policy.balance import Candidate
from apigw.policy.redact import SECRET_FIELDS
from apigw.upstream.peer import Peer
from apigw.upstream.upstream import Upstream

RANDOM = ("random", "p2c")
"""Balancers that go by chance."""


def peers(upstream: Upstream, now: float) -> list[dict[str, Any]]:
    """All peers, each with the reason why it can't get a request now, empty where it can."""
    found = []
    for peer in upstream.peers:
        candidate = peer.candidate
        found.append(
            {
                "name": peer.label,
                "weight": candidate.weight,
                "backup": candidate.backup,
                "active": candidate.active,
                "latency_ms": round(candidate.latency * 1000.0, 3),
                "out": out(peer, now),
            }
        )
    return found


def out(peer: Peer, now: float) -> str:
    """Why a peer would get no request, empty where it would."""
    if peer.drained:
        return "drained"
    if peer.health is not None and not peer.health.healthy:
        return f"unhealthy: {peer.health.reason}"
    if peer.watched is not None and peer.watched.ejected:
        return "ejected for its answers"
    if not peer.breaker.ready(now):
        return f"its breaker is {peer.breaker.state.replace('_', ' ')}"
    if not peer.pool.idle and peer.pool.full:
        return "all of its connections are in use"
    return ""


def picked(upstream: Upstream, exchange: Exchange, now: float, key: bytes | None) -> tuple[str, str]:
    """
    The peer that would be picked now, and by what; the balancer's own state stays as it is.

    :return: both empty where none can be.
    """

    def usable(candidate: Candidate[Peer]) -> bool:
        peer = candidate.peer
        return not peer.drained and peer.breaker.ready(now) and bool(peer.pool.idle or not peer.pool.full)

    wanted = None if upstream.sticky is None else upstream.sticky.wanted(exchange)
    if wanted is not None and wanted.available and usable(wanted):
        return wanted.peer.label, "cookie"
    # Of a copy, for a pick takes turns and counts; peers are the same in it.
    group = deepcopy(upstream.group, {id(peer): peer for peer in upstream.peers})
    candidate = group.pick(now, usable, key)
    return ("", "") if candidate is None else (candidate.peer.label, "balancer")


def shown_fields(lines: bytes) -> list[list[str]]:
    """Fields from their lines, values that let others in as ``*``."""
    found = []
    for line in lines.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            shown = b"*" if name.lower() in SECRET_FIELDS else value.strip(b" \t")
            found.append([name.decode("latin-1"), shown.decode("latin-1")])
    return found


def seconds(value: float) -> float | None:
    """For JSON, which has no infinity."""
    return value if isfinite(value) else None
