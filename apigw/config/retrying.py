"""What ``retry.*`` options look like."""

from __future__ import annotations

from apigw.config.kind import Kind, list_of
from apigw.config.matching import parse_method
from apigw.config.problems import did_you_mean
from apigw.config.units import parse_duration, render_duration
from apigw.policy.retry import REASONS

IDEMPOTENT = "idempotent"


def parse_reason(text: str) -> str:
    """Of a failure: a word, or a status."""
    if text in REASONS or (text.isascii() and text.isdigit() and 400 <= int(text) <= 599):
        return text
    words = ", ".join(sorted(REASONS))
    raise ValueError(f"{text!r} is neither a status of 400 to 599 nor {words}{did_you_mean(text.lower(), REASONS)}")


def parse_retried_method(text: str) -> str:
    """A method, or the word for those that do the same when done twice."""
    return text if text == IDEMPOTENT else parse_method(text)


def parse_backoff(text: str) -> tuple[float, float]:
    """:return: the shortest and the longest scale of a pause, seconds."""
    shortest, dots, longest = text.partition("..")
    if not dots:
        raise ValueError(f"{text!r} is not a span of time, write two durations such as 50ms..2s")
    span = parse_duration(shortest.strip()), parse_duration(longest.strip())
    if span[0] > span[1]:
        raise ValueError(f"{text!r} begins with the longer one, write {longest.strip()}..{shortest.strip()}")
    return span


def render_backoff(span: tuple[float, float]) -> str:
    return f"{render_duration(span[0])}..{render_duration(span[1])}"


RETRY_ON: Kind[tuple[str, ...]] = list_of(Kind("reason", parse_reason), "`connect`, `reset`, `timeout` and statuses")
RETRY_METHODS: Kind[tuple[str, ...]] = list_of(Kind("method", parse_retried_method), "methods, or `idempotent`")
BACKOFF: Kind[tuple[float, float]] = Kind("span of durations", parse_backoff, render_backoff)
