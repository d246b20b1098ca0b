"""What an idle keep-alive connection keeps resident, after it made one request."""

import contextlib
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import procfs, wire
from benchmarks.bench import Bench, start_all
from benchmarks.certificate import pem
from benchmarks.contender import Contender, Running
from benchmarks.contenders import DIRECT
from benchmarks.report import Section, Table
from benchmarks.upstream import KIB, MIB, SMALL

ABOUT = """\
Growth of the resident memory of the process tree while the connections open, make one small request each, one
after the other, and stay; divided by their number. All were still open when it was read, and a sample of them
was then used once more. With TLS there are fewer of them, and the row of OpenSSL is what the library alone
keeps of a connection in memory, by pyOpenSSL and with released buffers.
Targets of the gateway: 60 MiB at rest, 12 KiB a connection, 24 KiB with TLS beyond OpenSSL's own."""

WARM_UP = 500  # requests over one connection before the first look at the memory
PER_ADDRESS = 5000  # connections from one loopback address, well within the kernel's range of ports
TLS_SHARE = 5  # with TLS a fifth of the connections: handshakes take their time
SAMPLE = 100  # connections used again at the end
OPENSSL_LIMIT = 300  # seconds
ROOT = Path(__file__).parents[1]
SETTLE = 1.0  # seconds before a look at the memory


def measure(bench: Bench, contenders: Sequence[Contender], connections: int) -> Section:
    """Open ``connections`` to each contender in turn, and fewer with TLS."""
    notes: list[str] = []
    service = bench.upstream()
    few = max(1, connections // TLS_SHARE)
    tables = (
        _table(bench, contenders, service, connections, False, notes),
        _table(bench, contenders, service, few, True, notes),
    )
    return Section("Idle connections", ABOUT, tables, notes)


def _table(
    bench: Bench, contenders: Sequence[Contender], service: Running, connections: int, tls: bool, notes: list[str]
) -> Table:
    rows = []
    for contender in contenders:
        if contender.name == DIRECT:
            continue
        for name, server in start_all(bench, [contender], service, notes).items():
            try:
                rows.append(_row(name, server, connections, tls))
            except (OSError, wire.AnswerError) as error:
                notes.append(f"{name}{' with TLS' if tls else ''} is invalid: {error}")
            bench.children.end(server.pid)
            print(f"idle: {name}{' with TLS' if tls else ''} done", file=sys.stderr, flush=True)
    if tls:
        rows.append(("OpenSSL alone", f"{_openssl(bench, connections) / KIB:.1f}", "", ""))
    header = ("contender", "KiB a connection", "at rest, MiB", f"with {connections:,}, MiB")
    return Table("With TLS" if tls else "Without TLS", header, tuple(rows))


def _openssl(bench: Bench, connections: int) -> float:
    """Bytes of a connection that OpenSSL keeps, measured in a fresh process."""
    certificate = bench.new_directory("openssl") / "bench.pem"
    certificate.write_text(pem())
    argv = [sys.executable, "-m", "benchmarks.openssl", str(certificate), str(connections)]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=OPENSSL_LIMIT, check=True, cwd=ROOT)
    return float(ran.stdout)


def _row(name: str, server: Running, connections: int, tls: bool) -> tuple[str, ...]:
    request = wire.request("GET", SMALL, server.headers)
    port = server.tls_port if tls else server.port
    with contextlib.ExitStack() as stack:
        warm = stack.enter_context(wire.connect(port, tls=tls))
        for _ in range(WARM_UP):
            wire.exchange(warm, request)
        before = _resident(server)
        opened = []
        for number in range(connections):
            source = f"127.0.0.{1 + number // PER_ADDRESS}"
            opened.append(stack.enter_context(wire.connect(port, source, tls)))
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
