"""Answers that gateways share through Redis: a second cache behind the one of each process."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from hashlib import blake2b
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from apigw.policy.cache.kept import packed, unpacked
from apigw.policy.cache.store import VARIANTS, Entry, Select, Space, Uri
from apigw.redis.channel import Channel
from apigw.redis.client import ATTEMPT, Redis, script
from apigw.redis.link import Unavailable
from apigw.task import Task

LARGEST = 256 * 1024
"""Bytes of an answer; a larger one would hold up the limits of others that the server counts meanwhile."""

CHANNEL = "cache"

AGAIN_AFTER = (0.1, 1.0)
"""Seconds until what the server didn't take is told again: at first, and at the longest."""

MOST_UNTOLD = 1000
"""Purges and changes that are told again; instead of more all is purged."""

EVERYTHING = json.dumps({"purge": {}})

GENERATION = "cache-generation"
"""Counts purges of more than one URI. What was kept before isn't found any more, and expires."""

_FIND = script(
    """\
local names = {}
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if name:sub(1, #ARGV[1]) == ARGV[1] then names[#names + 1] = name end
end
if #names == 0 then return {} end
return redis.call('HMGET', KEYS[1], unpack(names))
"""
)

_PUT = script(
    """\
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
"""
)

_FORGET = script("redis.call('DEL', KEYS[1]) return redis.call('PUBLISH', ARGV[1], ARGV[2])")

_PURGE = script(
    """\
local now = redis.call('INCR', KEYS[1])
redis.call('PUBLISH', ARGV[1], cjson.encode({generation = now}))
for i = 2, #ARGV do redis.call('PUBLISH', ARGV[1], ARGV[i]) end
return now
"""
)

_NOW = script("return redis.call('GET', KEYS[1])")


class SharedCache:
    """
    :param seconds: monotonic. :param epoch: seconds since 1970.
    :param forget: drops what this process keeps of a URI that has changed.
    :param purge: drops what :meth:`purge` of another process has named.
    """

    _log = Logger()

    def __init__(
        self,
        redis: Redis,
        reactor: Any,
        seconds: Callable[[], float],
        epoch: Callable[[], float],
        forget: Callable[[Uri], object],
        purge: Callable[..., object],
    ) -> None:
        self._redis = redis
        self._seconds = seconds
        self._epoch = epoch
        self._forget = forget
        self._purge = purge
        self._reactor = reactor
        self._generation = 0
        self._purging = 0
        self._untold: list[str] = []
        self._telling: Task | None = None
        """Tells what others should keep no more; until then nothing is had from there."""
        self._stopped = False
        self._channel = Channel(redis, CHANNEL, self._heard, self._joined, reactor, Random())
        self._topic = redis.key(CHANNEL)

    def start(self) -> None:
        """Listen to the others."""
        self._channel.start()

    def stop(self) -> None:
        """The end."""
        self._stopped = True
        self._channel.stop()
        telling, self._telling = self._telling, None
        if telling is not None:
            telling.cancel()

    @property
    def _current(self) -> bool:
        """What the server keeps is what others and this one want kept."""
        return self._channel.here and not self._purging and self._telling is None

    async def find(self, uri: Uri, space: Space, select: Select) -> Entry | None:
        """What a request may have as far as Vary goes; None, too, where the server doesn't answer at once."""
        if not self._current:
            return None
        try:
            found = await self._redis.run(_FIND, [self._key(uri)], _digest(space))
        except Unavailable:
            return None
        for data in found:
            entry = None if data is None else unpacked(data, uri, space, self._seconds(), self._epoch())
            if entry is not None and entry.meets(select):
                return entry
        return None

    def put(self, entry: Entry) -> None:
        """Let others have it, as long as it is of use to anybody."""
        terms = entry.terms
        left = terms.lifetime + max(terms.while_revalidate, terms.if_error) - entry.at(self._seconds())
        if entry.size > LARGEST or left <= 0.0 or not self._current:
            return
        name = _digest(entry.space) + _digest((entry.vary, entry.values))
        data = packed(entry, self._seconds(), self._epoch())
        Task(self._ask(self._redis.run(_PUT, [self._key(entry.uri)], name, data, round(left * 1000), VARIANTS)))

    def forget(self, uri: Uri) -> None:
        """It has changed."""
        told = json.dumps({"uri": [part.decode("latin-1") for part in uri]})
        Task(self._tell(told, self._redis.run(_FORGET, [self._key(uri)], self._topic, told, timeout=ATTEMPT)))

    def purge(self, **conditions: object) -> None:
        """As :meth:`apigw.stages.cache.ResponseCache.purge`; of what is shared all goes."""
        told = json.dumps({"purge": conditions})
        Task(self._tell(told, self._raise([told])))

    async def _ask(self, asked: Coroutine[Any, Any, Any]) -> None:
        try:
            await asked
        except Unavailable as error:
            self._log.debug("the shared cache misses something: {error}", error=error)

    async def _raise(self, told: Sequence[str]) -> None:
        """Have all begin with an empty store. :raises Unavailable:"""
        self._purging += 1
        try:
            now = await self._redis.run(_PURGE, [GENERATION], self._topic, *told, timeout=ATTEMPT)
            self._generation = int(now)
        finally:
            self._purging -= 1

    async def _tell(self, told: str, asked: Coroutine[Any, Any, Any]) -> None:
        """What isn't wanted any more must not come back: what the server didn't take is told until it does."""
        try:
            await asked
        except Unavailable as error:
            self._untold = [*self._untold, told] if len(self._untold) < MOST_UNTOLD else [EVERYTHING]
            if self._telling is None and not self._stopped:
                self._log.warn("others keep what was purged or changed until redis can be told: {why}", why=str(error))
                self._telling = Task(self._tell_again())

    async def _tell_again(self) -> None:
        pause = AGAIN_AFTER[0]
        try:
            while self._untold:
                await deferLater(self._reactor, pause)
                untold = self._untold
                try:
                    await self._raise(untold)
                except Unavailable:
                    pause = min(pause * 2, AGAIN_AFTER[1])
                    continue
                if self._untold[: len(untold)] == untold:
                    self._untold = self._untold[len(untold) :]
        except CancelledError:
            return
        self._telling = None

    async def _joined(self) -> None:
        """:raises Unavailable: nobody knows what was purged."""
        self._generation = int(await self._redis.run(_NOW, [GENERATION], timeout=ATTEMPT) or 0)

    def _heard(self, data: bytes) -> None:
        try:
            value = json.loads(data)
            if "uri" in value:
                authority, path = value["uri"]
                self._forget((authority.encode("latin-1"), path.encode("latin-1")))
            elif "purge" in value:
                self._purge(**value["purge"])
            else:
                self._generation = int(value["generation"])
        except (ValueError, TypeError, KeyError, AttributeError):
            self._log.debug("something else speaks on the channel {name}", name=self._topic)

    def _key(self, uri: Uri) -> str:
        return f"cache:{self._generation}:{_digest(uri)}"


def _digest(value: object) -> str:
    return blake2b(repr(value).encode(), digest_size=16).hexdigest()
