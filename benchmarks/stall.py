"""How long the gateway's event loop is away from its events under load: the longest turns."""

import sys
import time
from collections.abc import Callable, Sequence

from attrs import frozen

from benchmarks import paced, turns
from benchmarks.bench import Bench
from benchmarks.burst import burst
from benchmarks.contender import Contender, Place, Running
from benchmarks.gateways import START
from benchmarks.report import Section, Table
from benchmarks.scenarios import TABLE
from benchmarks.turns import Turn

MOST = 0.020  # seconds, the target
WARM_UP = 1.0  # seconds

ABOUT = f"""\
A turn of the event loop begins when the wait for events ends, and ends with the next wait: what comes meanwhile
isn't seen. The longest one counts, and how much of it was CPU time of the gateway: the rest of it other programs
had the CPU. Target of the gateway: no turn of more than {MOST * 1000:g} ms of its own doing."""

WATCHED = ("gateway", "gateway-full")


@frozen
class Load:
    """What is done to a server, for so many seconds."""

    title: str
    send: Callable[[Bench, Running, float], str]


def measure(bench: Bench, contenders: Sequence[Contender], rate: float, seconds: float) -> Section:
    """Put each of the loads for ``seconds`` on the gateway, bare and with everything on."""
    notes: list[str] = []
    rows = []
    service = bench.upstream()
    for name in set(WATCHED) & {contender.name for contender in contenders}:
        rows += _rows(bench, name, service, _loads(rate), seconds, notes)
    header = ("contender and load", "longest, ms", "its CPU, ms", "most CPU, ms", f"over {MOST * 1000:g} ms")
    return Section("Stalls of the event loop", ABOUT, (Table("", header, tuple(sorted(rows))),), notes)


def _loads(rate: float) -> list[Load]:
    def steady(bench: Bench, server: Running, seconds: float) -> str:
        paced.latencies(server, rate, int(rate * seconds))
        return ""

    def scenario(name: str) -> Callable[[Bench, Running, float], str]:
        return lambda bench, server, seconds: burst(bench, server, TABLE[name], seconds).problem

    return [
        Load(f"{rate:g} requests a second", steady),
        *(Load(TABLE[name].title, scenario(name)) for name in ("small", "post", "upload", "connect", "thousand")),
    ]


def _rows(
    bench: Bench, name: str, service: Running, loads: Sequence[Load], seconds: float, notes: list[str]
) -> list[tuple[str, ...]]:
    kept = bench.new_directory("turns") / "turns.json"

    def start(place: Place) -> Running:
        return START[name](place, service, program=(sys.executable, "-m", "benchmarks.turns", str(kept)))

    server = bench.launch(name, start, bench.cpus)
    burst(bench, server, TABLE["small"], WARM_UP)
    spans = []
    for load in loads:
        begun = time.monotonic()
        if problem := load.send(bench, server, seconds):
            notes.append(f"{name}, {load.title}: {problem}")
        spans.append((begun, time.monotonic()))
        print(f"stall: {name}: {load.title} done", file=sys.stderr, flush=True)
    bench.children.end(server.pid)  # it writes the turns as it stops
    noted = turns.read(kept)
    return [
        (f"{name}: {load.title}", *_cells([turn for turn in noted if begun <= turn.begun < ended]))
        for load, (begun, ended) in zip(loads, spans, strict=True)
    ]


def _cells(found: Sequence[Turn]) -> tuple[str, ...]:
    if not found:
        return (f"under {turns.NOTED * 1000:g}", "", "", "0")
    longest = max(found, key=lambda turn: turn.seconds)
    own = max(turn.cpu for turn in found)
    late = sum(turn.cpu > MOST for turn in found)
    return (f"{longest.seconds * 1000:.1f}", f"{longest.cpu * 1000:.1f}", f"{own * 1000:.1f}", str(late))
