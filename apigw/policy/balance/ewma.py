"""The better of two random choices, by latency and requests under way."""

from __future__ import annotations

from math import exp
from typing import TypeVar

from apigw.policy.balance.balancer import Chance
from apigw.policy.balance.candidate import Candidate
from apigw.policy.balance.p2c import PowerOfTwoChoices
from apigw.policy.outcome import ABANDONED, FAILED

P = TypeVar("P")

DECAY = 10.0
"""Seconds in which an old latency loses two thirds of its influence; Finagle's and linkerd's default."""

FAILURE_COST = 1.0
"""Seconds that a failure costs at the least, or a peer that fails at once would look like the fastest."""


class PeakEwma(PowerOfTwoChoices[P]):
    """
    Cost is ``latency * (active / weight + 1)``; the two are drawn by weight. A latency above the average replaces it
    at once, one below pulls it down in time, so a peer that turns slow is noticed by one answer. What isn't measured
    again is forgotten in time: a slow peer gets a request again after a while. A peer without any answer yet counts
    as an average one.

    :param decay: seconds.

    Source: Finagle, ``PeakEwma``; linkerd2-proxy does the same.
    """

    def __init__(self, chance: Chance, decay: float = DECAY) -> None:
        super().__init__(chance)
        self._decay = decay
        self._typical = 0.001

    def _worse(self, first: Candidate[P], second: Candidate[P], now: float) -> bool:
        return self.cost(first, now) > self.cost(second, now)

    def cost(self, candidate: Candidate[P], now: float) -> float:
        """Seconds a request would take there, one may guess."""
        latency = candidate.latency
        if latency:
            past = now - candidate.measured
            if past > 0.0:
                latency *= exp(-past / self._decay)
        else:
            latency = self._typical
        return latency * (candidate.active / candidate.weight + 1.0)

    def done(self, candidate: Candidate[P], now: float, elapsed: float, outcome: int) -> None:
        candidate.active -= 1
        if outcome == ABANDONED:
            return
        if outcome == FAILED and elapsed < FAILURE_COST:
            elapsed = FAILURE_COST
        else:
            self._typical += (elapsed - self._typical) * 0.01
        latency = candidate.latency
        if elapsed > latency:
            candidate.latency = elapsed
        else:
            past = now - candidate.measured
            if past > 0.0:
                candidate.latency = elapsed + (latency - elapsed) * exp(-past / self._decay)
        if now > candidate.measured:
            candidate.measured = now
