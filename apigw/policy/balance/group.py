"""Who is in the choice at all: health, panic, backups, slow start, probes, and peers already tried."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from heapq import heappop, heappush
from typing import Generic, TypeVar

from apigw.policy.balance.balancer import Balancer, Chance, Usable
from apigw.policy.balance.candidate import Candidate
from apigw.policy.balance.names import balancer

P = TypeVar("P")

PANIC = 0.5
"""Below this share of available peers all are used; Envoy's ``healthy_panic_threshold`` is 50 % too."""

PROBE_AGAIN = 1.0
"""Seconds until a probe is tried again whose peer was not available or not usable when its time had come."""


class Group(Generic[P]):
    """
    The peers of a service and the choice among them. What changes seldom (health, members) costs O(n) and keeps the
    balancer's own set small, so that a pick meets available peers only.

    :param balance: a name of :data:`apigw.policy.balance.names.BALANCERS`.
    :param slow_start: seconds over which the weight of a peer grows after it came (back); 0.0 for none.
    :param panic: share of available peers below which health is taken for wrong and all are used, 0.0 for never. While
        a backup is available there is no panic.

    :ivar candidates: all of them.
    :ivar available: how many of those that are no backups are available.
    :ivar panicking: all are used, whatever their health.
    """

    def __init__(self, balance: str, chance: Chance, *, slow_start: float = 0.0, panic: float = PANIC) -> None:
        self._primary: Balancer[P] = balancer(balance, chance)
        self._backup: Balancer[P] = balancer(balance, chance)
        self._slow_start = slow_start
        self._panic = panic
        self._probes: list[tuple[float, int, Candidate[P]]] = []
        self._probe_count = 0
        self.candidates: Sequence[Candidate[P]] = ()
        self.available = 0
        self.panicking = False

    # -- what changes seldom -----------------------------------------------------------------------------------------

    def replace(self, candidates: Sequence[Candidate[P]], now: float) -> None:
        """
        Choose among these from now on. Those that stay keep what is known of them; requests under way at one that
        goes still end with :meth:`done`.

        :raises ValueError: a weight is less than 1.
        """
        if any(candidate.weight < 1 for candidate in candidates):
            raise ValueError("weights are at least 1")
        before = set(self.candidates)
        if before:  # at the very start all are new, and there is nobody to spare them
            for candidate in candidates:
                if candidate not in before:
                    self._warm_up(candidate, now)
        self.candidates = tuple(candidates)
        staying = set(candidates)
        self._probes = sorted(probe for probe in self._probes if probe[2] in staying)
        self._settle(now)

    def set_available(self, candidate: Candidate[P], available: bool, now: float) -> None:
        """Say that a peer became healthy, unhealthy or ejected, or came back; slow start begins with it."""
        if candidate.available == available:
            return
        candidate.available = available
        if available:
            self._warm_up(candidate, now)
        self._settle(now)

    def probe(self, candidate: Candidate[P], at: float) -> None:
        """
        Send the next request from ``at`` on to this candidate, whatever the balancer would say: for half-open
        breakers, whose peer might not be picked for long. Once, as soon as the candidate is available and usable.
        """
        self._probe_count += 1
        heappush(self._probes, (at, self._probe_count, candidate))

    def _warm_up(self, candidate: Candidate[P], now: float) -> None:
        if self._slow_start > 0.0:
            candidate.ramp_begun = now
            candidate.ramp_until = now + self._slow_start

    def _settle(self, now: float) -> None:
        primaries = [candidate for candidate in self.candidates if not candidate.backup]
        backups = [candidate for candidate in self.candidates if candidate.backup and candidate.available]
        healthy = [candidate for candidate in primaries if candidate.available]
        self.available = len(healthy)
        self.panicking = not backups and len(healthy) < self._panic * len(primaries)
        if self.panicking:
            healthy = primaries
            backups = [candidate for candidate in self.candidates if candidate.backup] if not primaries else []
        self._primary.update(healthy, now)
        self._backup.update(backups, now)

    # -- the hot path ------------------------------------------------------------------------------------------------

    def pick(
        self,
        now: float,
        usable: Usable[P],
        key: bytes | None = None,
        tried: Collection[Candidate[P]] = (),
    ) -> Candidate[P] | None:
        """
        Pick a candidate and count one more request on it; :meth:`done` has to follow exactly once.

        :param now: monotonic seconds.
        :param usable: whether a candidate can take the request; may take a permit when it says yes, for that one is
            picked then.
        :param key: what consistent hashing goes by.
        :param tried: picked only if no other is usable.
        :return: None where none is usable.
        """
        if tried or self._probes:
            return self._pick_with_care(now, usable, key, tried)
        return self._primary.pick(now, key, usable) or self._backup.pick(now, key, usable)

    def take(self, candidate: Candidate[P], now: float) -> None:
        """Count one more request on a candidate that was chosen by other means; :meth:`done` has to follow."""
        (self._backup if candidate.backup else self._primary).take(candidate, now)

    def done(self, candidate: Candidate[P], now: float, elapsed: float, outcome: int) -> None:
        """
        A request that was picked for has ended.

        :param elapsed: seconds from pick to the head of the answer, or to the failure.
        :param outcome: of :mod:`apigw.policy.outcome`.
        """
        (self._backup if candidate.backup else self._primary).done(candidate, now, elapsed, outcome)

    def _pick_with_care(
        self, now: float, usable: Usable[P], key: bytes | None, tried: Collection[Candidate[P]]
    ) -> Candidate[P] | None:
        while self._probes and self._probes[0][0] <= now:
            candidate = self._probes[0][2]
            if candidate in tried:
                break  # it is for a request that hasn't failed there
            heappop(self._probes)
            if candidate.available and usable(candidate):
                self.take(candidate, now)
                return candidate
            self.probe(candidate, now + PROBE_AGAIN)
        fresh = (lambda candidate: candidate not in tried and usable(candidate)) if tried else usable
        picked = self._primary.pick(now, key, fresh) or self._backup.pick(now, key, fresh)
        if picked is None and tried:
            picked = self._primary.pick(now, key, usable) or self._backup.pick(now, key, usable)
        return picked
