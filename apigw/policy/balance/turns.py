"""Where candidates stand in the order of turns when the set of them changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from apigw.policy.balance.candidate import LOWEST_RAMP, Candidate


def join(members: Sequence[Candidate[Any]], clock: float, random: Callable[[], float], now: float) -> None:
    """
    Leave those alone that have their turn, and give the others one.

    :param clock: virtual time of the latest turn taken.

    A new one gets a place of chance, or many gateways that start together would all begin with the same peer.
    """
    for candidate in members:
        weight = candidate.weight
        if not clock <= candidate.turn <= clock + 1.0 / (weight * LOWEST_RAMP):
            candidate.turn = clock + random() / (weight * candidate.ramp(now))
