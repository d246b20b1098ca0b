"""What became of the tokens that were shown."""

from __future__ import annotations

from collections import Counter

from attrs import define, field


@define(eq=False)
class TokenCounts:
    """
    :ivar cached: those that had been verified before.
    :ivar verified: those whose signature was checked, and was right.
    :ivar refused: others, by the reason of :class:`~apigw.policy.bearer.TokenRefused`, or ``keys-unavailable``.
    """

    cached: int = 0
    verified: int = 0
    refused: Counter[str] = field(factory=Counter)
