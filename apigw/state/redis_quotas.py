"""Quotas that gateways on several machines share, exact as long as Redis answers, and shared out when it doesn't."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from math import inf
from typing import Protocol

from apigw.policy.gcra import Quota, Spend, Standing, Verdict
from apigw.redis.client import Redis, script
from apigw.redis.link import Unavailable

_MICROS = 1_000_000

TAKE = script(
    """\
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost, slack = tonumber(ARGV[1]), tonumber(ARGV[2])
local before, after, refused = {0}, {0}, false
for i, key in ipairs(KEYS) do
  local interval, window, known = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  local reset = math.max((tonumber(redis.call('GET', key) or 0)) - now, 0)
  if known - reset > slack then reset = known end
  if reset > window then reset = window end
  before[i + 1] = reset
  after[i + 1] = reset + cost * interval
  if after[i + 1] - window > 1 then refused = true end
end
if refused then
  before[1] = 1
  return before
end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.2f', now + after[i + 1]), 'PX', math.ceil(after[i + 1] / 1000) + 1)
end
return after
"""
)
"""
All of a request's quotas at once, in microseconds. Arguments: cost; what the way here may take; for each key interval,
window, and the reset that the gateway knows of, so that a server that has lost its memory learns what was spent. What
the gateway knows is late by as much as a request took longer to come here than the one before, so that only what is
more than that counts: else it would add up. Result: whether it is refused, and the resets.
"""


class LocalStore(Protocol):
    """What goes on where Redis doesn't."""

    def take(self, now: float, spends: Sequence[Spend], cost: float = 1.0) -> Verdict: ...
    def over(self, now: float, spend: Spend, cost: float = 1.0) -> bool: ...
    def peek(self, now: float, spends: Sequence[Spend], cost: float = 1.0) -> Verdict: ...
    def whole_at(self, now: float, quota: Quota, key: str) -> float: ...
    def note(self, key: str, whole_at: float) -> None: ...


@lru_cache(1000)
def _share(quota: Quota, instances: int, cost: float) -> Quota:
    return quota if instances == 1 else quota.share(instances, cost)


class RedisQuotas:
    """
    What Redis says is kept in ``local`` as well, from where it goes on without Redis: at the limit divided by the
    gateways that were there, and from what was spent, not from nothing. It is told to Redis again when that is back.

    :param local: counts while Redis doesn't answer; shared by the workers of a machine, where there are several.
    :param seconds: the clock of ``local``.
    """

    def __init__(self, redis: Redis, local: LocalStore, seconds: Callable[[], float]) -> None:
        self._redis = redis
        self._local = local
        self._seconds = seconds

    def take(self, now: float, spends: Sequence[Spend], cost: float = 1.0) -> Verdict | Awaitable[Verdict]:
        """As :meth:`apigw.policy.gcra.LocalQuotas.take`; at once where Redis isn't asked."""
        if self._redis.ready:
            return self._ask(now, spends, cost)
        return self._alone(now, spends, cost)

    def over(self, now: float, spend: Spend, cost: float = 1.0) -> bool:
        """As far as it is known here; nobody is asked."""
        if not self._redis.ready:
            (spend,) = self._shares((spend,), cost)
        return self._local.over(now, spend, cost)

    def peek(self, now: float, spends: Sequence[Spend], cost: float = 1.0) -> Verdict:
        """What is known here; nobody is asked."""
        return self._local.peek(now, spends if self._redis.ready else self._shares(spends, cost), cost)

    def _alone(self, now: float, spends: Sequence[Spend], cost: float) -> Verdict:
        self._redis.fallbacks += 1
        return self._local.take(now, self._shares(spends, cost), cost)

    def _shares(self, spends: Sequence[Spend], cost: float) -> list[Spend]:
        return [(_share(quota, self._redis.instances, cost), key) for quota, key in spends]

    async def _ask(self, now: float, spends: Sequence[Spend], cost: float) -> Verdict:
        local = self._local
        keys = []
        arguments: list[float] = [cost, int(self._redis.deadline * _MICROS)]
        for quota, key in spends:
            if cost > quota.burst:
                raise ValueError(f"a cost of {cost} is more than a burst of {quota.burst}")
            known = local.whole_at(now, quota, key) - now
            keys.append(f"limit:{key}")
            arguments += (quota.interval * _MICROS, quota.window * _MICROS, int(known * _MICROS))
        try:
            refused, *resets = await self._redis.run(TAKE, keys, *arguments)
        except Unavailable:
            return self._alone(self._seconds(), spends, cost)
        wait = -inf
        tightest = None
        standings: list[Standing] = []
        for (quota, key), micros in zip(spends, resets, strict=True):
            reset = micros / _MICROS
            local.note(key, now + reset)
            standings.append((quota, reset))
            late = reset + cost * quota.interval - quota.window
            if refused and late > wait:
                wait, tightest = late, quota
        return Verdict(max(wait, 0.0), tightest, standings)
