"""A peer as balancers see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from attrs import define

P = TypeVar("P")

LOWEST_RAMP = 0.1
"""Share of its weight that a peer begins with in slow start, so that it gets traffic at all; Envoy's
``min_weight_percent`` has the same 10 %."""


@define(eq=False)
class Candidate(Generic[P]):
    """
    :ivar peer: whatever the owner wants to have picked.
    :ivar id: stable name; consistent hashing and cookies refer to it.
    :ivar weight: its share relative to the others, at least 1.
    :ivar backup: only for when no other is usable.
    :ivar available: neither unhealthy nor ejected; changed by ``Group.set_available`` only.
    :ivar active: requests under way.

    :ivar ramp_begun: start of slow start, monotonic seconds.
    :ivar ramp_until: its end.
    :ivar latency: seconds, moving average of its answers; 0.0 while there was none. The balancer ``ewma`` keeps it.
    :ivar measured: when ``latency`` was last brought up to date.
    :ivar turn: virtual time of its next turn; round robin and least connections keep it.
    :ivar entry: number of its one valid entry in a balancer's heap, 0 while it has none.
    :ivar points: its places on the ring of consistent hashing.
    """

    peer: P
    id: bytes = b""
    weight: int = 1
    backup: bool = False
    available: bool = True
    active: int = 0
    ramp_begun: float = 0.0
    ramp_until: float = float("-inf")
    latency: float = 0.0
    measured: float = 0.0
    turn: float = -1.0
    entry: int = 0
    points: Sequence[int] = ()

    def ramp(self, now: float) -> float:
        """
        The part of its weight that it may carry yet: 1.0 but during slow start.

        Source: Envoy, "Slow start mode", with an aggression of 1: linear.
        """
        if now >= self.ramp_until:
            return 1.0
        return max((now - self.ramp_begun) / (self.ramp_until - self.ramp_begun), LOWEST_RAMP)
