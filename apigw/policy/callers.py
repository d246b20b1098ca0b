"""Who calls what should be called no more: the last so many callers, each with how often and when."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from attrs import define

CALLERS = 1000
"""That are remembered for each version; who hasn't called for the longest goes first."""


@define
class Caller:
    """:ivar last: seconds since 1970."""

    who: str
    count: int = 0
    last: float = 0.0
    route: str = ""
    agent: str = ""


class Callers:
    """
    :ivar total: calls.
    :ivar first: when the first one was, seconds since 1970; 0.0 before that.
    """

    def __init__(self, most: int = CALLERS) -> None:
        self._most = most
        self._known: OrderedDict[str, Caller] = OrderedDict()
        self.total = 0
        self.first = 0.0

    def called(self, who: str, now: float, route: str, agent: str) -> None:
        """Take down a call."""
        self.total += 1
        self.first = self.first or now
        caller = self._known.pop(who, None) or Caller(who)
        self._known[who] = caller
        caller.count += 1
        caller.last, caller.route, caller.agent = now, route, agent
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def __iter__(self) -> Iterator[Caller]:
        """The last one first."""
        return iter(reversed(self._known.values()))
