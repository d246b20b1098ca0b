"""
Runs a coroutine that awaits Deferreds: the one edge between ``async def`` and the event loop.

It does what ``Deferred.fromCoroutine`` does, without a context for each step and without a Deferred for the outcome,
which nobody on the path waits for. That halves its cost.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()

T = TypeVar("T")


class Awaited(Deferred[T]):
    """
    A Deferred that a :class:`Task` awaits, as a rule: its result goes straight there and not along a chain of
    callbacks, which takes 2 us. To anybody else it is a Deferred like any other.
    """

    _waiter: Callable[[object], None] | None = None

    def hand_to(self, waiter: Callable[[object], None]) -> None:
        """
        Call ``waiter`` with the result or the :class:`Failure` that comes. Nobody may add callbacks any more then.
        """
        if self.called or self._callbacks:
            self.addBoth(waiter)
        else:
            self._waiter = waiter

    def callback(self, result: T | Failure) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            super().callback(result)
        else:
            self.called = True
            waiter(result)

    def errback(self, fail: Any = None) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            super().errback(fail)
        else:
            self.called = True
            waiter(fail if isinstance(fail, Failure) else Failure(fail))

    def __await__(self) -> Generator[Deferred[T], Any, T]:
        if self.called or self._callbacks:
            return (yield from super().__await__())
        result: T = yield self
        return result


class Task:
    """:param coroutine: begun at once. What it raises at its end is logged, for nobody else can see it."""

    __slots__ = ("_awaited", "_coroutine")

    def __init__(self, coroutine: Coroutine[Deferred[Any], Any, None]) -> None:
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
                awaited = self._coroutine.send(result)
            self._awaited = awaited
            if type(awaited) is Awaited:
                awaited.hand_to(self._step)
            else:
                awaited.addBoth(self._step)
        except StopIteration:
            return
        except BaseException:
            _log.failure("a coroutine of the path failed")
