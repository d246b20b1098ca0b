"""CPU time a request of every contender in every scenario, in rounds, as a ratio to bare nginx."""

import sys
from collections.abc import Sequence

from attrs import frozen

from benchmarks import wrk
from benchmarks.bench import Bench, start_all
from benchmarks.contender import Contender, Running
from benchmarks.contenders import REFERENCE
from benchmarks.report import Section, Table
from benchmarks.scenarios import Scenario
from benchmarks.spread import Spread
from benchmarks.wrk import Burst

ABOUT = """\
CPU time is user and system time of a contender's whole process tree. The ratio is to bare nginx in the same
round: the median of all rounds, and in brackets the least and the most. Requests a second say little where
the load, the upstream and the contender share their CPUs."""


@frozen
class Round:
    """What each contender did in one round of one scenario, by its name."""

    bursts: dict[str, Burst]

    def ratio(self, name: str) -> float | None:
        """CPU a request to that of the reference; ``None`` when one of the two doesn't count."""
        burst, reference = self.bursts[name], self.bursts.get(REFERENCE)
        if reference is None or burst.problem or reference.problem:
            return None
        return burst.cpu_per_request / reference.cpu_per_request


def measure(
    bench: Bench, contenders: Sequence[Contender], scenarios: Sequence[Scenario], rounds: int, seconds: int
) -> Section:
    """Drive every contender in every scenario ``rounds`` times for ``seconds`` each."""
    notes: list[str] = []
    servers = start_all(bench, contenders, bench.upstream(), notes)
    tables = []
    for scenario in scenarios:
        for server in servers.values():
            wrk.burst(bench, server, scenario, 1)  # connections, caches and compilers warm up
        done = [_round(bench, servers, scenario, number, seconds) for number in range(rounds)]
        tables.append(_table(scenario, done))
        notes += _notes(scenario, done)
    return Section("CPU time a request", ABOUT, tuple(tables), notes)


def _round(bench: Bench, servers: dict[str, Running], scenario: Scenario, number: int, seconds: int) -> Round:
    """Each contender once; who begins changes from round to round."""
    names = list(servers)
    first = number % len(names)
    bursts = {}
    for name in names[first:] + names[:first]:
        burst = bursts[name] = wrk.burst(bench, servers[name], scenario, seconds)
        cost = burst.problem or f"{burst.cpu_per_request * 1e6:.1f} us"
        print(f"{scenario.name} {number + 1}: {name}: {cost}", file=sys.stderr, flush=True)
    return Round(bursts)


def _table(scenario: Scenario, rounds: Sequence[Round]) -> Table:
    rows = sorted(_row(name, rounds) for name in rounds[0].bursts)
    header = ("contender", "CPU-us a request", f"to {REFERENCE}", "requests/s")
    return Table(f"{scenario.title} ({scenario.connections} connections)", header, tuple(cells for _, cells in rows))


def _row(name: str, rounds: Sequence[Round]) -> tuple[float, tuple[str, ...]]:
    """The cells of a contender, with the cost that they are sorted by before them."""
    good = [round_.bursts[name] for round_ in rounds if not round_.bursts[name].problem]
    if len(good) < len(rounds):
        return float("inf"), (name, "invalid", "", "")
    cost = Spread.of(burst.cpu_per_request * 1e6 for burst in good)
    ratios = [ratio for round_ in rounds if (ratio := round_.ratio(name)) is not None]
    rate = Spread.of(burst.requests / burst.seconds for burst in good)
    return cost.median, (
        name,
        f"{cost:.1f}",
        f"{Spread.of(ratios):.2f}" if ratios else "",
        f"{rate.median:,.0f}",
    )


def _notes(scenario: Scenario, rounds: Sequence[Round]) -> list[str]:
    return [
        f"{scenario.title}, round {number}: {name} is invalid: {burst.problem}"
        for number, round_ in enumerate(rounds, 1)
        for name, burst in round_.bursts.items()
        if burst.problem
    ]
