"""One address of a service, with all that is known of it."""

from __future__ import annotations

from collections import Counter

from apigw.policy.balance import Candidate
from apigw.policy.breaker import Breaker
from apigw.policy.health import Health
from apigw.policy.outlier import Watched
from apigw.upstream.agent import PeerAgent, TransparentClient
from apigw.upstream.pool import Pool


class Peer:
    """
    :param label: for logs and metrics, such as ``10.0.0.1:9001``.
    :param origin: scheme and authority of its URLs.
    :param authority: what Host says where the client's isn't kept.
    :param weight: share of requests relative to the others.
    :param backup: used only when no other is usable.

    :ivar candidate: the peer as its service's balancer sees it.
    :ivar health: what active checks say, None without any.
    :ivar watched: what its answers say; set while it belongs to a service.
    :ivar drained: an operator wants no new requests to go there.
    :ivar ejections: how often it was ejected for its answers.
    :ivar transitions: of its breaker, by the state it went to.
    """

    __slots__ = (
        "authority",
        "breaker",
        "candidate",
        "client",
        "drained",
        "ejections",
        "health",
        "label",
        "origin",
        "pool",
        "transitions",
        "watched",
    )

    def __init__(
        self,
        label: str,
        origin: bytes,
        authority: bytes,
        pool: Pool,
        breaker: Breaker,
        weight: int = 1,
        backup: bool = False,
    ) -> None:
        self.label = label
        self.origin = origin
        self.authority = authority
        self.pool = pool
        self.breaker = breaker
        self.client = TransparentClient(PeerAgent(origin, pool))
        self.health: Health | None = None
        self.watched: Watched[Peer] | None = None
        self.drained = False
        self.ejections = 0
        self.transitions: Counter[str] = Counter()
        self.candidate: Candidate[Peer] = Candidate(self, label.encode(), weight, backup)

    @property
    def fit(self) -> bool:
        """Neither drained, unhealthy nor ejected."""
        if self.drained:
            return False
        healthy = self.health is None or self.health.healthy
        return healthy and (self.watched is None or not self.watched.ejected)
