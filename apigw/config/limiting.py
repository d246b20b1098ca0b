"""Limits, and doors that are closed for a while."""

# ruff: noqa: RUF009 (option is an attrs field)
from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from attrs import evolve, frozen

from apigw.config.files import CA_FILE
from apigw.config.kind import Kind, choice, list_of
from apigw.config.option import Variable, option
from apigw.config.secrets import SECRET_FILE, SECRET_VARIABLE, Secret
from apigw.config.units import (
    DURATION,
    NETWORK,
    SWITCH,
    Rate,
    integer,
    parse_duration,
    parse_milliseconds,
    parse_rate,
    parse_switch,
    render_duration,
    render_rate,
)
from apigw.policy.redis_url import RedisUrl, parse_redis_url

Limit = Rate | Literal[False]
"""False is no limit, on purpose."""

MAINTENANCE_LASTS = 300.0
"""Seconds for which clients are told to stay away where nothing else is said."""

OF_THE_WINDOW = 0.0
"""The period of a limit that is a count alone."""

WINDOW = 60.0
WINDOWS = {"auth": 900.0}
"""Seconds in which a count is meant where there is no ``window``."""


def _parse_limit(text: str) -> Limit:
    return parse_rate(text) or False


LIMIT: Kind[Limit | None] = Kind("rate, or `off`", _parse_limit, lambda limit: render_rate(limit or None))


def _parse_counted(text: str) -> Limit:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return _parse_limit(text)
    rate = parse_rate(f"{text}/s")
    return False if rate is None else evolve(rate, period=OF_THE_WINDOW)


def _render_counted(limit: Limit) -> str:
    return str(limit.count) if limit and limit.period == OF_THE_WINDOW else LIMIT.render(limit)


COUNTED: Kind[Limit] = Kind("rate, a count in `window`, or `off`", _parse_counted, _render_counted)


