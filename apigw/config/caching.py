"""``cache``, ``stale_while_revalidate`` and ``stale_if_error`` of a route, and ``[cache]``."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from apigw.config.kind import Kind, choice
from apigw.config.option import option
from apigw.config.units import SWITCH, parse_duration, parse_switch, render_duration, size_between

OFF = -1.0


def _parse_cache(text: str) -> float:
    try:
        return 0.0 if parse_switch(text) else OFF
    except ValueError:
        pass
    try:
        return parse_duration(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither on nor off nor a duration, such as 60s") from None


def _render_cache(seconds: float) -> str:
    return render_duration(seconds) if seconds > 0.0 else SWITCH.render(seconds == 0.0)


CACHE: Kind[float] = Kind("`on`, `off`, or how long answers are fresh", _parse_cache, _render_cache)
"""Seconds for answers that don't say it themselves; 0.0 for none of those, :data:`OFF` for no cache."""


@frozen(kw_only=True)
class CacheSection:
    """Answers that are kept for routes with `cache`, in the memory of each worker."""

    store: str = option(
        choice("local", "redis"),
        default="local",
        help="`redis` has all gateways find what one of them keeps, too, in the server of `[limits]`.",
    )
    size: int = option(
        size_between(64 * 1024, 64 * 1024**3),
        default=64 * 1024**2,
        help="Bytes of all of them in each worker; the one not used for the longest goes first.",
    )
    max_body: int = option(
        size_between(1, 1024**3), default=1024**2, help="Bytes of the body of one; what is larger isn't kept."
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        if self.max_body > self.size:
            yield "max_body", "is more than size, which is for all of them together; write less"
