"""A subscription to a channel of a Redis server that comes back by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from apigw.redis.client import ATTEMPT, PAUSES, Redis
from apigw.redis.link import Link, Refused
from apigw.task import Task

PING_EVERY = 5.0
"""Seconds between looks whether the connection still lives."""


class Channel:
    """
    :param name: without the prefix of all keys.
    :param message: gets what is published.
    :param joined: called each time that the subscription begins, for what was published in the meantime; is tried again
        from the beginning where it fails.
    :param chance: of pauses.

    :ivar here: nothing that is published now is missed.
    """

    _log = Logger()

    def __init__(
        self,
        redis: Redis,
        name: str,
        message: Callable[[bytes], object],
        joined: Callable[[], Awaitable[None]],
        reactor: Any,
        chance: Random,
    ) -> None:
        self._redis = redis
        self._name = redis.key(name)
        self._message = message
        self._joined = joined
        self._reactor = reactor
        self._chance = chance
        self._task: Task | None = None
        self._link: Link | None = None
        self._gone: Deferred[None] | None = None
        self._told = False
        self.here = False

    def start(self) -> None:
        """Subscribe, and stay subscribed."""
        self._task = Task(self._live())

    def stop(self) -> None:
        """The end."""
        task, self._task = self._task, None
        self.here = False
        if task is not None:
            task.cancel()
        self._close("the gateway stops")

    async def _live(self) -> None:
        pause = PAUSES[0]
        while True:
            try:
                self._link = link = await self._redis.connect(self._lost, self._message)
                await link.call(ATTEMPT, "SUBSCRIBE", self._name)
                await self._joined()
                self.here = True
                self._told = False
                pause = PAUSES[0]
                while True:
                    await self._rest()
                    await link.call(ATTEMPT, "PING")
            except CancelledError:
                return
            except Refused as refused:
                if not self._told:
                    self._told = True
                    self._log.warn("redis refuses the channel {name}: {why}", name=self._name, why=str(refused))
            except Exception as error:  # whatever it is, it is tried again
                self._log.debug("the channel {name} is lost: {error}", name=self._name, error=error)
            self.here = False
            self._close("to be made anew")
            try:
                await deferLater(self._reactor, pause * (0.5 + self._chance.random() / 2))
            except CancelledError:
                return
            pause = min(pause * 2, PAUSES[1])

    async def _rest(self) -> None:
        """Until the next look, or the end of the connection."""
        gone: Deferred[None] = Deferred()
        self._gone = gone
        if self._link is None:
            return
        look = self._reactor.callLater(PING_EVERY, gone.callback, None)
        try:
            await gone
        finally:
            self._gone = None
            if look.active():
                look.cancel()

    def _lost(self, link: Link, why: str) -> None:
        self.here = False
        if link is self._link:
            self._link = None
            if self._gone is not None and not self._gone.called:
                self._gone.callback(None)

    def _close(self, why: str) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.abort(why)
