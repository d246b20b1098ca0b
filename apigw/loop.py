"""
Twisted's epoll loop without its logging context.

The stock ``doPoll`` enters a log context for each event, which costs 2 us, twice a request. Nothing here logs through
it, and ``_doReadOrWrite`` reports exceptions by itself.
"""

from __future__ import annotations

import errno
from types import MethodType
from typing import Any

from twisted.internet.epollreactor import EPollReactor


def _poll(self: Any, timeout: float | None) -> None:
    selectables = self._selectables
    try:
        ready = self._poller.poll(-1 if timeout is None else timeout, len(selectables))
    except OSError as error:
        if error.errno == errno.EINTR:
            return
        raise
    for fd, event in ready:
        selectable = selectables.get(fd)
        if selectable is not None:  # else closed by an earlier event of this round
            self._doReadOrWrite(selectable, fd, event)


def lean(reactor: Any) -> None:
    """Let ``reactor`` run the shorter loop, if it is the stock epoll reactor; any other is left as it is."""
    if type(reactor) is EPollReactor:
        vars(reactor)["doIteration"] = MethodType(_poll, reactor)
