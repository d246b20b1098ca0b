"""The file of API keys, read again when it changes: who lost a key is out within seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from apigw.config.consumers import ConsumerSection, load_keys
from apigw.policy.api_keys import ApiKeys
from apigw.policy.gcra import Quota
from apigw.policy.principal import Principal

LOOK_EVERY = 5.0
"""Seconds between looks at the file; a look costs some 10 us."""


def consumer(section: ConsumerSection) -> Principal:
    """Who shows one of its keys."""
    limit = section.limit
    quota = Quota("consumer", limit.count, limit.period, limit.burst) if limit else None
    return Principal(section.user or section.name, section.roles, section.scopes, consumer=section.name, quota=quota)


class KeyFile:
    """
    :param path: of the file.
    :raises ValueError: the file can't be used.

    :ivar keys: those that count now.
    """

    _log = Logger()

    def __init__(self, path: str, consumers: tuple[ConsumerSection, ...]) -> None:
        self._path = path
        self.keys = ApiKeys({one.name: consumer(one) for one in consumers})
        self._stamp = self._now()
        self.keys.replace(load_keys(self._path))
        self._looking: LoopingCall | None = None

    def watch(self, clock: IReactorTime) -> None:
        """Look every now and then whether it has changed."""
        self._looking = LoopingCall(self.reload)
        self._looking.clock = clock
        self._looking.start(LOOK_EVERY, now=False)

    def unwatch(self) -> None:
        if self._looking is not None and self._looking.running:
            self._looking.stop()

    def reload(self) -> None:
        """Take the file if it has changed; where it can't be used the keys stay as they were, and the log says why."""
        now = self._now()
        if now == self._stamp:
            return
        self._stamp = now
        try:
            self.keys.replace(load_keys(self._path))
        except ValueError as wrong:
            self._log.warn("[api_keys] not taken: {wrong}", wrong=wrong)
        else:
            self._log.info("[api_keys] {count} keys", count=len(self.keys))

    def _now(self) -> tuple[Any, ...]:
        try:
            found = Path(self._path).stat()
        except OSError:
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns
