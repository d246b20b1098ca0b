"""What each worker says of its own requests, as one: figures of a second, the last requests, refusals, plans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from apigw.workers.merge import merge

Value = dict[str, Any]

POINT = 5
"""The place in a point of how many are under way; before it requests, failed ones, and three percentiles."""


def mean(pairs: Iterable[tuple[float, float]]) -> float:
    """Of values with their weights: the best guess for a percentile of all, where each worker has its share of all."""
    total = summed = 0.0
    for value, weight in pairs:
        total += weight
        summed += value * weight
    return round(summed / total, 2) if total else 0.0


def _points(ones: Sequence[Sequence[float]]) -> list[float]:
    percentiles = [mean((one[index], one[0]) for one in ones) for index in range(2, POINT)]
    return [sum(one[0] for one in ones), sum(one[1] for one in ones), *percentiles, sum(one[POINT] for one in ones)]


def _series(ones: Sequence[Sequence[float]]) -> list[float]:
    return [sum(one[0] for one in ones), sum(one[1] for one in ones), mean((one[2], one[0]) for one in ones)]


def aligned(lists: Sequence[Sequence[Any]], add: Callable[[Sequence[Any]], Any]) -> list[Any]:
    """Lists that end at the same time, whenever they begin."""
    longest = max(map(len, lists), default=0)
    return [add([one[at] for one in lists if -at <= len(one)]) for at in range(-longest, 0)]


def _named(lists: Iterable[Sequence[Value]], key: Callable[[Value], Any]) -> list[list[Value]]:
    found: dict[Any, list[Value]] = {}
    for one in lists:
        for value in one:
            found.setdefault(key(value), []).append(value)
    return list(found.values())


def _service(ones: list[Value]) -> Value:
    merged: Value = merge([{key: value for key, value in one.items() if key != "series"} for one in ones])
    return merged | {"series": aligned([one["series"] for one in ones], _series)}


def _route(ones: list[Value]) -> Value:
    sums = {key: sum(one[key] for one in ones) for key in ("requests", "failed", "refused", "total")}
    percentiles = {key: mean((one[key], one["requests"]) for one in ones) for key in ("p50", "p95")}
    return ones[0] | sums | percentiles


def refusals(values: Sequence[Value]) -> Value:
    total: dict[str, int] = {}
    for value in values:
        for code, count in value["total"].items():
            total[code] = total.get(code, 0) + count
    window = _named([value["window"] for value in values], lambda one: (one["code"], one["route"]))
    summed = [ones[0] | {"requests": sum(one["requests"] for one in ones)} for ones in window]
    return {"total": total, "window": sorted(summed, key=lambda one: -one["requests"])}


def moment(values: Sequence[Value]) -> Value:
    """Of ``/api/live/now``."""
    first = values[0]
    return first | {
        "time": max(value["time"] for value in values),
        "active": sum(value["active"] for value in values),
        "instance": first["instance"] | {"started": min(value["instance"]["started"] for value in values)},
        "history": aligned([value["history"] for value in values], _points),
        "services": [_service(ones) for ones in _named([v["services"] for v in values], lambda one: one["name"])],
        "routes": [_route(ones) for ones in _named([v["routes"] for v in values], lambda one: one["name"])],
        "refusals": refusals([value["refusals"] for value in values]),
        "tail": sorted((one for value in values for one in value["tail"]), key=lambda one: one["time"]),
    }


def requests(values: Sequence[Value]) -> Value:
    """Of ``/api/requests``: the latest of all, no more than the one that has most."""
    most = max(len(value["requests"]) for value in values)
    every = [one for value in values for one in value["requests"]]
    return {"requests": sorted(every, key=lambda one: -one["time"])[:most]}


def limits(values: Sequence[Value]) -> Value:
    """Of ``/api/limits``."""
    return values[0] | {"refusals": refusals([value["refusals"] for value in values])}


def _version(ones: list[Value]) -> Value:
    first = [one["first"] for one in ones if one["first"] is not None]
    callers = [
        max(each, key=lambda one: str(one["last"])) | {"requests": sum(one["requests"] for one in each)}
        for each in _named([one["callers"] for one in ones], lambda one: one["who"])
    ]
    return ones[0] | {
        "requests": sum(one["requests"] for one in ones),
        "first": min(first, default=None),
        "callers": sorted(callers, key=lambda one: str(one["last"]), reverse=True),
    }


def versions(values: Sequence[Value]) -> Value:
    """Of ``/api/versions``: each worker knows who has called it."""
    each = _named([value["versions"] for value in values], lambda one: one["version"])
    return values[0] | {"versions": [_version(ones) for ones in each]}


def plan(values: Sequence[Value]) -> Value:
    """Of ``/api/plan``: each worker has looked at its own requests."""
    changes = _named([value["changes"] for value in values], lambda one: repr({**one, "requests": 0}))
    summed = [ones[0] | {"requests": sum(one["requests"] for one in ones)} for ones in changes]
    sums = {key: sum(value[key] for value in values) for key in ("requests", "changed", "unknown")}
    return {**sums, "changes": sorted(summed, key=lambda one: -one["requests"])}


COMBINED: dict[bytes, Callable[[Sequence[Value]], Value]] = {
    b"/api/live/now": moment,
    b"/api/requests": requests,
    b"/api/limits": limits,
    b"/api/plan": plan,
    b"/api/versions": versions,
}
"""By path; all else is brought together by :func:`~apigw.workers.merge.merge`."""
