"""Takes a peer out of the choice for what its answers show, and lets it back in by itself."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Generic, TypeVar

from attrs import frozen

P = TypeVar("P")


@frozen
class OutlierPolicy:
    """
    :ivar consecutive_5xx: failures in a row that eject a peer: 5xx, resets and timeouts; 0 for never.
    :ivar consecutive_connect: failed connects in a row that do, 0 for never; fewer, for there is no doubt whose fault
        it is.
    :ivar eject_for: seconds, times the number of ejections so far.
    :ivar longest: seconds at the most; Envoy's ``max_ejection_time`` is 300 s too.
    :ivar max_ejected: share of the peers that may be out at a time; of a single peer that is none.
    """

    consecutive_5xx: int = 5
    consecutive_connect: int = 3
    eject_for: float = 30.0
    longest: float = 300.0
    max_ejected: float = 0.5


class OutlierGroup(Generic[P]):
    """
    Watches the peers of a service.

    :param ejected: called with each peer that is ejected.

    :ivar count: peers that are watched.
    :ivar out: how many of them are ejected.

    Source: Envoy, "Outlier detection".
    """

    def __init__(self, policy: OutlierPolicy, ejected: Callable[[P], None]) -> None:
        self.policy = policy
        self.count = 0
        self.out = 0
        self._told = ejected
        self._due: list[tuple[float, int, Watched[P]]] = []
        self._entries = 0

    def watch(self, peer: P) -> Watched[P]:
        """Watch a peer from now on; give its answers to what comes back."""
        self.count += 1
        return Watched(self, peer)

    def forget(self, watched: Watched[P]) -> None:
        """A peer has gone; what it still answers has no effect."""
        self.count -= 1
        watched.gone = True
        if watched.ejected:
            watched.ejected = False
            self.out -= 1

    def eject(self, watched: Watched[P], now: float) -> bool:
        """
        Take a peer out, unless it is out already or too many are.

        :return: whether it was ejected.
        """
        policy = self.policy
        if watched.gone or watched.ejected or self.out + 1 > policy.max_ejected * self.count:
            return False
        if policy.eject_for > 0.0:
            # Each time of eject_for spent well makes up for one ejection.
            well = max(0.0, now - watched.returned) / policy.eject_for
            watched.ejections = max(0, watched.ejections - int(min(well, watched.ejections)))
        watched.ejections += 1
        watched.ejected = True
        self.out += 1
        self._entries += 1
        until = now + max(0.0, min(policy.eject_for * watched.ejections, policy.longest))
        heappush(self._due, (until, self._entries, watched))
        self._told(watched.peer)
        return True

    def next_due(self) -> float | None:
        """When :meth:`due` should be called next, None while no peer is out."""
        while self._due and not self._due[0][2].ejected:
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def due(self, now: float) -> list[P]:
        """Let those back in whose time is over, and say who they are."""
        back = []
        while self._due and self._due[0][0] <= now:
            watched = heappop(self._due)[2]
            if watched.ejected:
                watched.ejected = False
                watched.returned = now
                watched.failures = watched.unreached = 0
                self.out -= 1
                back.append(watched.peer)
        return back


class Watched(Generic[P]):
    """
    What a group knows of one peer.

    :ivar failures: in a row.
    :ivar unreached: failed connects in a row.
    :ivar ejected: it is out.
    :ivar ejections: how often it was, less those it has made up for.
    :ivar returned: when it came back the last time.
    """

    __slots__ = ("_group", "ejected", "ejections", "failures", "gone", "peer", "returned", "unreached")

    def __init__(self, group: OutlierGroup[P], peer: P) -> None:
        self._group = group
        self.peer = peer
        self.failures = 0
        self.unreached = 0
        self.ejected = False
        self.ejections = 0
        self.returned = 0.0
        self.gone = False

    def answered(self, status: int, now: float) -> bool:
        """
        Take down an answer.

        :return: whether the peer was ejected for it.
        """
        self.unreached = 0
        if status < 500:
            self.failures = 0
            return False
        return self._failed(now)

    def failed(self, reason: str, now: float) -> bool:
        """
        Take down that there was no answer; not for what the client or the gateway is at fault for.

        :param reason: of the error: ``connect``, ``reset``, ``timeout`` or another.
        :return: whether the peer was ejected for it.
        """
        if reason != "connect":
            self.unreached = 0
            return self._failed(now)
        self.unreached += 1
        most = self._group.policy.consecutive_connect
        return 0 < most <= self.unreached and self._group.eject(self, now)

    def _failed(self, now: float) -> bool:
        self.failures += 1
        most = self._group.policy.consecutive_5xx
        return 0 < most <= self.failures and self._group.eject(self, now)
