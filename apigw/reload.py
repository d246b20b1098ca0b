"""A new configuration for a running gateway: read whole, made ready beside the one in use, then swapped at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from time import monotonic, time
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import deferLater
from twisted.logger import Logger

from apigw.config import ConfigErrors, GatewayConfig
from apigw.config.loader import loading, read_text
from apigw.config.steps import Steps
from apigw.notify import SILENT, Notify
from apigw.telemetry.reloads import Reloads

T = TypeVar("T")

SLICE = 0.002
"""Seconds of work between two rests, in which requests get their turn."""


class CannotStart(Exception):
    """The gateway can't run as configured; one line says why."""


@frozen
class Commit:
    """
    A configuration that is ready.

    :ivar take: swaps, and can't fail.
    :ivar give_up: takes back what was made ready.
    """

    take: Callable[[], object]
    give_up: Callable[[], object]


Prepare = Callable[[str], Awaitable[Commit]]


@frozen
class Source:
    """
    Where the configuration comes from.

    :ivar path: of the INI file; None for the environment alone.
    """

    path: str | None
    environ: Mapping[str, str]

    def text(self) -> str:
        """:raises ConfigErrors: the file can't be read."""
        return "" if self.path is None else read_text(self.path)

    def loading(self, text: str) -> Steps[GatewayConfig]:
        """:raises ConfigErrors: something is wrong."""
        return loading(text, self.path or "", self.environ)


async def in_turns(steps: Steps[T], clock: Any) -> T:
    """Take all steps, and let the reactor have its turn every :data:`SLICE` seconds."""
    until = monotonic() + SLICE
    try:
        while True:
            next(steps)
            if monotonic() >= until:
                await deferLater(clock, 0.0)
                until = monotonic() + SLICE
    except StopIteration as end:
        made: T = end.value
        return made


class Reload:
    """
    Reloads of one gateway, one at a time.

    :param prepare: makes ready all that the text of a configuration asks for, and changes nothing. Raises
        :class:`ConfigErrors` or :class:`CannotStart` where it can't be used, having taken back what it did.
    :param told: takes down how each ended.
    :param notify: tells the service manager.
    """

    _log = Logger()

    def __init__(self, source: Source, prepare: Prepare, told: Reloads, notify: Notify = SILENT) -> None:
        self._source = source
        self._prepare = prepare
        self._told = told
        self._notify = notify
        self._one = DeferredLock()

    def __call__(self) -> Deferred[bool]:
        """
        Take the configuration that there is now.

        :return: whether it is in force; else all is as it was, and the reason is logged and kept.
        """
        return self._one.run(lambda: Deferred.fromCoroutine(self._reload()))

    def by(self, prepare: Callable[[], Awaitable[Commit]]) -> Deferred[None]:
        """Take what ``prepare`` makes ready, in turn with reloads; fails as that does."""

        async def take() -> None:
            (await prepare()).take()

        return self.between(take)

    def between(self, do: Callable[[], Coroutine[Any, Any, None]]) -> Deferred[None]:
        """Do it while no configuration is being taken; fails as that does."""
        return self._one.run(lambda: Deferred.fromCoroutine(do()))

    async def _reload(self) -> bool:
        begun = monotonic()
        self._notify.reloading()
        try:
            commit = await self._prepare(self._source.text())
        except (ConfigErrors, CannotStart) as wrong:
            self._refused(str(wrong))
            return False
        except Exception as failed:
            self._log.failure("reload")
            self._refused(f"{type(failed).__name__}: {failed}")
            return False
        commit.take()
        self._done(monotonic() - begun)
        return True

    def _done(self, seconds: float) -> None:
        """A new configuration is in force."""
        self._told.ended(time(), "")
        self._notify.reloaded("")
        self._log.info("reloaded in {ms} ms", ms=round(seconds * 1000.0))

    def _refused(self, reason: str) -> None:
        """The one before stays in force."""
        self._told.ended(time(), reason)
        self._notify.reloaded(reason)
        self._log.warn("not reloaded, the configuration stays as it was: {reason}", reason=reason)