def _parse_maintenance(text: str) -> float:
    try:
        return MAINTENANCE_LASTS if parse_switch(text) else 0.0
    except ValueError:
        pass
    try:
        return parse_duration(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither yes nor no nor a duration, such as 10m") from None


def _render_maintenance(seconds: float) -> str:
    return render_duration(seconds) if seconds else SWITCH.render(False)


MAINTENANCE: Kind[float] = Kind("`yes`, `no`, or how long it will take", _parse_maintenance, _render_maintenance)
"""Seconds after which clients may come again; 0.0 while the door is open."""


def parse_maintenance_mode(text: str) -> float:
    """As the founding variable has it, which may be a number, too."""
    return _parse_maintenance({"0": "no", "1": "yes"}.get(text, text))


ANSWERS_LAST = 86_400.0
"""Seconds for which answers to idempotency keys are kept where nothing else is said."""


def _parse_idempotency(text: str) -> float:
    try:
        return ANSWERS_LAST if parse_switch(text) else 0.0
    except ValueError:
        pass
    try:
        return parse_duration(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither on nor off nor a duration, such as 24h") from None


IDEMPOTENCY: Kind[float] = Kind("`on`, `off`, or how long answers are kept", _parse_idempotency, _render_maintenance)
"""Seconds for which answers are kept; 0.0 for no keys."""

NETWORKS: Kind[tuple[IPv4Network | IPv6Network, ...]] = list_of(NETWORK, "networks")


def _parse_user(text: str) -> str:
    return text


USERS: Kind[tuple[str, ...]] = list_of(Kind("user", _parse_user), "users")


@frozen
class Combination:
    """
    A limit of what several things say together.

    :ivar parts: each ``ip``, ``user``, ``consumer``, ``route`` or ``header:name``, in lower case.
    """

    parts: tuple[str, ...]
    rate: Rate

    @property
    def name(self) -> str:
        return "+".join(self.parts)


_PARTS = re.compile(r"(?:ip|user|consumer|route|header:[a-z0-9!#$%&'*.^_`|~-]{1,64})").fullmatch


def _parse_combination(text: str) -> Combination:
    keys, _, rate = text.partition(" ")
    parts = tuple(keys.lower().split("+"))
    for part in parts:
        if not _PARTS(part):
            raise ValueError(f"{part!r} is not ip, user, consumer, route or header:NAME, with + between several")
    if len(set(parts)) < len(parts):
        raise ValueError(f"{keys!r} has something twice, remove one of them")
    if not rate.strip():
        raise ValueError(f"{text!r} has no rate, write for example {keys} 100/m")
    parsed = parse_rate(rate.strip())
    if parsed is None:
        raise ValueError(f"{text!r} is no limit, leave it out")
    return Combination(parts, parsed)


def _render_combination(combination: Combination) -> str:
    return f"{combination.name} {render_rate(combination.rate)}"


COMBINATIONS: Kind[tuple[Combination, ...]] = list_of(
    Kind("combination", _parse_combination, _render_combination),
    "combinations and rates",
    identity=lambda combination: frozenset(combination.parts),
)


@frozen(kw_only=True)
class LimitsSection:
    """
    How often clients may ask, on each route that says nothing else. Without this section there are only the limits that
    routes have themselves.
    """

    ip: Limit = option(
        COUNTED,
        default=Rate(100, OF_THE_WINDOW, 100),
        variable=Variable("RATE_LIMIT_MAX_REQUESTS", COUNTED.parse),
        help="For each address, an IPv6 one by its /64; 429 past it.",
    )
    user: Limit = option(
        COUNTED, default=Rate(200, OF_THE_WINDOW, 200), help="For each user that a token names; not for guests."
    )
    auth: Limit = option(
        COUNTED,
        default=Rate(50, OF_THE_WINDOW, 50),
        variable=Variable("RATE_LIMIT_AUTH_MAX", COUNTED.parse),
        help="For each address at `/api/v1/auth`, in place of `ip`, where that is the gateway's own place.",
    )
    window: float | None = option(
        DURATION,
        default=None,
        unset="a minute, and 15 minutes for `auth`",
        example="15m",
        variable=Variable("RATE_LIMIT_WINDOW_MS", parse_milliseconds),
        help="The time for limits that are a count alone.",
    )
    headers: str = option(
        choice("draft", "legacy", "none"),
        default="draft",
        help="How clients are told: `RateLimit` and `RateLimit-Policy`, or `X-RateLimit-Limit`, `-Remaining` and"
        " `-Reset`, or not at all.",
    )
    exempt: tuple[IPv4Network | IPv6Network, ...] = option(
        NETWORKS, default=(), unset="none", example="10.0.0.0/8", help="Addresses without limits by address."
    )
    exempt_users: tuple[str, ...] = option(
        USERS, default=(), unset="none", example="ci-robot", help="Users without limits by user."
    )
    keys: int = option(
        integer(1000, 100_000_000),
        default=100_000,
        help="How many addresses and users are remembered; the one not seen for the longest goes first.",
    )

    store: str = option(
        choice("local", "redis"),
        default="local",
        help="Where it is counted: on this machine, or in a Redis server for all gateways that use it. Idempotency"
        " keys are kept there too.",
    )
    redis_url_env: Secret | None = option(
        SECRET_VARIABLE,
        default=None,
        unset="none",
        example="REDIS_URL",
        help="Holds the URL: `redis://USER:PASSWORD@HOST:6379/0`, `rediss://` for TLS, `unix:///PATH`, or"
        " `redis+sentinel://HOST:26379,HOST/MASTER`.",
    )
    redis_url_file: Secret | None = option(
        SECRET_FILE, default=None, unset="none", example="/etc/apigw/redis-url", help="The same, from a file."
    )
    redis_ca: str | None = option(
        CA_FILE,
        default=None,
        unset="the system's authorities",
        example="/etc/apigw/tls/redis-ca.pem",
        help="The authorities that may have signed the server's certificate.",
    )
    redis_deadline: float = option(
        DURATION,
        default=0.02,
        help="How long a request waits for Redis; past it the limits go on in this gateway alone, for its share.",
    )

    @property
    def redis(self) -> RedisUrl | None:
        """None where it is counted here."""
        secret = self.redis_url_env or self.redis_url_file
        return parse_redis_url(secret.value.decode()) if self.store == "redis" and secret is not None else None

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        given = [key for key in ("redis_url_env", "redis_url_file") if getattr(self, key) is not None]
        if len(given) > 1:
            yield given[1], f"{given[0]} is there too, keep one of the two"
        if given and self.store != "redis":
            yield given[0], "is of no use with store = local, write store = redis"
        if not given and self.store == "redis":
            yield "store", "redis needs to know the server, write for example redis_url_env = REDIS_URL"
        if given and self.store == "redis":
            try:
                self.redis  # noqa: B018 (whether it can be read)
            except (ValueError, UnicodeDecodeError) as error:
                yield given[0], f"the URL {error}"

    def rate(self, key: str) -> Rate | None:
        """The limit by ``ip``, ``user`` or ``auth``; None for no limit."""
        limit: Limit = getattr(self, key)
        if limit and limit.period == OF_THE_WINDOW:
            return evolve(limit, period=self.window or WINDOWS.get(key, WINDOW))
        return limit or None


@frozen(kw_only=True)
class RouteLimits:
    ip: Limit | None = option(
        LIMIT, default=None, unset="that of [limits]", example="100/m", help="For each address; 429 past it."
    )
    user: Limit | None = option(
        LIMIT, default=None, unset="that of [limits]", example="200/m", help="For each user that a token names."
    )
    route: Limit | None = option(
        LIMIT, default=None, unset="none", example="1000/s", help="For all requests of the route together."
    )
    consumer: Limit | None = option(
        LIMIT, default=None, unset="none", example="500/m", help="For each consumer that shows an API key."
    )
    by: tuple[Combination, ...] = option(
        COMBINATIONS,
        default=(),
        unset="none",
        example="header:X-Tenant 100/m, user+header:X-Device 10/m burst 3",
        help="For each value of a field, or of several things together: `ip`, `user`, `consumer`, `header:NAME`.",
    )
    cost: int = option(integer(1, 1_000_000), default=1, help="As how many requests each counts.")


_AT_ONCE = integer(1, 1_000_000)


@frozen(kw_only=True)
class RouteConcurrency:
    ip: int | None = option(
        _AT_ONCE,
        default=None,
        unset="any number",
        example="10",
        help="Requests of each address that may be under way at once; 429 past it.",
    )
    user: int | None = option(
        _AT_ONCE, default=None, unset="any number", example="5", help="The same for each user that a token names."
    )
    consumer: int | None = option(
        _AT_ONCE, default=None, unset="any number", example="50", help="The same for each consumer."
    )
    route: int | None = option(
        _AT_ONCE, default=None, unset="any number", example="200", help="The same for all requests of the route."
    )
