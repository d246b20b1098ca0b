"""Several workers' words on their own requests, as one."""

from __future__ import annotations

from typing import Any

from apigw.workers.together import aligned, moment, plan, requests, versions


def told(instance: str, history: list[list[float]], tail: list[float], requests: int, p95: float) -> dict[str, Any]:
    return {
        "time": 100.0,
        "active": 2,
        "instance": {"id": instance, "started": float(len(instance))},
        "history": history,
        "services": [
            {
                "name": "shop",
                "status": "up",
                "peers": [],
                "series": [[point[0], point[1], point[3]] for point in history],
            }
        ],
        "routes": [{"name": "r", "requests": requests, "failed": 1, "refused": 0, "total": 9, "p50": 1.0, "p95": p95}],
        "refusals": {"total": {"x": 1}, "window": [{"code": "x", "route": "r", "requests": 3}]},
        "tail": [{"time": time, "number": 1} for time in tail],
    }


def test_figures_are_added_and_percentiles_weighed() -> None:
    one = told("ab", [[1, 0, 1.0, 1.0, 1.0, 5], [30, 1, 1.0, 10.0, 20.0, 1]], [1.0, 3.0], 30, 10.0)
    two = told("c", [[10, 0, 1.0, 50.0, 60.0, 2]], [2.0], 10, 50.0)
    both = moment([one, two])
    assert both["history"] == [[1, 0, 1.0, 1.0, 1.0, 5], [40, 1, 1.0, 20.0, 30.0, 3]]
    assert both["services"][0]["series"][-1] == [40, 1, 20.0]
    [route] = both["routes"]
    assert (route["requests"], route["failed"], route["total"], route["p95"]) == (40, 2, 18, 20.0)
    assert both["refusals"] == {"total": {"x": 2}, "window": [{"code": "x", "route": "r", "requests": 6}]}
    assert [one["time"] for one in both["tail"]] == [1.0, 2.0, 3.0]
    assert (both["active"], both["instance"]["started"]) == (4, 1.0)


def test_what_nobody_did_has_no_percentile() -> None:
    idle = told("a", [[0, 0, 0.0, 0.0, 0.0, 0]], [], 0, 0.0)
    assert moment([idle, idle])["history"] == [[0, 0, 0.0, 0.0, 0.0, 0]]
    assert aligned([], list) == []


def test_the_latest_requests_of_all() -> None:
    values = [{"requests": [{"time": 5.0}, {"time": 1.0}]}, {"requests": [{"time": 3.0}]}]
    assert requests(values) == {"requests": [{"time": 5.0}, {"time": 3.0}]}


def test_plans_are_added() -> None:
    change = {"path": "/a", "before": {}, "after": {}, "requests": 2}
    value = {"requests": 5, "changed": 2, "unknown": 1, "changes": [change]}
    other = {"requests": 5, "changed": 1, "unknown": 0, "changes": [{**change, "path": "/b", "requests": 1}]}
    both = plan([value, other, value])
    assert (both["requests"], both["changed"], both["unknown"]) == (15, 5, 2)
    assert [(one["path"], one["requests"]) for one in both["changes"]] == [("/a", 4), ("/b", 1)]


def test_callers_of_old_versions_are_those_of_all_workers():
    def caller(who: str, count: int, last: str) -> dict[str, object]:
        return {"who": who, "requests": count, "last": last, "route": f"at {last}"}

    def said(count: int, first: str | None, *callers: dict[str, object]) -> dict[str, object]:
        return {"versions": [{"version": "1", "requests": count, "first": first, "callers": list(callers)}]}

    ann, other_ann, bob = caller("ann", 2, "2026-01-02"), caller("ann", 3, "2026-01-04"), caller("bob", 1, "2026-01-03")
    [told] = versions([said(3, "2026-01-01", bob, ann), said(3, "2026-01-02", other_ann), said(0, None)])["versions"]
    assert (told["requests"], told["first"]) == (6, "2026-01-01")
    assert told["callers"] == [caller("ann", 5, "2026-01-04"), bob]
