"""What another configuration would do to the last requests: which would be routed, refused or limited otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from typing import Any

from attrs import frozen

from apigw.admin.explain import course
from apigw.admin.live import Live
from apigw.admin.operations import Asked, Operation
from apigw.finder import ProxyRoutes
from apigw.messages import ClientAddress, Exchange, Request
from apigw.pipeline import Explained
from apigw.policy.gcra import LocalQuotas
from apigw.stages.limits import Counting
from apigw.telemetry.recent import Record

MAX_CONFIG = 1024 * 1024
"""Characters."""

SHOWN = 200
"""Changes that are told, the most frequent first."""

SOME = 10
"""Requests between two rests."""


@frozen
class Outcome:
    """:ivar code: of the error, empty where it is forwarded or answered."""

    route: str
    service: str
    code: str


class Side:
    """
    One configuration, through which requests of the past are led again: their limits count as they would have, from
    nothing, by the times at which they came.
    """

    def __init__(self, find: ProxyRoutes) -> None:
        self._find = find
        self._quotas = LocalQuotas()

    def outcome(self, record: Record) -> Outcome:
        exchange = _exchange(record)
        now = record.ended - record.seconds

        def look(stage: Any, exchange: Exchange) -> Explained | None:
            if isinstance(stage, Counting):
                return self._count(stage, exchange, now)
            found: Explained | None = stage.explain(exchange)
            return found

        found = course(self._find, exchange, look)
        return Outcome(
            found.route.name, ", ".join(found.route.services), "" if found.error is None else found.error.code
        )

    def _count(self, stage: Counting, exchange: Exchange, now: float) -> Explained | None:
        if stage.first:
            stage.explain(exchange)
            return None
        spends = stage.spends(exchange)
        if not spends:
            return None
        error = stage.refusal(self._quotas.take(now, spends, stage.cost))
        return Explained(error=error if stage.enforced else None)


def _exchange(record: Record) -> Exchange:
    path = record.path
    client = ClientAddress(record.client_ip, 0, record.scheme)
    request = Request(record.method, path, path, b"", record.authority, [], (), b"1.1", client, {})
    exchange = Exchange(request, None, 0.0)  # type: ignore[arg-type]  # nobody answers
    exchange.identity = record.identity
    exchange.principal = record.user
    return exchange


Beside = Callable[[str, Callable[[ProxyRoutes], Awaitable[dict[str, Any]]]], Awaitable[dict[str, Any]]]
"""Has something done with the routes of the text of another configuration, which is thrown away after that."""

InTurns = Callable[[Generator[None, None, dict[str, Any]]], Awaitable[dict[str, Any]]]


class Planner:
    """:param find: of the configuration in force."""

    def __init__(self, find: ProxyRoutes, live: Live, beside: Beside, in_turns: InTurns) -> None:
        self._find = find
        self._live = live
        self._beside = beside
        self._in_turns = in_turns

    def operations(self) -> Iterable[Operation]:
        yield Operation(
            "POST",
            "/api/plan",
            "What another configuration would do otherwise with the last requests.",
            self._plan,
            {"type": "object", "required": ["requests", "changed", "unknown", "changes"]},
            takes={"config": {"type": "string", "maxLength": MAX_CONFIG}},
            needs=("config",),
            errors=(409,),
            cap=2 * MAX_CONFIG,
        )

    def _plan(self, asked: Asked) -> Awaitable[dict[str, Any]]:
        self._live.catch_up()
        records = sorted(self._live.recent.kept, key=lambda record: record.ended - record.seconds)
        return self._beside(asked.body["config"], lambda find: self._in_turns(self.compare(records, find)))

    def compare(self, records: Sequence[Record], find: ProxyRoutes) -> Generator[None, None, dict[str, Any]]:
        """:param find: of the other configuration."""
        before, after = Side(self._find), Side(find)
        changes: Counter[tuple[str, str, str, str | None, Outcome, Outcome]] = Counter()
        unknown = 0
        for number, record in enumerate(records):
            if number % SOME == 0:
                yield
            was = before.outcome(record)
            if was.route != record.route:
                unknown += 1  # by conditions on fields, which aren't kept, or by an earlier configuration
                continue
            will = after.outcome(record)
            if was != will:
                method, host = record.method.decode("latin-1"), record.authority.decode("latin-1")
                path = record.shown.partition("?")[0]
                changes[method, host, path, record.user, was, will] += 1
        return {
            "requests": len(records),
            "changed": sum(changes.values()),
            "unknown": unknown,
            "changes": [
                {
                    "method": method,
                    "host": host,
                    "path": path,
                    "user": user,
                    "requests": count,
                    "before": {"route": was.route, "service": was.service, "refused": was.code or None},
                    "after": {"route": will.route, "service": will.service, "refused": will.code or None},
                }
                for (method, host, path, user, was, will), count in changes.most_common(SHOWN)
            ],
        }
