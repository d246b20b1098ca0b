"""What an idle keep-alive connection keeps resident, after it made one request."""

import contextlib
import select
import socket
import sys
import time
from collections.abc import Sequence

from benchmarks import procfs, wire
from benchmarks.bench import Bench, start_all
from benchmarks.contender import Contender, Running
from benchmarks.contenders import DIRECT
from benchmarks.report import Section, Table
from benchmarks.upstream import KIB, MIB, SMALL

ABOUT = """\
Growth of the resident memory of the process tree while the connections open, make one small request each, one
after the other, and stay; divided by their number. All were still open when it was read, and a sample of them
was then used once more. Target of the gateway: at most 12 KiB."""

WARM_UP = 500  # requests over one connection before the first look at the memory
PER_ADDRESS = 5000  # connections from one loopback address, well within the kernel's range of ports
SAMPLE = 100  # connections used again at the end
SETTLE = 1.0  # seconds before a look at the memory


def measure(bench: Bench, contenders: Sequence[Contender], connections: int) -> Section:
    """Open ``connections`` to each contender in turn."""
    notes: list[str] = []
    service = bench.upstream()
    rows = []
    for contender in contenders:
        if contender.name == DIRECT:
            continue
        for name, server in start_all(bench, [contender], service, notes).items():
            try:
                rows.append(_row(name, server, connections))
            except (OSError, wire.AnswerError) as error:
                notes.append(f"{name} is invalid: {error}")
            print(f"idle: {name} done", file=sys.stderr, flush=True)
    header = ("contender", "KiB a connection", "at rest, MiB", f"with {connections:,}, MiB")
    return Section("Idle connections", ABOUT, (Table("", header, tuple(rows)),), notes)


def _row(name: str, server: Running, connections: int) -> tuple[str, ...]:
    request = wire.request("GET", SMALL, server.headers)
    with contextlib.ExitStack() as stack:
        warm = stack.enter_context(wire.connect(server.port))
        for _ in range(WARM_UP):
            wire.exchange(warm, request)
        before = _resident(server)
        opened = []
        for number in range(connections):
            source = f"127.0.0.{1 + number // PER_ADDRESS}"
            opened.append(stack.enter_context(wire.connect(server.port, source)))
            wire.exchange(opened[-1], request)
        after = _resident(server)
        if closed := _closed(opened):
            raise wire.AnswerError(f"{closed} connections were closed meanwhile")
        for connection in opened[:: max(1, connections // SAMPLE)]:
            wire.exchange(connection, request)
    each = (after - before) / connections / KIB
    return name, f"{each:.1f}", f"{before / MIB:.1f}", f"{after / MIB:.1f}"


def _resident(server: Running) -> int:
    time.sleep(SETTLE)
    return procfs.resident_bytes(procfs.tree(server.pid))


def _closed(connections: Sequence[socket.socket]) -> int:
    """How many of idle ``connections`` have something to read, which is their end."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return len(poll.poll(0))
