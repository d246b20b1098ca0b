"""Refuses what comes too often, by whatever tells who asks, and tells clients where they stand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Protocol

from attrs import frozen

from apigw.errors import RateLimited
from apigw.messages import Exchange, Response, field_values
from apigw.pipeline import Explained, Stage
from apigw.policy.gcra import Quota, Spend, Standing, Verdict, remaining
from apigw.policy.ip_lists import Networks, client_key, parse
from apigw.policy.limit_fields import legacy, whole_seconds
from apigw.task import Task

ADDRESSES = 10_000
"""Whose keys are remembered: 2 us less for those that come again."""

_LONG = 64
"""Characters of a field's value that are kept as they are; a longer one counts by its hash."""

_ALL = 1e9
"""A cost that no quota allows: what is left is told with a refusal."""

SEVERAL = "\r"
"""
In place of a field's value, and like none, where a request says several. Which of them the service takes nobody knows:
if each choice of them counted apart, whoever adds one more would escape.
"""

_PART = "\n"
"""Between the parts of a key: what no part can hold."""


class QuotaStore(Protocol):
    """Where quotas are kept: in this process, or where others share them."""

    def take(self, now: float, spends: Sequence[Spend], cost: float = 1.0) -> Verdict | Awaitable[Verdict]:
        """As :meth:`apigw.policy.gcra.LocalQuotas.take`, at once or later."""

    def over(self, now: float, spend: Spend, cost: float = 1.0) -> bool:
        """Whether it would refuse, as far as that is known here."""

    def peek(self, now: float, spends: Sequence[Spend], cost: float = 1.0) -> Verdict:
        """What it would say, as far as that is known here; nothing is spent."""


@frozen
class Combined:
    """
    A quota of several things together.

    :ivar parts: each ``ip``, ``user``, ``consumer``, ``route`` or ``header:NAME``.
    """

    quota: Quota
    parts: tuple[str, ...]


@frozen
class Allowance:
    """
    What a route allows.

    :ivar ip: for each address, user, consumer or the route as a whole; None for no limit.
    :ivar scope: the quotas are shared by all routes that have the same.
    :ivar name: of the route, for what it shares with no other.
    :ivar cost: what one request spends.
    :ivar enforce: False to let pass what would be refused, and say so in the log.
    """

    ip: Quota | None = None
    user: Quota | None = None
    consumer: Quota | None = None
    route: Quota | None = None
    combined: Sequence[Combined] = ()
    ip_scope: str = ""
    user_scope: str = ""
    name: str = ""
    cost: float = 1.0
    enforce: bool = True


@frozen
class Exempt:
    """
    :ivar addresses: without limits by address.
    :ivar users: without limits by user.
    """

    addresses: Networks
    users: frozenset[str] = frozenset()


Spender = Callable[[Exchange], Spend | None]
"""What an exchange spends from a quota, None for nothing."""


def spend_by_address(quota: Quota, scope: str, exempt: Networks) -> Callable[[str], Spend | None]:
    """What an address spends; an IPv6 client is its /64."""
    return lru_cache(ADDRESSES)(partial(_spend_by_address, quota, scope, exempt))


# Here and below by partial, since a function inside of another is a cycle when it is compiled.
def _spend_by_address(quota: Quota, scope: str, exempt: Networks, address: str) -> Spend | None:
    found = parse(address)
    return None if found is not None and found in exempt else (quota, f"ip {scope} {client_key(address)}")


def by_address(quota: Quota, scope: str, exempt: Networks) -> Spender:
    """By that of the client."""
    known = spend_by_address(quota, scope, exempt)
    return lambda exchange: known(exchange.client_ip)


def by_user(quota: Quota, scope: str, exempt: frozenset[str]) -> Spender:
    """
    Guests have none.

    :param exempt: what services know users by, whoever has issued their tokens.
    """
    return partial(_spend_by_user, lru_cache(ADDRESSES)(partial(_user_spend, quota, scope)), exempt)


def _user_spend(quota: Quota, scope: str, user: str) -> Spend:
    return quota, f"user {scope} {user}"


def _spend_by_user(known: Callable[[str], Spend], exempt: frozenset[str], exchange: Exchange) -> Spend | None:
    user = exchange.principal
    if user is None or user in exempt:
        return None
    who = exchange.identity
    return known(user if who is None else who.key or user)


