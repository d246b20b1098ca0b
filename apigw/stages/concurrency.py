"""Refuses those who have too much under way at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import frozen

from apigw.errors import ConcurrencyLimited
from apigw.messages import Exchange
from apigw.pipeline import Explained, Stage
from apigw.policy.ip_lists import client_key

Bound = tuple[int, str]
"""How many may be under way, and of which key."""


class InFlight(Protocol):
    """Where it is counted."""

    def enter(self, bounds: Sequence[Bound]) -> int:
        """Count for all of them, or none. :return: -1, or the place of one that is reached."""

    def leave(self, bounds: Sequence[Bound]) -> None:
        """It is over."""


@frozen
class Bounds:
    """
    How many requests of a route may be under way at once, for each address, user, consumer, and in all; None for any.

    :ivar name: of the route.
    """

    name: str
    ip: int | None = None
    user: int | None = None
    consumer: int | None = None
    route: int | None = None
    enforce: bool = True


class Concurrency(Stage):
    """What is counted is under way until its last byte is written, or it is given up, for whatever reason."""

    def __init__(self, in_flight: InFlight, bounds: Bounds) -> None:
        self._in_flight = in_flight
        self._enforce = bounds.enforce
        self._keys: list[tuple[int, Callable[[Exchange], str | None]]] = []
        for kind, bound, key in (
            ("address", bounds.ip, lambda exchange: client_key(exchange.client_ip)),
            ("user", bounds.user, lambda exchange: exchange.user_key),
            ("consumer", bounds.consumer, _consumer),
            ("route", bounds.route, lambda exchange: ""),
        ):
            if bound is not None:
                self._add(f"{kind} {bounds.name}", bound, key)

    def _add(self, prefix: str, bound: int, key: Callable[[Exchange], str | None]) -> None:
        def prefixed(exchange: Exchange) -> str | None:
            value = key(exchange)
            return None if value is None else f"{prefix} {value}"

        self._keys.append((bound, prefixed))

    def request(self, exchange: Exchange) -> None:
        bounds = [(bound, found) for bound, key in self._keys if (found := key(exchange)) is not None]
        if not bounds:
            return
        reached = self._in_flight.enter(bounds)
        if reached < 0:
            exchange.under_way = bounds
        elif self._enforce:
            kind = bounds[reached][1].partition(" ")[0]
            raise ConcurrencyLimited(f"Too many requests of this {kind} are under way.", retry_after=1)
        else:
            exchange.would_refuse = ConcurrencyLimited.code

    def explain(self, exchange: Exchange) -> Explained:
        bounds = [(bound, found) for bound, key in self._keys if (found := key(exchange)) is not None]
        facts: dict[str, object] = {key.partition(" ")[0]: bound for bound, key in bounds}
        reached = self._in_flight.enter(bounds)
        if reached < 0:
            self._in_flight.leave(bounds)
            return Explained(facts)
        if not self._enforce:
            return Explained(facts, reports=ConcurrencyLimited.code)
        kind = bounds[reached][1].partition(" ")[0]
        return Explained(facts, ConcurrencyLimited(f"Too many requests of this {kind} are under way.", retry_after=1))

    def done(self, exchange: Exchange) -> None:
        bounds = exchange.under_way
        if bounds:
            exchange.under_way = ()
            self._in_flight.leave(bounds)


def _consumer(exchange: Exchange) -> str | None:
    who = exchange.identity
    return who.consumer if who is not None and who.consumer else None
