"""
Twisted's epoll loop, shorter for what happens most, something to read; and timers that don't care for the time of day.

The stock ``doPoll`` enters a log context for each event, and asks each descriptor whether it is still open. That costs
3 us, twice a request. Nothing here logs through that context, and a closed descriptor isn't polled.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from select import EPOLLIN
from time import monotonic
from types import MethodType
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.python import log

MOST = 128
"""Events of a turn; timers have theirs before the next ones, which the kernel gives in order."""

_ends: list[Callable[[], None]] | None = None
"""What waits for the end of this turn of the loop; None outside of one."""


def at_turn_end(call: Callable[[], None]) -> None:
    """Call it once all is dealt with that is ready now; at once where nothing tells when that is."""
    if _ends is None:
        call()
    else:
        _ends.append(call)


def _poll(self: Any, timeout: float | None) -> None:
    global _ends
    selectables = self._selectables
    try:
        ready = self._poller.poll(-1 if timeout is None else timeout, min(len(selectables), MOST))
    except OSError as error:
        if error.errno == errno.EINTR:
            return
        raise
    ends = _ends = []
    for fd, event in ready:
        selectable = selectables.get(fd)
        if selectable is None:
            continue  # closed by an earlier event of this round
        if event != EPOLLIN:
            self._doReadOrWrite(selectable, fd, event)
            continue
        try:
            why = selectable.doRead()
        except BaseException:
            why = sys.exc_info()[1]
            log.err()
        if why:
            self._disconnectSelectable(selectable, why, True)
    _ends = None
    for call in ends:
        try:
            call()
        except Exception:
            log.err()


def lean(reactor: Any) -> None:
    """Let ``reactor`` run the shorter loop, if it is the stock epoll reactor; any other is left as it is."""
    if type(reactor) is EPollReactor:
        vars(reactor)["doIteration"] = MethodType(_poll, reactor)


def steady(reactor: Any) -> None:
    """
    Let timers of ``reactor`` go by monotonic time, from before it runs.

    Twisted's own go by the time of day: where that is set back by an hour nothing that waits ends for an hour, and
    where it is set forward all of it ends at once.
    """
    if reactor.running or reactor.seconds is monotonic:
        return
    shift = monotonic() - reactor.seconds()
    for call in (*reactor._pendingTimedCalls, *reactor._newTimedCalls):
        call.time += shift
        call.seconds = monotonic
    vars(reactor)["seconds"] = monotonic
