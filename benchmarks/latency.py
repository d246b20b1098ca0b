"""Time to an answer at a steady rate, and how much of it each contender adds to a direct request."""

import sys
from collections.abc import Sequence

from attrs import frozen

from benchmarks import paced, wire
from benchmarks.bench import Bench, start_all
from benchmarks.contender import Contender, Running
from benchmarks.contenders import DIRECT
from benchmarks.report import Section, Table
from benchmarks.spread import Spread, percentile

WARM_UP = 1  # seconds

ABOUT = f"""\
Small GETs at a steady rate over {paced.CONNECTIONS} kept connections. Each request has a time at which it is
due, which doesn't depend on answers, and its latency counts from then: a contender that stalls makes all that
fall due meanwhile late. Added is the difference to the direct requests of the same round; in brackets the
least and the most of the rounds.
Targets of the gateway at 500 requests a second: 0.4 ms added at p50, 2 ms at p99."""


@frozen
class Latencies:
    """Milliseconds of one round."""

    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latencies":
        ordered = sorted(second * 1000 for second in seconds)
        return cls(percentile(ordered, 0.5), percentile(ordered, 0.99), ordered[-1])


def measure(bench: Bench, contenders: Sequence[Contender], rate: float, rounds: int, seconds: float) -> Section:
    """Ask each contender, one of them direct, at ``rate`` requests a second, ``rounds`` times ``seconds``."""
    notes: list[str] = []
    servers = start_all(bench, contenders, bench.upstream(), notes)
    for name, server in list(servers.items()):
        if _round(name, server, rate, WARM_UP, notes) is None:
            del servers[name]
    done = [
        {name: _round(name, server, rate, seconds, notes) for name, server in servers.items()} for _ in range(rounds)
    ]
    rows = [_row(name, [(round_[name], round_[DIRECT]) for round_ in done]) for name in servers]
    header = ("contender", "p50, ms", "added p50, ms", "p99, ms", "added p99, ms", "worst, ms")
    return Section(f"Latency at {rate:g} requests a second", ABOUT, (Table("", header, tuple(rows)),), notes)


def _round(name: str, server: Running, rate: float, seconds: float, notes: list[str]) -> Latencies | None:
    try:
        found = Latencies.of(paced.latencies(server, rate, int(rate * seconds)))
    except (OSError, wire.AnswerError) as error:
        notes.append(f"{name} is invalid: {error}")
        return None
    print(f"latency: {name}: p50 {found.p50:.2f} ms, p99 {found.p99:.2f} ms", file=sys.stderr, flush=True)
    return found


def _row(name: str, rounds: Sequence[tuple[Latencies | None, Latencies | None]]) -> tuple[str, ...]:
    """The cells of one contender from its rounds, each with the direct one of the same round."""
    pairs = [(own, direct) for own, direct in rounds if own is not None and direct is not None]
    if len(pairs) < len(rounds):
        return (name, "invalid", "", "", "", "")
    return (
        name,
        f"{Spread.of(own.p50 for own, _ in pairs).median:.2f}",
        f"{Spread.of(own.p50 - direct.p50 for own, direct in pairs):.2f}",
        f"{Spread.of(own.p99 for own, _ in pairs).median:.2f}",
        f"{Spread.of(own.p99 - direct.p99 for own, direct in pairs):.2f}",
        f"{max(own.most for own, _ in pairs):.1f}",
    )