def by_consumer(quota: Quota, scope: str) -> Spender:
    """Who shows an API key: each consumer, with all of its keys."""
    return partial(_spend_by_consumer, quota, scope)


def _spend_by_consumer(quota: Quota, scope: str, exchange: Exchange) -> Spend | None:
    who = exchange.identity
    return (quota, f"consumer {scope} {who.consumer}") if who is not None and who.consumer else None


def by_route(quota: Quota, name: str) -> Spender:
    """All requests together."""
    spend = (quota, f"route {name}")
    return lambda exchange: spend


def by_all_of(combined: Combined, name: str, exempt: Exempt) -> Spender:
    """
    Each combination. There is no limit for who is exempt of one by a part, or is a guest where a user counts. A field
    that isn't there counts as an empty one, so that nobody escapes who leaves it out.
    """
    quota = combined.quota
    parts = [_part(part, exempt) for part in combined.parts]
    return partial(_spend_by_all_of, quota, f"by {name} {quota.name}", parts)


def _spend_by_all_of(
    quota: Quota, prefix: str, parts: Sequence[Callable[[Exchange], str | None]], exchange: Exchange
) -> Spend | None:
    found = [prefix]
    for part in parts:
        value = part(exchange)
        if value is None:
            return None
        found.append(value)
    return quota, _PART.join(found)


def _part(part: str, exempt: Exempt) -> Callable[[Exchange], str | None]:
    kind, _, name = part.partition(":")
    if kind == "header":
        return partial(_header, name.lower().encode())
    if kind == "ip":
        address = by_address(Quota("ip", 1, 1.0, 1), "", exempt.addresses)
        return lambda exchange: _key(address(exchange))
    if kind == "user":
        user = by_user(Quota("user", 1, 1.0, 1), "", exempt.users)
        return lambda exchange: _key(user(exchange))
    if kind == "consumer":
        consumer = by_consumer(Quota("consumer", 1, 1.0, 1), "")
        return lambda exchange: _key(consumer(exchange))
    return lambda exchange: ""


def _header(field: bytes, exchange: Exchange) -> str | None:
    values = set(field_values(exchange.request.fields, field))
    if len(values) > 1:
        return SEVERAL
    value = values.pop() if values else b""
    return value.decode("latin-1") if len(value) <= _LONG else blake2b(value, digest_size=16).hexdigest()


def _key(spend: Spend | None) -> str | None:
    return None if spend is None else spend[1]


class Counting(Stage, ABC):
    """
    :param seconds: a clock that doesn't jump.

    :cvar first: it only looks; another stage counts.
    """

    first = False

    def __init__(self, store: QuotaStore, seconds: Callable[[], float], allowance: Allowance) -> None:
        self._store = store
        self._seconds = seconds
        self._cost = allowance.cost
        self._enforce = allowance.enforce

    @abstractmethod
    def spends(self, exchange: Exchange) -> list[Spend]:
        """What a request would spend; puts nothing into the exchange."""

    @property
    def cost(self) -> float:
        return self._cost

    def refusal(self, verdict: Verdict) -> RateLimited | None:
        """What becomes of one that finds too little left."""
        if verdict.quota is None:
            return None
        wait = whole_seconds(verdict.wait)
        return RateLimited(f"The limit by {verdict.quota.name} is reached; try again in {wait} s.", retry_after=wait)

    @property
    def enforced(self) -> bool:
        return self._enforce

    def explain(self, exchange: Exchange) -> Explained:
        """As far as it is known here; other gateways that share the quotas aren't asked."""
        spends = self.spends(exchange)
        now = self._seconds()
        left = [self._store.peek(now, (spend,), _ALL).standings[0] for spend in spends]
        facts: dict[str, object] = {"cost": self._cost, "enforced": self._enforce}
        for standing in left:
            quota, reset = standing
            facts[quota.name] = {
                "remaining": remaining(standing),
                "burst": int(quota.burst),
                "per_second": round(1.0 / quota.interval, 6),
                "whole_in": round(reset, 3),
            }
        error = self.refusal(self._store.peek(now, spends, self._cost)) if spends else None
        if error is not None and not self._enforce:
            return Explained(facts, reports=error.code)
        return Explained(facts, error)

    def _judge(self, exchange: Exchange, verdict: Verdict) -> None:
        """There is too little left."""
        exchange.standings = verdict.standings
        if not self._enforce:
            exchange.would_refuse = RateLimited.code
            return
        refusal = self.refusal(verdict)
        assert refusal is not None
        raise refusal


