"""Refuses what comes too often, by address, by user and by route, and tells clients where they stand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Protocol

from attrs import frozen

from apigw.errors import RateLimited
from apigw.messages import Exchange, Response
from apigw.pipeline import Stage
from apigw.policy.gcra import Quota, Spend, Standing, Verdict
from apigw.policy.ip_lists import Networks, client_key, parse
from apigw.policy.limit_fields import legacy, whole_seconds

ADDRESSES = 10_000
"""Whose keys are remembered: 2 us less for those that come again."""


class QuotaStore(Protocol):
    """Where quotas are kept: in this process, or where others share them."""

    def take(self, now: float, spends: Sequence[Spend], cost: float = 1.0) -> Verdict | Awaitable[Verdict]:
        """As :meth:`apigw.policy.gcra.LocalQuotas.take`, at once or later."""


@frozen
class Allowance:
    """
    What a route allows.

    :ivar ip: for each address, user or the route as a whole; None for no limit.
    :ivar scope: the quotas are shared by all routes that have the same.
    :ivar cost: what one request spends.
    :ivar enforce: False to let pass what would be refused, and say so in the log.
    """

    ip: Quota | None = None
    user: Quota | None = None
    route: Quota | None = None
    ip_scope: str = ""
    user_scope: str = ""
    route_scope: str = ""
    cost: float = 1.0
    enforce: bool = True


class _Limits(Stage):
    """:param seconds: a clock that doesn't jump."""

    def __init__(self, store: QuotaStore, seconds: Callable[[], float], allowance: Allowance) -> None:
        self._store = store
        self._seconds = seconds
        self._cost = allowance.cost
        self._enforce = allowance.enforce

    def _spend(self, exchange: Exchange, spends: Sequence[Spend]) -> Awaitable[None] | None:
        verdict = self._store.take(self._seconds(), spends, self._cost)
        if isinstance(verdict, Verdict):
            self._judge(exchange, verdict)
            return None
        return self._later(exchange, verdict)

    async def _later(self, exchange: Exchange, verdict: Awaitable[Verdict]) -> None:
        self._judge(exchange, await verdict)

    def _judge(self, exchange: Exchange, verdict: Verdict) -> None:
        exchange.standings = (*exchange.standings, *verdict.standings)
        quota = verdict.quota
        if quota is None:
            return
        if not self._enforce:
            exchange.would_refuse = RateLimited.code
            return
        wait = whole_seconds(verdict.wait)
        raise RateLimited(f"The limit by {quota.name} is reached; try again in {wait} s.", retry_after=wait)


class AddressLimit(_Limits):
    """
    By address, before anything costly.

    :param exempt: networks without this limit.
    """

    def __init__(self, store: QuotaStore, seconds: Callable[[], float], allowance: Allowance, exempt: Networks) -> None:
        super().__init__(store, seconds, allowance)
        assert allowance.ip is not None
        quota, scope = allowance.ip, allowance.ip_scope

        def spends(address: str) -> tuple[Spend, ...]:
            found = parse(address)
            if found is not None and found in exempt:
                return ()
            return ((quota, f"ip {scope} {client_key(address)}"),)

        self._spends = lru_cache(ADDRESSES)(spends)

    def request(self, exchange: Exchange) -> Awaitable[None] | None:
        spends = self._spends(exchange.client_ip)
        return self._spend(exchange, spends) if spends else None


class CallerLimit(_Limits):
    """
    By user and by route, once it is known who asks. A guest has no limit by user.

    :param exempt: users without that limit.
    """

    def __init__(
        self, store: QuotaStore, seconds: Callable[[], float], allowance: Allowance, exempt: frozenset[str]
    ) -> None:
        super().__init__(store, seconds, allowance)
        self._user = allowance.user
        self._scope = allowance.user_scope
        self._route = () if allowance.route is None else ((allowance.route, f"route {allowance.route_scope}"),)
        self._exempt = exempt

    def request(self, exchange: Exchange) -> Awaitable[None] | None:
        spends: tuple[Spend, ...] = self._route
        user = exchange.principal
        if user is not None and self._user is not None and user not in self._exempt:
            spends = ((self._user, f"user {self._scope} {user}"), *spends)
        return self._spend(exchange, spends) if spends else None


class LimitFields(Stage):
    """
    Tells clients where they stand, in answers of any kind.

    :param lines: from standings, one or more.
    """

    def __init__(self, lines: Callable[[Sequence[Standing]], bytes]) -> None:
        self._lines = lines

    def response(self, exchange: Exchange, response: Response) -> None:
        standings = exchange.standings
        if standings:
            response.lines += self._lines(standings)


def legacy_lines(epoch: Callable[[], float]) -> Callable[[Sequence[Standing]], bytes]:
    """:param epoch: seconds since 1970."""
    return lambda standings: legacy(standings, epoch())
