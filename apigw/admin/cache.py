"""What the cache of answers holds, and its purge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from apigw.admin.actions import NAME
from apigw.admin.operations import Asked, Operation, Schema

if TYPE_CHECKING:
    from apigw.stages.cache import ResponseCache

PURGE = "/api/cache/purge"

_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": 2048}


class CacheOperations:
    """:param cache: None where no route has one. :param capacity: bytes that it may hold."""

    def __init__(self, cache: ResponseCache | None, capacity: int) -> None:
        self._cache = cache
        self._capacity = capacity

    def operations(self) -> Iterable[Operation]:
        held: Schema = {"type": "object", "required": ["answers", "bytes", "capacity", "requests"]}
        yield Operation(
            "GET", "/api/cache", "How much is kept, and what requests got from it by route.", self._held, held
        )
        yield Operation(
            "POST",
            PURGE,
            "Keep answers no more: all for which every condition holds, and all of them without any.",
            self._purge,
            {"type": "object", "required": ["purged"], "properties": {"purged": {"type": "integer"}}},
            takes={
                "host": NAME,
                "path": _TEXT,
                "prefix": {"type": "boolean"},
                "route": NAME,
            },
            acts=True,
        )

    def _held(self, _: Asked) -> dict[str, Any]:
        cache = self._cache
        if cache is None:
            return {"answers": 0, "bytes": 0, "capacity": 0, "requests": []}
        results: dict[str, dict[str, int]] = {}
        for (route, result), count in sorted(cache.counts.items()):
            results.setdefault(route, {})[result] = count
        requests = [{"name": route, "results": counts} for route, counts in results.items()]
        return {
            "answers": len(cache.store),
            "bytes": cache.store.size,
            "capacity": self._capacity,
            "requests": requests,
        }

    def _purge(self, asked: Asked) -> dict[str, Any]:
        body = asked.body
        if self._cache is None:
            return {"purged": 0}
        purged = self._cache.purge(
            body.get("host"), body.get("path"), bool(body.get("prefix", False)), body.get("route")
        )
        return {"purged": purged}
