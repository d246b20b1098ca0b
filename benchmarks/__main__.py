"""The command line: which measurement, of which contenders, how long, and where the results go."""

import argparse
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import (
    big,
    growth,
    idle,
    ladder,
    latency,
    machine,
    nginx,
    packages,
    profiling,
    report,
    scenarios,
    stall,
    wrk,
)
from benchmarks.bench import Bench, StartError, bench
from benchmarks.contender import Contender
from benchmarks.contenders import DIRECT, INTERPRETED, REFERENCE, table
from benchmarks.report import Section
from benchmarks.scenarios import Scenario

# Rounds and seconds of a burst that a measurement takes unless told otherwise: minutes in all, not hours.
ROUNDS = {"ladder": 5, "big": 3, "latency": 5, "growth": 5}
SECONDS = {"ladder": 3, "latency": 5, "stall": 5, "growth": 3, "profile": 10}
# The same for --quick: all of it in 15 minutes, with ranges that are wide.
QUICK_ROUNDS = {"ladder": 2, "big": 1, "latency": 2, "growth": 2}
QUICK_SECONDS = {"ladder": 0.5, "latency": 1, "stall": 1, "growth": 0.5, "profile": 3}
CONNECTIONS, QUICK_CONNECTIONS = 10_000, 1_000
KEYS, QUICK_KEYS = 1_000_000, 100_000
WITHOUT_WRK = ("big", "idle", "latency")
LIMIT, QUICK_LIMIT = 7200, 900
ALL = ("ladder", "big", "idle", "latency", "stall", "growth")
EPILOG = f"""\
ladder   CPU time a request in every scenario, to that of bare nginx
big      1 GiB down and up: CPU time, and memory while one end is slow
idle     memory of an idle connection
latency  what each contender adds to a direct request
stall    how long the gateway's event loop is away from its events
growth   CPU time a request where there are more routes, peers, connections, keys of limits
profile  where the gateway's time goes in one scenario
all      all but profile

scenarios: {", ".join(scenarios.TABLE)}
"""


def parser() -> argparse.ArgumentParser:
    """The arguments of ``python -m benchmarks``."""
    known = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what the gateway costs beside other proxies, on the loopback interface.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = known.add_argument
    add("what", nargs="?", default="ladder", choices=(*ALL, "profile", "all"), help="default: %(default)s")
    add("scenario", nargs="*", type=_scenario, help="of ladder, default all; of profile, default small")
    add("-c", "--contender", action="append", choices=tuple(table()), help="only this; repeat")
    add("--rounds", type=int, help=f"default: {_defaults(ROUNDS)}")
    add("--seconds", type=float, help=f"of one burst; default: {_defaults(SECONDS)}")
    add("--quick", action="store_true", help="little of each: all in 15 minutes")
    add("--connections", type=int, help=f"of idle; default: {CONNECTIONS}")
    add("--rate", type=float, default=500.0, help="of latency and stall, a second; default: %(default)s")
    add("--keys", type=int, help=f"most of limits, of growth; default: {KEYS}")
    add("--cpus", type=_cpus, default=frozenset(), help="as in 0 or 2,3: contenders here, the rest elsewhere")
    add("--limit", type=int, help=f"seconds after which all is ended; default: {LIMIT}, or {QUICK_LIMIT}")
    add("--install", action="store_true", help="first bring contenders that npm and pip have, into a cache")
    add("--markdown", type=Path, metavar="FILE", help="write the results into this file, too")
    return known


def _defaults(values: Mapping[str, float]) -> str:
    return ", ".join(f"{value} of {what}" for what, value in values.items())


def _scenario(name: str) -> Scenario:
    try:
        return scenarios.TABLE[name]
    except KeyError:
        raise argparse.ArgumentTypeError(f"no scenario {name}") from None


def _cpus(text: str) -> frozenset[int]:
    return frozenset(int(number) for number in text.split(","))


def chosen(names: Sequence[str] | None) -> list[Contender]:
    """
    The contenders that were asked for, or all, with the two that others are compared to.

    What can't run here is named on stderr and left out.
    """
    contenders = []
    for contender in table().values():
        if names and contender.name not in (*names, REFERENCE, DIRECT):
            continue
        if why := contender.missing():
            print(f"without {contender.name}: {why}", file=sys.stderr)
        else:
            contenders.append(contender)
    return contenders


def measurement(what: str, options: argparse.Namespace) -> Callable[[Bench, list[Contender]], Section]:
    """What a word on the command line does."""
    quick: bool = options.quick
    rounds: int = options.rounds or (QUICK_ROUNDS if quick else ROUNDS).get(what, 0)
    seconds: float = options.seconds or (QUICK_SECONDS if quick else SECONDS).get(what, 0)
    connections: int = options.connections or (QUICK_CONNECTIONS if quick else CONNECTIONS)
    keys: int = options.keys or (QUICK_KEYS if quick else KEYS)
    loads: list[Scenario] = options.scenario or list(scenarios.TABLE.values())
    profiled = options.contender[0] if options.contender else INTERPRETED
    return {
        "ladder": lambda on, contenders: ladder.measure(on, contenders, loads, rounds, seconds),
        "big": lambda on, contenders: big.measure(on, contenders, rounds),
        "idle": lambda on, contenders: idle.measure(on, contenders, connections),
        "latency": lambda on, contenders: latency.measure(on, contenders, options.rate, rounds, seconds),
        "stall": lambda on, contenders: stall.measure(on, contenders, options.rate, seconds),
        "growth": lambda on, _: growth.measure(on, rounds, seconds, keys),
        "profile": lambda on, _: profiling.measure(on, table()[profiled], loads[0], seconds),
    }[what]


def main() -> int:
    """Run it. Exit status: 0; 1 when something is missing, didn't start or didn't count."""
    options = parser().parse_args()
    if missing := nginx.missing() or ("" if options.what in WITHOUT_WRK else wrk.missing()):
        print(missing, file=sys.stderr)
        return 1
    if options.install:
        try:
            packages.install()
        except packages.InstallError as error:
            print(error, file=sys.stderr)
            return 1
    contenders = chosen(options.contender)
    signal.alarm(options.limit or (QUICK_LIMIT if options.quick else LIMIT))
    sections = []
    for what in ALL if options.what == "all" else (options.what,):
        try:
            with bench(options.cpus) as on:
                section = measurement(what, options)(on, contenders)
        except (StartError, profiling.ProfileError) as error:
            print(error, file=sys.stderr)
            return 1
        print(section.text(), flush=True)
        sections.append(section)
        if options.markdown:
            report.write_markdown(options.markdown, [section], machine.measured(contenders))
    return 1 if any(section.notes for section in sections) else 0


if __name__ == "__main__":
    sys.exit(main())
