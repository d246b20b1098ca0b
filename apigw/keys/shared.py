"""Revocations that several gateways share through Redis."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger

from apigw.policy.revocations import Revocation, Revocations, RevocationsFull, packed, removed, unpacked
from apigw.redis.channel import Channel
from apigw.redis.client import ATTEMPT, Redis, script
from apigw.redis.link import Refused, Unavailable
from apigw.task import Task

KEYS = ("revocations", "revocations-due")
"""A hash of entries by kind and value, and when each may be forgotten."""

CHANNEL = "revoked"

PAGE = 500
"""Entries that are read at once: the server does nothing else meanwhile."""

AGAIN_AFTER = 0.1
"""Seconds until what the server didn't take is tried again."""

REFUSED_AGAIN_AFTER = 5.0
"""The same for what it refused, which it likely does again, and counts as a failure for whoever else asks it."""

KNOWN_WITHIN = 2.0
"""Seconds that clients wait at the start for what others have revoked; without the server it goes on without that."""

_ADD = script(
    """\
local now = tonumber(redis.call('TIME')[1])
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 100)
if #old > 0 then
  redis.call('HDEL', KEYS[1], unpack(old))
  redis.call('ZREM', KEYS[2], unpack(old))
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return redis.call('PUBLISH', ARGV[4], ARGV[2])
"""
)

_KEEP = script(
    """\
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found then return found end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('PUBLISH', ARGV[4], ARGV[2])
return false
"""
)
"""For what was known before the server was: what others have said since comes before it, and is the result."""

_REMOVE = script(
    """\
local due = redis.call('ZSCORE', KEYS[2], ARGV[1]) or tonumber(redis.call('TIME')[1]) + 86400
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], due, ARGV[1])
return redis.call('PUBLISH', ARGV[3], ARGV[2])
"""
)
"""That it was removed is kept, so that it doesn't come back from a gateway that was away."""

_PAGE = script("return redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])")


class SharedRevocations:
    """
    What :attr:`Revocations.sharing` tells. Where the server is away each gateway goes on with what it knows, and what
    was added and removed meanwhile is told as soon as it is back.

    :ivar behind: others may have revoked what is not known here.
    :ivar known: fires when all was read for the first time, or could not be for :data:`KNOWN_WITHIN`.
    """

    _log = Logger()

    def __init__(self, revocations: Revocations, redis: Redis, reactor: Any, epoch: Callable[[], float]) -> None:
        self._revocations = revocations
        self._redis = redis
        self._reactor = reactor
        self._epoch = epoch
        self._channel = Channel(redis, CHANNEL, self._heard, self._read, reactor, Random())
        self._untold: dict[tuple[str, str], Revocation | None] = {}
        """Removed where there is no entry."""
        self._old: set[tuple[str, str]] = set()
        """Those of them that are no news: whatever others say comes before them."""
        self._telling: Task | None = None
        self._busy = False
        self._full = False
        self._refused = False
        self._patience: IDelayedCall | None = None
        self.known: Deferred[None] = Deferred()

    @property
    def behind(self) -> bool:
        return self._full or not self._channel.here

    def start(self) -> None:
        """Read what there is, and tell what is known here."""
        for entry in self._revocations.entries():
            self._untold[entry.kind, entry.value] = entry
            self._old.add((entry.kind, entry.value))
        self._revocations.sharing = self
        self._patience = self._reactor.callLater(KNOWN_WITHIN, self._in_vain)
        self._channel.start()
        self._tell()

    def stop(self) -> None:
        """The end."""
        if self._revocations.sharing is self:
            self._revocations.sharing = None
        self._channel.stop()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        telling, self._telling = self._telling, None
        if telling is not None:
            telling.cancel()

    # -- to others -----------------------------------------------------------------------------------------------------

    def added(self, entry: Revocation) -> None:
        """As :class:`~apigw.policy.revocations.Sharing` has it."""
        self._untold[entry.kind, entry.value] = entry
        self._old.discard((entry.kind, entry.value))
        self._tell()

    def removed(self, kind: str, value: str) -> None:
        """As :class:`~apigw.policy.revocations.Sharing` has it."""
        self._untold[kind, value] = None
        self._old.discard((kind, value))
        self._tell()

    def _tell(self) -> None:
        if not self._busy and self._untold:
            self._busy = True
            self._telling = Task(self._tell_until_stopped())

    async def _tell_until_stopped(self) -> None:
        try:
            await self._tell_all()
        except CancelledError:
            return

    async def _tell_all(self) -> None:
        while self._untold:
            key, entry = next(iter(self._untold.items()))
            try:
                await self._told(key, entry)
            except Refused as refused:
                if not self._refused:
                    self._refused = True
                    self._log.error("redis can't be told what is revoked: {why}", why=str(refused))
                await deferLater(self._reactor, REFUSED_AGAIN_AFTER)
                continue
            except Unavailable:
                await deferLater(self._reactor, AGAIN_AFTER)
                continue
            self._refused = False
            if key in self._untold and self._untold[key] is entry:
                del self._untold[key]
                self._old.discard(key)
        self._busy = False

    async def _told(self, key: tuple[str, str], entry: Revocation | None) -> None:
        name = "\n".join(key)
        channel = self._redis.key(CHANNEL)
        if entry is None:
            await self._redis.run(_REMOVE, KEYS, name, removed(*key), channel, timeout=ATTEMPT)
        elif entry.expires <= self._epoch():
            return
        elif key in self._old:
            found = await self._redis.run(_KEEP, KEYS, name, packed(entry), entry.expires, channel, timeout=ATTEMPT)
            if found is not None and key in self._old:
                self._heard(found)
        else:
            await self._redis.run(_ADD, KEYS, name, packed(entry), entry.expires, channel, timeout=ATTEMPT)

    # -- from others ---------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        """
        All that there is; what is known here alone is told, for the server may have lost it.

        :raises Unavailable: some of it could not be read.
        """
        alone = {(entry.kind, entry.value): entry for entry in self._revocations.entries()}
        cursor = b"0"
        while True:
            cursor, found = await self._redis.run(_PAGE, KEYS[:1], cursor, PAGE, timeout=ATTEMPT)
            for data in found[1::2]:
                key = self._heard(data)
                alone.pop(key, None)
            if cursor == b"0":
                break
        for key, entry in alone.items():
            if self._revocations.listed.get(key) is entry:
                self._keep(key, entry)
        self._tell()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
            self.known.callback(None)

    def _keep(self, key: tuple[str, str], entry: Revocation) -> None:
        if key not in self._untold:
            self._untold[key] = entry
            self._old.add(key)

    def _in_vain(self) -> None:
        self._patience = None
        self._log.warn("redis can't be asked what others have revoked: tokens are let in that may be among that")
        self.known.callback(None)

    def _heard(self, data: bytes) -> tuple[str, str]:
        """:return: kind and value of what it is about, empty for nothing."""
        key, entry = unpacked(data)
        if not key[0] or (key in self._untold and key not in self._old):
            return key
        if key in self._old:
            self._old.discard(key)
            del self._untold[key]
        if entry is None:
            self._revocations.drop(*key)
        elif self._revocations.listed.get(key) != entry:
            self._take(entry)
        return key

    def _take(self, entry: Revocation) -> None:
        try:
            self._revocations.take(entry)
            self._full = False
        except RevocationsFull as full:
            if not self._full:
                self._full = True
                self._log.error("what others have revoked is not known here: {full}", full=full)
