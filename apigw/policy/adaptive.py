"""How many requests a service may have under way, found out from how long its answers take."""

from __future__ import annotations

from math import sqrt

from attrs import frozen

from apigw.policy.outcome import FAILED, OK

HIGH, NORMAL, LOW = 0, 1, 2
"""Priorities; the lowest are shed first."""


@frozen
class AdaptivePolicy:
    """
    :ivar initial: limit to begin with.
    :ivar lowest: it never goes below.
    :ivar highest: it never goes above.
    :ivar tolerance: how many times longer than at their best answers may take before the limit goes down.
    :ivar smoothing: part of the way to the new limit that is gone at each step.
    :ivar backoff: factor for the limit where the service said that it is overloaded.
    :ivar window: seconds of a step at the least.
    :ivar samples: answers of a step at the least.
    :ivar recheck: seconds of uninterrupted use after which the best latency is measured anew.
    :ivar shares: parts of the limit that requests of each priority may fill.
    """

    initial: float = 20.0
    lowest: float = 4.0
    highest: float = 1000.0
    tolerance: float = 1.5
    smoothing: float = 0.2
    backoff: float = 0.9
    window: float = 0.5
    samples: int = 10
    recheck: float = 60.0
    shares: tuple[float, float, float] = (1.0, 0.9, 0.7)


class AdaptiveLimit:
    """
    A limit that follows the gradient of latency: where answers take longer than they do at their best, a queue has
    formed in the service and the limit goes down; else it grows, by the square root of itself, while it is in use.

    The best latency is the lowest of those measured. It may have risen for good, so while the limit isn't in use it
    drifts to what is measured, and where the limit is always in use, it is halved for two steps now and then: what
    answers take then, they take without a queue. An average of the past in its place, as in Netflix's Gradient2,
    takes a queue that stays for normal, and the limit grows without end.

    :ivar limit: requests that may be under way.
    :ivar active: requests under way.
    :ivar shed: requests refused so far, by priority.

    Source: Netflix, concurrency-limits, ``GradientLimit`` and ``WindowedLimit``; Envoy, "Adaptive Concurrency".
    """

    __slots__ = (
        "_begun",
        "_best",
        "_count",
        "_dropped",
        "_lowered",
        "_peak",
        "_policy",
        "_rechecked",
        "_saved",
        "_sum",
        "active",
        "limit",
        "shed",
    )

    def __init__(self, policy: AdaptivePolicy) -> None:
        self._policy = policy
        self._best = 0.0
        self._rechecked = float("-inf")
        self._lowered = 0
        self._saved = 0.0
        self._begun = float("-inf")
        self._sum = 0.0
        self._count = 0
        self._peak = 0
        self._dropped = False
        self.limit = policy.initial
        self.active = 0
        self.shed = [0, 0, 0]

    def admit(self, priority: int = NORMAL) -> bool:
        """
        Take a place for a request; :meth:`release` has to follow where there is one.

        :param priority: :data:`HIGH`, :data:`NORMAL` or :data:`LOW`.
        """
        active = self.active
        # With nothing under way one is always let in, or a low limit would shut out a priority for good.
        if active and active + 1 > self.limit * self._policy.shares[priority]:
            self.shed[priority] += 1
            return False
        self.active = active = active + 1
        if active > self._peak:
            self._peak = active
        return True

    def release(self, now: float, elapsed: float, outcome: int) -> None:
        """
        Give the place back.

        :param elapsed: seconds to the head of the answer.
        :param outcome: ``FAILED`` where the service was overloaded (503, 429, a timeout); ``ABANDONED`` for whatever
            says nothing about its speed, such as other failures.
        """
        self.active -= 1
        if outcome == OK:
            self._sum += elapsed
            self._count += 1
        elif outcome == FAILED:
            self._dropped = True
        else:
            return
        policy = self._policy
        if now - self._begun >= policy.window and (self._count >= policy.samples or self._dropped):
            self._step(now)

    def _step(self, now: float) -> None:
        policy = self._policy
        if self._lowered and not self._dropped:
            self._measure(now)
        else:
            self._lowered = 0
            limit = self.limit * policy.backoff if self._dropped else self._moved(now)
            self.limit = min(max(limit, policy.lowest), policy.highest)
        self._begun = now
        self._sum = 0.0
        self._count = 0
        self._peak = self.active
        self._dropped = False

    def _moved(self, now: float) -> float:
        """The limit after a step without overload."""
        policy, limit = self._policy, self.limit
        latency = self._sum / self._count
        used = self._peak >= limit / 2.0
        if not self._best or latency < self._best:
            self._best = latency
        elif not used:
            self._best += (latency - self._best) * 0.1
        if not used or self._rechecked == float("-inf"):
            self._rechecked = now
        elif now - self._rechecked >= policy.recheck:
            self._lowered = 2
            self._saved = limit
            return limit / 2.0
        gradient = min(1.0, max(0.5, policy.tolerance * self._best / latency)) if latency > 0.0 else 1.0
        # A limit that isn't reached says nothing, and must not grow to where it wouldn't protect.
        if gradient == 1.0 and not used:
            return limit
        return limit + policy.smoothing * (limit * gradient + sqrt(limit) - limit)

    def _measure(self, now: float) -> None:
        """A step of the lowered limit: the first one still has the queue of before, the second one counts."""
        self._lowered -= 1
        if not self._lowered:
            # No more than twice as much: what came at this very moment may be a queue that half the limit still fills.
            self._best = min(self._sum / self._count, 2.0 * self._best)
            self._rechecked = now
            self.limit = self._saved
