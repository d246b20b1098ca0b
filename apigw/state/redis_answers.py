"""Answers to idempotency keys in Redis, for gateways on several machines."""

from __future__ import annotations

from apigw.redis.client import Redis, script

TIMEOUT = 1.0
"""Seconds for each step: a key is a promise, which is worth more time than a limit."""

_CLAIM = script(
    """\
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end
return redis.call('GET', KEYS[1])
"""
)
_RENEW = script(
    """\
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""
)
_FINISH = script(
    """\
local found = redis.call('GET', KEYS[1])
if not found or found == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""
)
_RELEASE = script(
    """\
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
)


class RedisAnswers:
    """As :class:`apigw.state.answers.LocalAnswers`; all raise :class:`apigw.redis.link.Unavailable`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def claim(self, place: str, value: bytes, lease: float) -> bytes | None:
        found: bytes | None = await self._redis.run(_CLAIM, [_key(place)], value, _millis(lease), timeout=TIMEOUT)
        return found

    async def renew(self, place: str, value: bytes, lease: float) -> None:
        await self._redis.run(_RENEW, [_key(place)], value, _millis(lease), timeout=TIMEOUT)

    async def finish(self, place: str, value: bytes, record: bytes, lifetime: float) -> None:
        await self._redis.run(_FINISH, [_key(place)], value, record, _millis(lifetime), timeout=TIMEOUT)

    async def release(self, place: str, value: bytes) -> None:
        await self._redis.run(_RELEASE, [_key(place)], value, timeout=TIMEOUT)


def _key(place: str) -> str:
    return f"answer:{place}"


def _millis(seconds: float) -> int:
    return max(1, int(seconds * 1000.0))
