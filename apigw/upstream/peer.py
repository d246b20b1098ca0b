"""One address of a service, with what is known of it."""

from __future__ import annotations

from apigw.upstream.agent import PeerAgent, TransparentClient
from apigw.upstream.pool import Pool


class Peer:
    """
    :param label: for logs and metrics, such as ``10.0.0.1:9001``.
    :param origin: scheme and authority of its URLs.
    :param authority: what Host says where the client's isn't kept.
    :param weight: share of requests relative to the others.

    :ivar active: requests under way.
    """

    __slots__ = ("active", "authority", "client", "label", "origin", "pool", "weight")

    def __init__(self, label: str, origin: bytes, authority: bytes, pool: Pool, weight: int = 1) -> None:
        self.label = label
        self.origin = origin
        self.authority = authority
        self.pool = pool
        self.weight = weight
        self.client = TransparentClient(PeerAgent(origin, pool))
        self.active = 0
