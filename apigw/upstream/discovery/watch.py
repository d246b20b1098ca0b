"""Asks a source again and again, for as long as the gateway runs, and passes on what changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from time import time
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from apigw.upstream.discovery.source import Found, Nothing, Source, SourceFailed

JITTER = 0.1
"""Part of a pause by which it may be longer, so that many gateways don't ask in step; never shorter than the TTL."""

FIRST_RETRY = 1.0
LAST_RETRY = 30.0
"""Seconds between attempts while a source fails; they double from the first to the second."""

Changed = Callable[[tuple[Found, ...]], object]


class Watch(Service):
    """
    Never two questions at once, whatever the source or ``changed`` raises. While the source fails or finds nothing, the
    last good list stays in force, which is said once.

    :param service: whose peers they are, for logs and metrics.
    :param label: of the source, if its own is not the only one of that kind among the service's.
    :param changed: called with all addresses, first when the source answers, then when they differ; again
        with the next answer, if it raises.
    :param seconds: monotonic.

    :ivar found: the last good list, empty before there was one.
    :ivar answered: when the source last gave a list, seconds since 1970, None before it did.
    :ivar failing_since: when it began to fail, None while it doesn't; by ``seconds``.
    :ivar failures: how often it failed, by kind: that of :class:`SourceFailed`, ``unusable`` for a list that
        ``changed`` could not take, ``error`` for anything else.
    :ivar last_error: why it failed last, for operators; stays when it is over.
    """

    _log = Logger()

    def __init__(
        self,
        service: str,
        source: Source,
        changed: Changed,
        clock: Any,
        seconds: Callable[[], float],
        chance: Random,
        label: str = "",
    ) -> None:
        self.service = service
        self.label = label or source.label
        self.source = source
        self._changed = changed
        self._clock = clock
        self._seconds = seconds
        self._chance = chance
        self._run: Deferred[None] | None = None
        self._in_a_row = 0
        self.found: tuple[Found, ...] = ()
        self.answered: float | None = None
        self.failing_since: float | None = None
        self.failures: Counter[str] = Counter()
        self.last_error = ""

    def startService(self) -> None:
        """Ask at once: what needs no waiting, such as the hosts file, is there on return."""
        super().startService()
        self._run = Deferred.fromCoroutine(self._watch())

    def stopService(self) -> Deferred[None] | None:
        """:return: fires when the question under way has been given up."""
        super().stopService()
        run, self._run = self._run, None
        if run is not None:
            run.cancel()
            self.source.close()
        return run

    async def _watch(self) -> None:
        try:
            while self.running:
                pause = await self._ask()
                if self.running:
                    await deferLater(self._clock, pause * (1.0 + JITTER * self._chance.random()))
        except CancelledError:
            if self.running:
                raise

    async def _ask(self) -> float:
        """:return: seconds until the next question."""
        try:
            answer = await self.source.fetch()
            if not answer.found:
                raise Nothing("found no address")
        except Exception as error:
            if not self.running:
                return 0.0
            return self._failed(error)
        self._answered(answer.found)
        return answer.ttl

    def _answered(self, found: tuple[Found, ...]) -> None:
        self.answered = time()
        if self.failing_since is not None:
            self._log.info("service {service}: {source} answers again", service=self.service, source=self.label)
        self.failing_since = None
        self._in_a_row = 0
        found = tuple(sorted(set(found), key=lambda one: (one.key, one.weight)))
        if found == self.found:
            return
        try:
            self._changed(found)
        except Exception:
            self.failures["unusable"] += 1
            self._log.failure(
                "service {service}: the addresses from {source} could not be taken",
                service=self.service,
                source=self.label,
            )
        else:
            self.found = found

    def _failed(self, error: Exception) -> float:
        """:return: seconds until the next attempt."""
        if isinstance(error, SourceFailed):
            kind, self.last_error = error.kind, str(error)
        else:
            kind, self.last_error = "error", f"{type(error).__name__}: {error}"
        self.failures[kind] += 1
        if self.failing_since is None:
            self.failing_since = self._seconds()
            self._log.warn(
                "service {service}: {source} fails: {error}; {kept}",
                service=self.service,
                source=self.label,
                error=self.last_error,
                kept=f"its last {len(self.found)} addresses stay in use" if self.found else "no address is known yet",
            )
        pause = min(FIRST_RETRY * 2.0 ** min(self._in_a_row, 16), LAST_RETRY)
        self._in_a_row += 1
        return pause
