"""The gateway at a glance, second by second: from requests that have ended to what a dashboard shows."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from apigw.policy.breaker import FORCED_OPEN, HALF_OPEN, OPEN
from apigw.telemetry.recent import Recent, Record
from apigw.telemetry.tallies import Tally, percentile
from apigw.upstream.peer import Peer
from apigw.upstream.upstream import Upstream

INTERVAL = 1.0
"""Seconds between two turns."""

HISTORY = 300
"""Turns of the whole that are kept: five minutes."""

SERIES = 120
"""The same of each service."""

MARKS = 60
"""Looks at each peer that are kept, one in :data:`LOOK` turns: five minutes."""

LOOK = 5

WINDOW = 60
"""Turns that the figures of routes and refusals are about."""

SHOWN = 200
"""Services, and routes, that are told at once: those with the most requests first."""

TAIL = 100
"""Requests of one turn that are told one by one."""

Point = list[float]

Seen = tuple[Upstream, Callable[[], dict[str, Any]]]
"""A service, and what makes of it what operators may know."""


class Watcher(Protocol):
    """Is told of each turn."""

    def turned(self, tick: Callable[[], bytes], whole: Callable[[], bytes]) -> None: ...

    def end(self) -> None: ...


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000.0, 2)


def mark(peer: Peer) -> str:
    """How a peer is, in a letter: drained, out, half open, ok."""
    if peer.drained:
        return "d"
    state = peer.breaker.state
    if not peer.fit or state in (OPEN, FORCED_OPEN):
        return "x"
    return "h" if state == HALF_OPEN else "o"


@define
class Load:
    """
    Of a route, over :data:`WINDOW` turns.

    :ivar turns: each that had any requests, with its number.
    """

    service: str
    turns: deque[tuple[int, Tally]] = field(factory=deque)
    latencies: Counter[int] = field(factory=Counter)
    failed: int = 0
    refused: int = 0
    total: int = 0

    @property
    def requests(self) -> int:
        return self.latencies.total()

    def add(self, turn: int, tally: Tally) -> None:
        self.turns.append((turn, tally))
        self.latencies.update(tally.latencies)
        self.failed += tally.failed
        self.refused += sum(tally.refused.values())
        self.total += sum(tally.latencies.values())

    def forget(self, before: int) -> None:
        """Turns that are too old."""
        while self.turns and self.turns[0][0] < before:
            _, tally = self.turns.popleft()
            self.latencies -= Counter(tally.latencies)
            self.failed -= tally.failed
            self.refused -= sum(tally.refused.values())


@define
class Second:
    """Of a service, or of all of them, in one turn."""

    latencies: Counter[int] = field(factory=Counter)
    failed: int = 0

    def add(self, tally: Tally) -> None:
        self.latencies.update(tally.latencies)
        self.failed += tally.failed

    def figures(self, *shares: float) -> Point:
        """Requests, failed ones, and percentiles in milliseconds."""
        found = [milliseconds(percentile(self.latencies, share)) for share in shares]
        return [self.latencies.total(), self.failed, *found]


class Live:
    """
    :param active: requests under way now.
    :param epoch: seconds since 1970.
    :param seconds: monotonic, as in exchanges.
    :param services: all of them, which change with the configuration.
    :param instance: tells a gateway from the one that ran before it.

    :ivar closed: the gateway ends.
    """

    def __init__(
        self,
        recent: Recent,
        active: Callable[[], int],
        services: Callable[[], Sequence[Seen]],
        clock: IReactorTime,
        seconds: Callable[[], float],
        epoch: Callable[[], float],
        instance: dict[str, object],
    ) -> None:
        self.recent = recent
        self._active = active
        self._services = services
        self._seconds = seconds
        self._epoch = epoch
        self._instance = instance
        self._loop = LoopingCall(self.turn)
        self._loop.clock = clock
        self._turn = 0
        self._told = 0
        self._history: deque[Point] = deque(maxlen=HISTORY)
        self._series: dict[str, deque[Point]] = {}
        self._marks: dict[str, dict[str, deque[str]]] = {}
        self._loads: dict[str, Load] = {}
        self._refusals: deque[Counter[tuple[str, str]]] = deque(maxlen=WINDOW)
        self._refused_total: Counter[str] = Counter()
        self._watchers: list[Watcher] = []
        self.closed = False

    def start(self) -> None:
        if not self._loop.running:
            self._loop.start(INTERVAL, now=False)

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()

    def close(self) -> None:
        """Let nobody wait for another turn: the gateway ends."""
        self.closed = True
        for watcher in list(self._watchers):
            watcher.end()
        self._watchers.clear()

    def watch(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    def catch_up(self) -> None:
        """Have :attr:`recent` know all that has ended."""
        self.recent.catch_up()

    # -- each second -------------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """Add up what has ended since the last turn, and tell who watches."""
        self._turn += 1
        whole = Second()
        services: dict[str, Second] = {}
        refusals: Counter[tuple[str, str]] = Counter()
        for name, tally in self.recent.turn().items():
            whole.add(tally)
            if tally.service:
                services.setdefault(tally.service, Second()).add(tally)
            for error, count in tally.refused.items():
                refusals[error, name] += count
                self._refused_total[error] += count
            if name not in self._loads:
                self._loads[name] = Load(tally.service)
            self._loads[name].add(self._turn, tally)
        self._history.append([*whole.figures(0.5, 0.95, 0.99), self._active()])
        self._refusals.append(refusals)
        for load in self._loads.values():
            load.forget(self._turn - WINDOW + 1)
        self._note(services)
        self._tell()

    def _note(self, services: dict[str, Second]) -> None:
        for name, second in services.items():
            series = self._series.setdefault(name, deque([[0, 0, 0.0]] * SERIES, maxlen=SERIES))
            series.append(second.figures(0.95))
        for name, series in self._series.items():
            if name not in services:
                series.append([0, 0, 0.0])
        if self._turn % LOOK:
            return
        there = self._services()
        for upstream, _ in there:
            known = self._marks.get(upstream.name, {})
            self._marks[upstream.name] = {
                peer.label: known.get(peer.label, deque(maxlen=MARKS)) for peer in upstream.peers
            }
            for peer in upstream.peers:
                self._marks[upstream.name][peer.label].append(mark(peer))
        for name in set(self._marks) - {upstream.name for upstream, _ in there}:
            del self._marks[name]
            self._series.pop(name, None)

    def _tell(self) -> None:
        if not self._watchers:
            self._told = self.recent.number
            return
        tick: list[bytes] = []
        whole: list[bytes] = []

        def once(made: list[bytes], make: Callable[[], object]) -> bytes:
            if not made:
                made.append(json.dumps(make(), separators=(",", ":")).encode())
            return made[0]

        for watcher in list(self._watchers):
            watcher.turned(lambda: once(tick, self.tick), lambda: once(whole, self.whole))
        self._told = self.recent.number

    def encoded(self) -> bytes:
        """The whole, as JSON."""
        return json.dumps(self.whole(), separators=(",", ":")).encode()

    # -- what is told ------------------------------------------------------------------------------------------------

    def tick(self) -> dict[str, Any]:
        """What is new since the turn before."""
        fresh = self.recent.number - self._told
        tail = list(self.recent.kept)[-min(fresh, TAIL) :] if fresh else []
        point = self._history[-1]
        return self._now(1) | {"point": point, "tail": self.records(tail), "untold": max(0, int(point[0]) - len(tail))}

    def whole(self) -> dict[str, Any]:
        """All that a dashboard needs to begin with."""
        return self._now(SERIES) | {
            "instance": self._instance,
            "interval": INTERVAL,
            "window": WINDOW,
            "history": list(self._history),
            "tail": self.records(list(self.recent.kept)[-TAIL:]),
            "untold": 0,
        }

    def _now(self, points: int) -> dict[str, Any]:
        """:param points: of each service's series."""
        services = self._services()
        if len(services) > SHOWN:
            busy = {name: sum(point[0] for point in series) for name, series in self._series.items()}
            services = sorted(services, key=lambda one: -busy.get(one[0].name, 0))[:SHOWN]
        return {
            "time": round(self._epoch(), 3),
            "services": [self._service(upstream.name, see(), points) for upstream, see in services],
            "routes": self.routes(),
            "refusals": self.refusals(),
            "active": self._active(),
        }

    def _service(self, name: str, seen: dict[str, Any], points: int) -> dict[str, Any]:
        marks = self._marks.get(name, {})
        for peer in seen["peers"]:
            peer["history"] = "".join(marks.get(peer["name"], ()))
        series = self._series.get(name)
        return seen | {"series": [] if series is None else list(series)[-points:]}

    def routes(self) -> list[dict[str, Any]]:
        """Of the last :data:`WINDOW` turns; ``total`` since the start."""
        loads = sorted(self._loads.items(), key=lambda item: (-item[1].requests, -item[1].total))[:SHOWN]
        found = []
        for name, load in loads:
            found.append(
                {
                    "name": name,
                    "service": load.service,
                    "requests": load.requests,
                    "failed": load.failed,
                    "refused": load.refused,
                    "total": load.total,
                    "p50": milliseconds(percentile(load.latencies, 0.5)),
                    "p95": milliseconds(percentile(load.latencies, 0.95)),
                }
            )
        return found

    def refusals(self) -> dict[str, Any]:
        """Requests that were refused, by the code of the error."""
        window: Counter[tuple[str, str]] = Counter()
        for one in self._refusals:
            window.update(one)
        return {
            "total": dict(self._refused_total),
            "window": [
                {"code": code, "route": route, "requests": count} for (code, route), count in window.most_common(SHOWN)
            ],
        }

    def records(self, records: Iterable[Record]) -> list[dict[str, Any]]:
        """Requests one by one; times of day in seconds since 1970, all others in milliseconds."""
        ahead = self._epoch() - self._seconds()
        return [_shown(record, ahead) for record in records]


def _shown(record: Record, ahead: float) -> dict[str, Any]:
    return {
        "number": record.number,
        "time": round(record.ended + ahead, 3),
        "ms": milliseconds(record.seconds),
        "id": record.id,
        "method": record.method.decode("latin-1"),
        "host": record.authority.decode("latin-1"),
        "path": record.shown,
        "client": record.client_ip,
        "user": record.user,
        "route": record.route,
        "service": record.service,
        "status": record.status,
        "bytes_in": record.received,
        "bytes_out": record.sent,
        "error": record.error,
        "would_refuse": record.would_refuse,
        "tries": [
            {
                "peer": one.peer,
                "begun": milliseconds(one.begun),
                "queued": milliseconds(one.queued),
                "connect": milliseconds(one.connect),
                "waited": milliseconds(one.waited),
                "reused": one.reused,
                "status": one.status,
                "error": one.error,
            }
            for one in record.tries
        ],
    }
