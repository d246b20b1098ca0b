"""How long a request may take where its caller has an opinion too."""

from __future__ import annotations

MAX_REMAINING = 3600.0
"""Seconds; a caller that gives more has no deadline worth the name."""


def parse_remaining(value: bytes | None) -> float | None:
    """
    The seconds that X-Timeout-Remaining leaves; the field has whole milliseconds. For trusted callers only.

    :param value: None where there is no such field.
    :return: None where it says nothing that can be meant: no digits, or more than :data:`MAX_REMAINING`. 0.0 means
        that the caller has given up already.
    """
    if value is None or not value.isdigit() or len(value) > 12:
        return None
    seconds = int(value) / 1000.0
    return seconds if seconds <= MAX_REMAINING else None


def total(own: float, remaining: float | None) -> float:
    """Seconds for the whole request: a caller's deadline shortens ours and never makes it longer."""
    return own if remaining is None or remaining >= own else remaining


def left(deadline: float, now: float) -> float:
    """Seconds until a deadline, 0.0 where it has passed."""
    return deadline - now if deadline > now else 0.0


def attempt_timeout(own: float, deadline: float, now: float) -> float:
    """
    Seconds for one attempt, or for one part of it.

    :param own: what it would have for itself.
    :param deadline: of all attempts.
    """
    rest = left(deadline, now)
    return own if own < rest else rest


def worth_waiting(pause: float, deadline: float, now: float, least: float = 0.0) -> bool:
    """
    Whether another attempt makes sense after a pause.

    :param least: seconds that the attempt needs for itself, such as what an answer usually takes.
    """
    return now + pause + least < deadline


def milliseconds(seconds: float) -> int:
    """For X-Timeout-Remaining to the service: whole milliseconds, rounded down, never negative, and never endless."""
    if not seconds > 0.0:
        return 0
    return int(min(seconds, MAX_REMAINING) * 1000.0)
