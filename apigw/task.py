"""
Runs a coroutine that awaits Deferreds: the one edge between ``async def`` and the event loop.

It does what ``Deferred.fromCoroutine`` does, without a context for each step and without a Deferred for the outcome,
which nobody on the path waits for. That halves its cost.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()


class Task:
    """:param coroutine: begun at once. What it raises at its end is logged, for nobody else can see it."""

    __slots__ = ("_awaited", "_coroutine")

    def __init__(self, coroutine: Coroutine[Deferred[Any], None, None]) -> None:
        self._coroutine = coroutine
        self._awaited: Deferred[Any] | None = None
        self._step()

    def cancel(self) -> None:
        """Cancel what is being awaited; the coroutine sees what that fails with, ``CancelledError`` as a rule."""
        if self._awaited is not None:
            self._awaited.cancel()

    def _step(self, result: object = None) -> None:
        """Go on to the next Deferred that has no result yet; one that has hands it over by itself, unless it failed."""
        self._awaited = None
        try:
            if isinstance(result, Failure):
                awaited: Deferred[Any] = result.throwExceptionIntoGenerator(self._coroutine)
            else:
                awaited = self._coroutine.send(None)
            self._awaited = awaited
            awaited.addBoth(self._step)
        except StopIteration:
            return
        except BaseException:
            _log.failure("a coroutine of the path failed")
