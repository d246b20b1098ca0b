"""What all workers do, second by second, for those who watch: workers are asked while somebody does."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from apigw.admin.live import INTERVAL, TAIL, Watcher
from apigw.workers.together import moment

Value = dict[str, Any]


class LiveTogether:
    """
    :param ask: all workers for what their own streams begin with.

    :ivar closed: the gateway ends.
    """

    _log = Logger()

    def __init__(self, ask: Callable[[], Awaitable[Sequence[Value]]], clock: IReactorTime) -> None:
        self._ask = ask
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._turn()))
        self._loop.clock = clock
        self._watchers: list[Watcher] = []
        self._instance = f"apigw-{os.urandom(4).hex()}"
        self._whole: Value = {}
        self._told: dict[str, int] = {}
        self.closed = False

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    async def ready(self) -> None:
        """Know what there is, for the first who watches."""
        if not self._watchers:
            await self._look()

    def watch(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)
        if not self._loop.running:
            self._loop.start(INTERVAL, now=False).addErrback(
                lambda failure: self._log.failure("workers can't be watched", failure)
            )

    def unwatch(self, watcher: Watcher) -> None:
        if watcher in self._watchers:
            self._watchers.remove(watcher)
        if not self._watchers and self._loop.running:
            self._loop.stop()

    def close(self) -> None:
        """The gateway ends."""
        self.closed = True
        for watcher in list(self._watchers):
            watcher.end()
            self.unwatch(watcher)

    def encoded(self) -> bytes:
        return _encode(self._whole)

    async def _look(self) -> list[Value]:
        """:return: requests that are new."""
        values = await self._ask()
        if not values:
            return []
        fresh = []
        for value in values:
            known = self._told.get(value["instance"]["id"], 0)
            fresh += [one for one in value["tail"] if one["number"] > known]
        self._told = {
            value["instance"]["id"]: max((one["number"] for one in value["tail"]), default=0) for value in values
        }
        self._whole = moment(values)
        self._whole["instance"]["id"] = self._instance
        return sorted(fresh, key=lambda one: float(one["time"]))[-TAIL:]

    async def _turn(self) -> None:
        fresh = await self._look()
        whole = self._whole
        if not whole or not whole["history"]:
            return
        tick = {key: whole[key] for key in ("time", "routes", "refusals", "active")}
        tick |= {"point": whole["history"][-1], "tail": fresh, "untold": 0}
        tick["services"] = [one | {"series": one["series"][-1:]} for one in whole["services"]]
        encoded = _encode(tick)
        for watcher in list(self._watchers):
            watcher.turned(lambda: encoded, self.encoded)


def _encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
