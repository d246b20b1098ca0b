"""One answer out of those of all workers: metrics are added up, views are brought together by the names in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field

LABELLED = ("process_", "python_")
"""Prefixes of families that say something of one process, and get a label ``worker``."""

OF_THE_WHOLE = ("apigw_config_",)
"""Prefixes of families that the supervisor has itself: what a worker says of the same is left out."""

GREATEST = (
    "apigw_upstream_up",
    "apigw_upstream_peer_ejected",
    "apigw_upstream_breaker_state",
    "apigw_build_info",
    "apigw_discovery_",
    "apigw_limit",
    "apigw_redis_instances",
    "apigw_revocations",
)
LEAST = ("apigw_upstream_peer_healthy", "apigw_tls_", "apigw_redis_up")
"""Prefixes of gauges that can't be added."""

ADDED = ("counter", "histogram", "summary")

SUMS = frozenset(
    {
        "active",
        "busy",
        "idle",
        "waiting",
        "opened",
        "ejections",
        "queued",
        "trips",
        "answers",
        "bytes",
        "capacity",
        "purged",
    }
)
"""Keys of views whose numbers are added; ``transitions``, ``failures`` and the like are added whole."""

COUNTS = frozenset({"transitions", "failures", "retries", "retries_declined", "queue_refused", "results"})
"""Keys of views that hold numbers by name, all to be added."""

IDENTITY = ("service", "name", "peer")
"""What things in lists are told apart by."""

WORST = ("closed", "half_open", "open", "forced_closed", "forced_open")
"""Breakers, from good to bad."""

STATUSES = ("up", "ok", "degraded", "down", "draining", "unready")
"""Of services and the like, from good to bad."""


@define
class Family:
    """
    :ivar head: its HELP and TYPE lines.
    :ivar samples: values by name and labels, as they are written.
    """

    name: str
    head: str
    kind: str
    samples: dict[str, float] = field(factory=dict)


def parse(text: str) -> dict[str, Family]:
    """Families of Prometheus' text format by name, as :mod:`apigw.telemetry.exposition` writes it."""
    families: dict[str, Family] = {}
    family = Family("", "", "untyped")
    head = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            head = line + "\n"
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ", 3)
            family = families.setdefault(name, Family(name, f"{head}{line}\n", kind))
        elif line:
            key, _, value = line.rpartition(" ")
            family.samples[key] = float(value)
    return families


class Ledger:
    """
    Adds up the metrics of workers. What one has counted stays counted when it is gone, as far as it was seen: else sums
    would fall, which Prometheus takes for a restart of everything.
    """

    def __init__(self) -> None:
        self._seen: dict[int, dict[str, Family]] = {}
        self._gone: dict[str, Family] = {}

    def see(self, process: int, text: str) -> None:
        """Take down what a process says now."""
        self._seen[process] = {
            name: family for name, family in parse(text).items() if not name.startswith(OF_THE_WHOLE)
        }

    def forget(self, process: int) -> None:
        """It is no more."""
        for name, family in self._seen.pop(process, {}).items():
            if family.kind in ADDED and not name.startswith(LABELLED):
                kept = self._gone.setdefault(name, Family(name, family.head, family.kind))
                _add(kept.samples, family.samples)

    def text(self, numbers: Mapping[int, int]) -> str:
        """:param numbers: of the workers to speak for, by process."""
        whole: dict[str, Family] = {}
        for process, number in numbers.items():
            for name, family in self._seen.get(process, {}).items():
                target = whole.setdefault(name, Family(name, family.head, family.kind))
                if name.startswith(LABELLED):
                    for key, value in family.samples.items():
                        target.samples[_labelled(key, number)] = value
                else:
                    _join(target, family)
        for name, family in self._gone.items():
            target = whole.setdefault(name, Family(name, family.head, family.kind))
            _add(target.samples, family.samples)
        return "".join(_lines(family) for family in whole.values())


def _add(target: dict[str, float], samples: Mapping[str, float]) -> None:
    for key, value in samples.items():
        target[key] = target.get(key, 0.0) + value


def _join(target: Family, family: Family) -> None:
    choose = max if family.name.startswith(GREATEST) else min if family.name.startswith(LEAST) else None
    if family.kind in ADDED or choose is None:
        _add(target.samples, family.samples)
        return
    for key, value in family.samples.items():
        target.samples[key] = choose(target.samples.get(key, value), value)


def _labelled(key: str, number: int) -> str:
    name, brace, rest = key.partition("{")
    return f'{name}{{worker="{number}",{rest}' if brace else f'{name}{{worker="{number}"}}'


def _lines(family: Family) -> str:
    return family.head + "".join(
        f"{key} {int(value) if value == int(value) and abs(value) < 1e15 else value!r}\n"
        for key, value in family.samples.items()
        if value == value
    )


# -- views -------------------------------------------------------------------------------------------------------------


def merge(values: Sequence[Any], key: str = "") -> Any:
    """
    One value of JSON out of several of the same shape.

    :param key: under which they stand.

    Objects are brought together key by key, lists of things by their names; numbers under :data:`SUMS` are added;
    of states the worst counts, and of what is true or not whether it is so for some worker. Of all else the first.
    """
    first = values[0]
    if all(value == first for value in values) and key not in SUMS and key not in COUNTS and not _deep(first):
        return first
    if all(isinstance(value, dict) for value in values):
        if key in COUNTS:
            return _counts(values)
        keys = dict.fromkeys(name for value in values for name in value)
        return {name: merge([value[name] for value in values if name in value], name) for name in keys}
    if all(isinstance(value, list) for value in values):
        return _lists(values)
    if key in SUMS and all(isinstance(value, int | float) for value in values):
        return sum(values)
    if key == "uptime_seconds":
        return max(values)
    if key == "breaker":
        return max(values, key=lambda state: WORST.index(state) if state in WORST else 0)
    if key == "status":
        return max(values, key=lambda state: STATUSES.index(state) if state in STATUSES else 0)
    if all(isinstance(value, bool) for value in values):
        return any(values)
    return first


def _deep(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _counts(values: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for value in values:
        for name, count in value.items():
            total[name] = total.get(name, 0) + count if isinstance(count, int | float) else count
    return total


def _lists(values: Sequence[Sequence[Any]]) -> list[Any]:
    if not all(isinstance(one, dict) and ("name" in one or "peer" in one) for value in values for one in value):
        return list(values[0])
    known: dict[tuple[Any, ...], list[Any]] = {}
    for value in values:
        for one in value:
            known.setdefault(tuple(map(one.get, IDENTITY)), []).append(one)
    return [merge(ones) for ones in known.values()]
