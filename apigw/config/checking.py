"""What ``health.*`` options look like."""

from __future__ import annotations

import re

from apigw.config.kind import Kind
from apigw.policy.health import parse_statuses

_PATH = re.compile(r"/[!\"$-~]*").fullmatch


def parse_check_path(text: str) -> str:
    """A path, with a query if need be."""
    if not _PATH(text):
        raise ValueError(f"{text!r} is not a path, such as /health")
    return text


def render_statuses(statuses: frozenset[int]) -> str:
    """As few ranges as it takes."""
    spans: list[list[int]] = []
    for status in sorted(statuses):
        if spans and status == spans[-1][1] + 1:
            spans[-1][1] = status
        else:
            spans.append([status, status])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)


def parse_text(text: str) -> str:
    return text


CHECK_PATH: Kind[str] = Kind("path", parse_check_path)
STATUSES: Kind[frozenset[int]] = Kind("statuses such as `200-399, 404`", parse_statuses, render_statuses)
TEXT: Kind[str] = Kind("text", parse_text)
