"""One gigabyte down and up through each: CPU seconds to nginx's, and memory while one end is slow."""

import contextlib
import math
import socket
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks import bulk, procfs
from benchmarks.bench import Bench, start_all
from benchmarks.contender import Contender, Running
from benchmarks.contenders import REFERENCE
from benchmarks.memory import MemoryWatch
from benchmarks.report import Section, Table
from benchmarks.spread import Spread
from benchmarks.upstream import BIG, GIB, KIB, MIB
from benchmarks.wire import AnswerError

ABOUT = """\
First 1 GiB through a fresh contender with one slow end: the client (down) or the service (up) reads 8 MiB
at about 10 MiB/s, then nothing until the contender has stopped growing, then the rest at once. Growth is the
most that the contender's resident memory grew by in that time. Then 1 GiB as fast as it goes: CPU seconds of
the process tree, and the ratio to bare nginx in the same round. Targets of the gateway: at most 4 times
nginx's CPU, less than 10 MiB of growth."""

SLOW_PART, SLOW_PIECE, SLOW_PAUSE = 8 * MIB, 64 * KIB, 0.006  # the slow part takes about 0.8 s
QUIET, STALL = 1.0, 10.0  # seconds without growth that end the stall, and its limit


Send = Callable[[Running, bulk.Pace], None]


def measure(bench: Bench, contenders: Sequence[Contender], rounds: int) -> Section:
    """Send a gigabyte each way through each contender, once slowly, then ``rounds`` times at once."""
    streaming = [contender for contender in contenders if contender.streams]
    notes: list[str] = []
    with contextlib.closing(bulk.Sink()) as sink:

        def down(server: Running, pace: bulk.Pace) -> None:
            bulk.download(server, BIG, pace)

        def up(server: Running, pace: bulk.Pace) -> None:
            sink.pace = pace
            bulk.upload(server, GIB)

        tables = (
            _table("1 GiB down", start_all(bench, streaming, bench.upstream(), notes), down, rounds, notes),
            _table("1 GiB up", start_all(bench, streaming, sink.running, notes), up, rounds, notes),
        )
    return Section("Big bodies", ABOUT, tables, notes)


def _table(title: str, servers: dict[str, Running], send: Send, rounds: int, notes: list[str]) -> Table:
    growth = {name: _growth(name, server, send, notes) for name, server in servers.items()}
    done = [{name: _cpu(name, server, send, notes) for name, server in servers.items()} for _ in range(rounds)]
    rows = []
    for name in servers:
        costs = [costs[name] for costs in done]
        ratios = [costs[name] / costs[REFERENCE] for costs in done if REFERENCE in costs]
        rows.append((name, _spread(costs), _spread(ratios), growth[name]))
    return Table(title, ("contender", "CPU-s", f"to {REFERENCE}", "growth, MiB"), tuple(rows))


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    return "invalid" if any(map(math.isnan, values)) else f"{Spread.of(values):.2f}"


def _cpu(name: str, server: Running, send: Send, notes: list[str]) -> float:
    """CPU seconds for one gigabyte; not a number, with a note, when it didn't all come through."""
    before = procfs.cpu_seconds(server.pid)
    try:
        send(server, bulk.at_once)
    except (OSError, AnswerError) as error:
        notes.append(f"{name} is invalid: {error}")
        return math.nan
    used = procfs.cpu_seconds(server.pid) - before
    print(f"big: {name}: {used:.2f} s", file=sys.stderr, flush=True)
    return used


def _growth(name: str, server: Running, send: Send, notes: list[str]) -> str:
    """The growth in MiB while one end is slow, as text."""
    with MemoryWatch(server.pid) as watch:

        def slow(connection: socket.socket) -> int:
            taken = 0
            while taken < SLOW_PART:
                piece = connection.recv(SLOW_PIECE)
                if not piece:
                    raise AnswerError("the body ended in its slow part")
                taken += len(piece)
                time.sleep(SLOW_PAUSE)
            watch.wait_until_still(QUIET, STALL)
            return taken

        try:
            send(server, slow)
        except (OSError, AnswerError) as error:
            notes.append(f"{name} with a slow end is invalid: {error}")
            return "invalid"
    return f"{watch.growth / MIB:.1f}"