class AddressFirst(Counting):
    """
    Refuses addresses whose quota is used up before anything costly, such as a look at a token. It is :class:`Limits`
    further down that counts, all at once; what doesn't get there is counted on its way back.
    """

    first = True

    def __init__(self, store: QuotaStore, seconds: Callable[[], float], allowance: Allowance, exempt: Exempt) -> None:
        super().__init__(store, seconds, allowance)
        assert allowance.ip is not None
        self._spend_of = spend_by_address(allowance.ip, allowance.ip_scope, exempt.addresses)

    def spends(self, exchange: Exchange) -> list[Spend]:
        spend = self._spend_of(exchange.client_ip)
        return [] if spend is None else [spend]

    def explain(self, exchange: Exchange) -> Explained:
        explained = super().explain(exchange)
        exchange.uncounted = self._spend_of(exchange.client_ip)
        return explained

    def request(self, exchange: Exchange) -> None:
        spend = self._spend_of(exchange.client_ip)
        if spend is not None:
            now = self._seconds()
            if self._store.over(now, spend, self._cost):
                verdict = self._store.peek(now, (spend,), self._cost)
                if verdict.quota is not None:
                    self._judge(exchange, verdict)
            exchange.uncounted = spend

    def response(self, exchange: Exchange, response: Response) -> None:
        if exchange.uncounted is not None:
            self._count(exchange, exchange.uncounted)

    def done(self, exchange: Exchange) -> None:
        """Whoever went away while it was asked who it is has no answer."""
        if exchange.uncounted is not None:
            self._count(exchange, exchange.uncounted)

    def _count(self, exchange: Exchange, spend: Spend) -> None:
        exchange.uncounted = None
        verdict = self._store.take(self._seconds(), (spend,), self._cost)
        if isinstance(verdict, Verdict):
            exchange.standings = verdict.standings
        else:
            Task(_forget(verdict))


async def _forget(verdict: Awaitable[Verdict]) -> None:
    await verdict


class Limits(Counting):
    """
    Counts against all quotas that concern a request, once it is known who asks: it spends from all, or from none.

    :param addresses: :class:`AddressFirst` comes before, and says what an address spends.
    """

    def __init__(
        self,
        store: QuotaStore,
        seconds: Callable[[], float],
        allowance: Allowance,
        exempt: Exempt,
        addresses: bool = False,
    ) -> None:
        super().__init__(store, seconds, allowance)
        self._addresses = addresses
        name = allowance.name
        spenders: list[Spender] = []
        if allowance.ip is not None and not addresses:
            spenders.append(by_address(allowance.ip, allowance.ip_scope, exempt.addresses))
        if allowance.user is not None:
            spenders.append(by_user(allowance.user, allowance.user_scope, exempt.users))
        if allowance.consumer is not None:
            spenders.append(by_consumer(allowance.consumer, name))
        if allowance.route is not None:
            spenders.append(by_route(allowance.route, name))
        spenders += [by_all_of(combined, name, exempt) for combined in allowance.combined]
        self._spenders = spenders

    def request(self, exchange: Exchange, cost: float = 0.0) -> Awaitable[None] | None:
        """:param cost: of this one; 0.0 for that of the route."""
        spends = self.spends(exchange)
        exchange.uncounted = None
        if not spends:
            return None
        verdict = self._store.take(self._seconds(), spends, cost or self._cost)
        if not isinstance(verdict, Verdict):
            return self._later(exchange, verdict)
        if verdict.quota is None:
            exchange.standings = verdict.standings
        else:
            self._judge(exchange, verdict)
        return None

    async def _later(self, exchange: Exchange, later: Awaitable[Verdict]) -> None:
        verdict = await later
        if verdict.quota is None:
            exchange.standings = verdict.standings
        else:
            self._judge(exchange, verdict)

    def spends(self, exchange: Exchange) -> list[Spend]:
        spends: list[Spend] = []
        if self._addresses:
            spend = exchange.uncounted
            if spend is not None:
                spends.append(spend)
        for spender in self._spenders:
            spend = spender(exchange)
            if spend is not None:
                spends.append(spend)
        who = exchange.identity
        if who is not None and who.quota is not None:
            spends.append((who.quota, f"consumer {who.consumer}"))
        return spends


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
