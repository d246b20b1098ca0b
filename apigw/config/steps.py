"""Work in steps, for who has other things to do in between."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that rests in between; its result comes at the end."""

SOME = 20
"""Sections that are read between two rests: 2 ms."""

LINES = 500
"""Lines that are read between two rests: 1 ms."""


def whole(steps: Steps[T]) -> T:
    """Take all steps now."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        made: T = end.value
        return made


def let_go(several: dict[Any, Any]) -> Steps[None]:
    """Empty it; what it holds is freed in steps, too: 50,000 sections at once take 50 ms."""
    while several:
        if len(several) % SOME == 0:
            yield
        several.popitem()
