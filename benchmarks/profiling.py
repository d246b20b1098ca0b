"""Where a contender's CPU time goes under load: py-spy where it is installed, else cProfile."""

import functools
import marshal
import math
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks import h2load, wrk
from benchmarks.bench import Bench
from benchmarks.burst import burst
from benchmarks.contender import Contender
from benchmarks.contenders import gateway
from benchmarks.gateways import START
from benchmarks.report import Section, Table
from benchmarks.scenarios import Scenario

TOP = 40  # functions shown
RATE = 500  # samples a second
SLACK = 30  # seconds that py-spy may take beyond its duration

ABOUT = "Own is time in the function itself, total is with what it called, in percent of all."


class ProfileError(Exception):
    """The profiler found nothing; the message is what it said."""


def measure(bench: Bench, contender: Contender, scenario: Scenario, seconds: float) -> Section:
    """
    Profile ``contender`` for ``seconds`` of ``scenario``; without py-spy it can only be a gateway.

    :raises ProfileError: nothing was found.
    """
    if missing := contender.missing():
        raise ProfileError(missing)
    program = _py_spy()
    if program:
        profiler, found = "py-spy", _sampled(bench, contender, scenario, seconds, program)
    else:
        profiler, found = "cProfile", _traced(bench, contender, scenario, seconds)
    rows = [(name, f"{own:.1f}", f"{total:.1f}") for name, own, total in found]
    rows.sort(key=lambda row: -float(row[1]))
    table = Table("", ("function", "own, %", "total, %"), tuple(rows[:TOP]))
    return Section(f"Profile by {profiler}: {contender.name}, {scenario.title}", ABOUT, (table,))


Found = Iterable[tuple[str, float, float]]
"""Functions with their own and their total time in percent."""


def _py_spy() -> str | None:
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def _sampled(bench: Bench, contender: Contender, scenario: Scenario, seconds: float, program: str) -> Found:
    server = bench.contender(contender, bench.upstream())
    burst(bench, server, scenario, 1)
    directory = bench.new_directory("profile")
    stacks = directory / "stacks"
    argv = [program, "record", "--pid", str(server.pid), "--duration", str(math.ceil(seconds)), "--rate", str(RATE)]
    argv += ["--format", "raw", "--function", "--subprocesses", "--output", str(stacks)]
    tool = h2load if scenario.http2 else wrk
    load = tool.command(bench.new_directory("load"), server, scenario, seconds + SLACK)
    loading = bench.children.spawn(load, log=directory / "load.log")
    sampling = bench.children.spawn(argv, log=directory / "output.log")
    bench.children.wait(sampling, seconds + SLACK)
    bench.children.end(loading)
    if not stacks.exists() or not stacks.stat().st_size:
        raise ProfileError((directory / "output.log").read_text())
    return _folded(stacks.read_text())


def _folded(text: str) -> Found:
    """Own and total percent from lines of ``frame;frame;frame count``, the innermost frame last."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        own[frames[-1]] += int(count)
        for frame in set(frames):
            total[frame] += int(count)
    every = own.total()
    return [(name, 100 * own[name] / every, 100 * total[name] / every) for name in total]


def _traced(bench: Bench, contender: Contender, scenario: Scenario, seconds: float) -> Found:
    if contender.name not in START:
        raise ProfileError(f"without py-spy there is no profile of {contender.name}: pip install py-spy")
    stats = bench.new_directory("profile") / "stats"
    program = (*gateway.TWISTD, f"--profile={stats}", "--profiler=cprofile", "--savestats")
    start = functools.partial(START[contender.name], upstream=bench.upstream(), program=program)
    server = bench.launch(contender.name, start, bench.cpus)
    burst(bench, server, scenario, seconds)
    bench.children.end(server.pid)  # twistd writes the statistics as it stops
    if not stats.exists():
        raise ProfileError("twistd wrote no statistics")
    functions = marshal.loads(stats.read_bytes())
    every = sum(own for _, _, own, _, _ in functions.values())
    return [
        (f"{name} ({Path(file).name}:{line})", 100 * own / every, 100 * total / every)
        for (file, line, name), (_, _, own, total, _) in functions.items()
    ]
