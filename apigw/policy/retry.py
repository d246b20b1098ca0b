"""Whether a failed attempt is made again, and after how long."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

from attrs import frozen

IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
"""Methods that do the same when done twice (RFC 9110 section 9.2.2)."""

REASONS: Final = frozenset(("connect", "reset", "timeout"))
"""What ``retry.on`` has besides statuses."""

MAX_CHAIN: Final = 3
"""Most retries that a request may have behind it, all gateways and services of the chain taken together, before this
one makes any: each stage that retries multiplies the load on the last one."""

MAX_RETRY_AFTER: Final = 10.0
"""Seconds of a Retry-After that are waited for at the most; for more the answer goes to the client as it is."""

RETRY: Final = ""
"""The verdict that lets an attempt be made again; all others say why not."""


class Chance(Protocol):
    """``random.Random`` or its like."""

    def random(self) -> float:
        """In [0.0, 1.0)."""


@frozen
class RetryPolicy:
    """
    When an attempt is made again. One policy serves all requests of a route.

    :ivar attempts: at most, the first one included; 1 for no retries.
    :ivar reasons: of :data:`REASONS`.
    :ivar statuses: of answers that count as failures.
    :ivar methods: that may be sent twice.
    :ivar shortest: seconds, scale of the first pause.
    :ivar longest: seconds, where its scale stops to double.
    """

    attempts: int = 3
    reasons: frozenset[str] = frozenset(("connect", "reset"))
    statuses: frozenset[int] = frozenset((502, 503, 504))
    methods: frozenset[bytes] = IDEMPOTENT
    shortest: float = 0.05
    longest: float = 2.0

    def unanswered(
        self,
        attempt: int,
        reason: str,
        method: bytes,
        *,
        sent: bool,
        replayable: bool,
        chain: int = 0,
    ) -> str:
        """
        Judge an attempt that brought no answer. The answer to the client must not have begun.

        :param attempt: number of the attempt that failed, from 1.
        :param reason: of the error; empty where no other attempt would change it, such as a failed verification.
        :param sent: a byte of the request may have reached the peer.
        :param replayable: there was no body, none of it has been read, or all that was read is kept.
        :param chain: retries that the request had behind it when it came in, as :func:`parse_retry_count` has it.
        :return: :data:`RETRY`, or the reason why not, in a word or two for logs and metrics.

        A kept connection that the peer closed as the request went out is a ``reset`` with ``sent``: one can't know
        that the peer did nothing (RFC 9112 section 9.3.1 allows a retry for idempotent methods only).
        """
        if reason not in self.reasons:
            return "reason"
        if sent and method not in self.methods:
            return "method"
        return self._possible(attempt, replayable, chain)

    def answered(
        self,
        attempt: int,
        status: int,
        method: bytes,
        *,
        replayable: bool,
        chain: int = 0,
        retry_after: float | None = None,
    ) -> str:
        """
        Judge the answer of an attempt, as :meth:`unanswered`; nothing of it may have gone to the client.

        :param retry_after: seconds that the peer asked for, as :func:`parse_retry_after` has it.
        """
        if status not in self.statuses:
            return "status"
        if method not in self.methods:
            return "method"
        if retry_after is not None and retry_after > MAX_RETRY_AFTER:
            return "retry-after"
        return self._possible(attempt, replayable, chain)

    def _possible(self, attempt: int, replayable: bool, chain: int) -> str:
        if attempt >= self.attempts:
            return "attempts"
        if not replayable:
            return "body"
        if chain >= MAX_CHAIN:
            return "chain"
        return RETRY

    def pause(self, attempt: int, chance: Chance, retry_after: float | None = None) -> float:
        """
        Seconds to wait before the next attempt.

        :param attempt: number of the attempt that failed, from 1.
        :param retry_after: seconds that the peer asked for; they are waited for, and the jitter comes on top, so that
            those it sent away don't come back all at once.

        Source: "full jitter" of Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
        """
        scale = min(self.longest, self.shortest * 2.0 ** min(attempt - 1, 60))
        return (retry_after or 0.0) + scale * chance.random()


def policy(
    attempts: int,
    on: Collection[str],
    methods: Collection[str],
    shortest: float,
    longest: float,
) -> RetryPolicy:
    """
    A policy from the words of the configuration.

    :param on: of :data:`REASONS`, and statuses as ``503``.
    :param methods: as sent; ``idempotent`` stands for :data:`IDEMPOTENT`.
    :raises ValueError: a word that means nothing, or numbers that make no sense.
    """
    statuses = frozenset(int(word) for word in on if word.isascii() and word.isdigit() and 400 <= int(word) <= 599)
    for word in on:
        if word not in REASONS and not (word.isascii() and word.isdigit() and int(word) in statuses):
            raise ValueError(f"{word!r} is neither a status of 400 to 599 nor one of {', '.join(sorted(REASONS))}")
    if attempts < 1:
        raise ValueError("at least one attempt is made")
    if not 0.0 <= shortest <= longest:
        raise ValueError("the shortest pause is longer than the longest one")
    named = frozenset(method.encode("ascii") for method in methods if method != "idempotent")
    return RetryPolicy(
        attempts,
        REASONS.intersection(on),
        statuses,
        named | IDEMPOTENT if "idempotent" in methods else named,
        shortest,
        longest,
    )


def parse_retry_count(value: bytes | None) -> int:
    """
    The number in X-Retry-Count.

    :param value: None where there is no such field.
    :return: 0 where it isn't a number; :data:`MAX_CHAIN` at the most.
    """
    if value is None or not value.isdigit():
        return 0
    return min(int(value[:9]), MAX_CHAIN)


def parse_retry_after(value: bytes | None, now: float) -> float | None:
    """
    The seconds that Retry-After asks for (RFC 9110 section 10.2.3): a number of seconds or a date.

    :param now: wall time, seconds since 1970.
    :return: None where it says neither; 0.0 for a date that has passed.
    """
    if value is None or len(value) > 64:
        return None
    value = value.strip(b" \t")
    if value.isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value.decode("ascii"))
        if date.tzinfo is None:  # a date without a zone is in UTC, as asctime's form has it
            date = date.replace(tzinfo=timezone.utc)
        return max(0.0, date.timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
