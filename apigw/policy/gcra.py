"""
How many requests may come in which time: the generic cell rate algorithm, for several quotas at once.

Source: ITU-T I.371 annex A, virtual scheduling. All that is kept of a key is the time at which its quota would be whole
again, so a key that was not heard of for that long need not be kept at all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from math import inf
from typing import NamedTuple

CAPACITY = 100_000
"""Keys kept in memory: some 15 MiB."""

CLOSE = 1e-6
"""Seconds by which a request may be too early, for sums of floats aren't exact."""


class Quota:
    """
    :param name: of the policy, as clients see it: visible ASCII without quotes and backslashes.
    :param count: requests in ``period``; 1 or more.
    :param period: seconds.
    :param burst: requests that may come at once; 1 or more.

    :ivar interval: seconds in which one request's worth comes back.
    :ivar window: seconds in which all of ``burst`` comes back.
    :ivar reach: the same and a little more, which is refused only beyond that: sums of floats aren't exact.
    """

    __slots__ = ("burst", "interval", "name", "reach", "window")

    def __init__(self, name: str, count: int, period: float, burst: int) -> None:
        if count < 1 or burst < 1 or not 0 < period < inf:
            raise ValueError(f"{count} in {period} s with a burst of {burst} is no quota")
        self.name = name
        self.burst = float(burst)
        self.interval = period / count
        self._widen()

    def _widen(self) -> None:
        self.window = self.interval * self.burst
        self.reach = self.window + min(CLOSE, self.interval / 2.0)

    def share(self, instances: int, cost: float) -> Quota:
        """
        What one of several gateways may let through by itself: a part of it in the same window, but never less at once
        than one request spends.
        """
        part = Quota(self.name, 1, self.interval * instances, 1)
        part.burst = max(self.burst / instances, cost)
        part._widen()
        return part


Standing = tuple[Quota, float]
"""A quota, and the seconds until it is whole again."""


def remaining(standing: Standing) -> int:
    """Requests of cost 1 that may come now."""
    quota, reset = standing
    return max(int((quota.reach - reset) / quota.interval), 0)


class Verdict(NamedTuple):
    """
    :ivar wait: 0.0 where the request may go on, else the seconds after which it could.
    :ivar quota: the one that takes longest, None where the request may go on.
    :ivar standings: of each quota that was asked, in their order, after the request.
    """

    wait: float
    quota: Quota | None
    standings: Sequence[Standing]


_new = tuple.__new__


def judged(standings: Sequence[Standing], cost: float) -> Verdict:
    """What is to be said of a request that finds its quotas like this, and spends nothing."""
    wait = 0.0
    tightest = None
    for quota, reset in standings:
        after = reset + cost * quota.interval
        if after > quota.reach and (tightest is None or after - quota.window > wait):
            wait, tightest = after - quota.window, quota
    return Verdict(wait, tightest, standings)


Spend = tuple[Quota, str]
"""A quota, and the key that spends from it; keys of one store must tell quotas apart where these aren't shared."""


class LocalQuotas:
    """
    The keys of one process.

    :param capacity: keys kept; the one that was asked for longest ago goes first.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        if capacity < 1:
            raise ValueError("keys must have room for one")
        self._capacity = capacity
        self._whole_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._whole_at)

    def take(self, now: float, spends: Sequence[Spend], cost: float = 1.0) -> Verdict:
        """
        Spend ``cost`` from each quota, or nothing from any.

        :param now: seconds of a clock that doesn't jump; going backwards counts as standing still, key by key.
        :param spends: no key twice.
        :raises ValueError: ``cost`` exceeds a burst, so no wait would ever do.
        """
        whole_at = self._whole_at
        standings: list[Standing] = []
        for quota, key in spends:
            due = whole_at.get(key, now)
            reset = cost * quota.interval
            if due > now:
                reset += due - now
            if reset > quota.reach:
                return self._refuse(now, spends, cost)
            standings.append((quota, reset))
        for (_, key), (_, reset) in zip(spends, standings):  # noqa: B905 (made of the same; strict takes ten times as long)
            whole_at[key] = now + reset
            whole_at.move_to_end(key)
        while len(whole_at) > self._capacity:
            whole_at.popitem(last=False)
        return _new(Verdict, (0.0, None, standings))

    def _refuse(self, now: float, spends: Sequence[Spend], cost: float) -> Verdict:
        """:raises ValueError: no wait would ever do."""
        for quota, _ in spends:
            if cost > quota.burst:
                raise ValueError(f"a cost of {cost} is more than a burst of {quota.burst}")
        standings = self._standings(now, spends)
        for (_, key), (_, reset) in zip(spends, standings):  # noqa: B905 (likewise)
            if reset:
                self._whole_at.move_to_end(key)  # who is refused stays known, however many others come
        return judged(standings, cost)

    def over(self, now: float, spend: Spend, cost: float = 1.0) -> bool:
        """Whether :meth:`take` would refuse it."""
        quota, key = spend
        due = self._whole_at.get(key, now)
        reset = cost * quota.interval
        return (reset + (due - now) if due > now else reset) > quota.reach

    def peek(self, now: float, spends: Sequence[Spend], cost: float = 1.0) -> Verdict:
        """What :meth:`take` would say; nothing is spent."""
        return judged(self._standings(now, spends), cost)

    def whole_at(self, now: float, quota: Quota, key: str) -> float:
        """When ``key`` has its whole quota again; ``now`` if it has it."""
        return min(max(self._whole_at.get(key, now), now), now + quota.window)

    def note(self, key: str, whole_at: float) -> None:
        """It is known from elsewhere that ``key`` hasn't its whole quota before that."""
        if self._whole_at.get(key, 0.0) < whole_at:
            self._whole_at[key] = whole_at
        self._whole_at.move_to_end(key)
        while len(self._whole_at) > self._capacity:
            self._whole_at.popitem(last=False)

    def _standings(self, now: float, spends: Sequence[Spend]) -> list[Standing]:
        """As it is; nothing is spent."""
        return [(quota, max(self._whole_at.get(key, now) - now, 0.0)) for quota, key in spends]
