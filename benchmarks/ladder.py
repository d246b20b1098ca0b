"""CPU time a request of every contender in every scenario, in rounds, as a ratio to bare nginx."""

import sys
from collections.abc import Sequence

from attrs import frozen

from benchmarks import targets
from benchmarks.bench import Bench, start_all
from benchmarks.burst import Burst, burst, missing
from benchmarks.contender import Contender, Running
from benchmarks.contenders import REFERENCE
from benchmarks.report import Section, Table
from benchmarks.scenarios import Scenario
from benchmarks.spread import Spread

ABOUT = """\
CPU time is user and system time of a contender's whole process tree. The ratio is to bare nginx in the same
round: the median of all rounds, and in brackets the least and the most. Requests a second say little where
the load, the upstream and the contender share their CPUs."""

WARM_UP = 1.0  # seconds in which connections, caches and compilers warm up


@frozen
class Round:
    """What each contender did in one round of one scenario, by its name."""

    bursts: dict[str, Burst]

    def ratio(self, name: str) -> float | None:
        """CPU a request to that of the reference; ``None`` when one of the two doesn't count."""
        own, reference = self.bursts[name], self.bursts.get(REFERENCE)
        if reference is None or own.problem or reference.problem:
            return None
        return own.cpu_per_request / reference.cpu_per_request


def measure(
    bench: Bench, contenders: Sequence[Contender], scenarios: Sequence[Scenario], rounds: int, seconds: float
) -> Section:
    """Drive every contender in every scenario ``rounds`` times for ``seconds`` each."""
    notes: list[str] = []
    started = start_all(bench, contenders, bench.upstream(), notes)
    http2 = {contender.name for contender in contenders if contender.http2}
    done: dict[Scenario, list[Round]] = {}
    for scenario in scenarios:
        if why := missing(scenario):
            notes.append(f"without {scenario.title}: {why}")
        else:
            done[scenario] = []
    # A round has all scenarios, so that those of a round may be compared, too.
    for number in range(rounds):
        for scenario, before in done.items():
            servers = {name: server for name, server in started.items() if not scenario.http2 or name in http2}
            if not before:
                for server in servers.values():
                    burst(bench, server, scenario, WARM_UP)
            before.append(_round(bench, servers, scenario, number, seconds))
    tables = [_table(scenario, found) for scenario, found in done.items()]
    costs: dict[tuple[str, str], Sequence[float]] = {}
    for scenario, found in done.items():
        costs |= {(scenario.name, name): _costs(name, found) for name in found[0].bursts}
        notes += _notes(scenario, found)
    tables.append(targets.table(costs, {scenario.name: scenario.title for scenario in done}))
    return Section("CPU time a request", ABOUT, tuple(table for table in tables if table.rows), notes)


def _round(bench: Bench, servers: dict[str, Running], scenario: Scenario, number: int, seconds: float) -> Round:
    """Each contender once; who begins changes from round to round."""
    names = list(servers)
    first = number % len(names)
    bursts = {}
    for name in names[first:] + names[:first]:
        done = bursts[name] = burst(bench, servers[name], scenario, seconds)
        cost = done.problem or f"{done.cpu_per_request * 1e6:.1f} us"
        print(f"{scenario.name} {number + 1}: {name}: {cost}", file=sys.stderr, flush=True)
    return Round(bursts)


def _table(scenario: Scenario, rounds: Sequence[Round]) -> Table:
    rows = sorted(_row(name, rounds) for name in rounds[0].bursts)
    header = ("contender", "CPU-us a request", f"to {REFERENCE}", "requests/s")
    return Table(f"{scenario.title} ({scenario.connections:,} connections)", header, tuple(cells for _, cells in rows))


def _costs(name: str, rounds: Sequence[Round]) -> Sequence[float]:
    """CPU seconds a request in each round; none at all when a round doesn't count."""
    bursts = [round_.bursts[name] for round_ in rounds]
    return [] if any(done.problem for done in bursts) else [done.cpu_per_request for done in bursts]


def _row(name: str, rounds: Sequence[Round]) -> tuple[float, tuple[str, ...]]:
    """The cells of a contender, with the cost that they are sorted by before them."""
    good = [round_.bursts[name] for round_ in rounds if not round_.bursts[name].problem]
    if len(good) < len(rounds):
        return float("inf"), (name, "invalid", "", "")
    cost = Spread.of(done.cpu_per_request * 1e6 for done in good)
    ratios = [ratio for round_ in rounds if (ratio := round_.ratio(name)) is not None]
    rate = Spread.of(done.requests / done.seconds for done in good)
    return cost.median, (
        name,
        f"{cost:.1f}",
        f"{Spread.of(ratios):.2f}" if ratios else "",
        f"{rate.median:,.0f}",
    )


def _notes(scenario: Scenario, rounds: Sequence[Round]) -> list[str]:
    return [
        f"{scenario.title}, round {number}: {name} is invalid: {done.problem}"
        for number, round_ in enumerate(rounds, 1)
        for name, done in round_.bursts.items()
        if done.problem
    ]
