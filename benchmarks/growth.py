"""Whether a request costs more where there is more of something: routes, peers, connections, keys of limits."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from attrs import frozen

from benchmarks import chart, nginx, procfs, upstream, wire
from benchmarks.bench import Bench
from benchmarks.burst import Burst, burst
from benchmarks.contender import HOST, Place, Running
from benchmarks.contenders import GATEWAY, REFERENCE, gateway, table
from benchmarks.report import Picture, Section, Table
from benchmarks.scenarios import SHORTEST, Scenario
from benchmarks.spread import Spread
from benchmarks.upstream import MIB, SMALL, VARIED

ABOUT = """\
CPU time a request of the gateway without policies, but for the one that is asked about. Each size has a gateway of
its own, started before the first round; each round drives all of them in turn, and bare nginx. Upright lines are the
least and the most of the rounds. What recurs, as a field does where there are few keys, the gateway reads once.
Resident memory is that after the last round. Target of the gateway: flat."""

WARM_UP = 2.0  # seconds, in which each peer gets a connection
FILL = 5.0  # seconds of one burst that fills in keys
PER_ADDRESS = 5000  # idle connections from one loopback address

# Requests go to all routes or keys, and no two have the same head, whatever the number of those.
ROUTES = """\
local count = 0
request = function()
    count = count + 1
    return wrk.format(nil, string.format("{path}/r%d/items?n=%d", count * 7919 % {size}, count))
end
"""
KEYS = """\
local count = {first}
request = function()
    count = count + 1
    return wrk.format(nil, string.format("{path}?n=%d", count), {{["X-Key"] = string.format("key-%d", {key})}})
end
"""

CONFIG = """\
[gateway]
access_log = off
keepalive_timeout = 10m
[listener:bench]
endpoint = tcp:{port}:interface={host}:backlog=4096
[service:bench]
urls = {urls}
max_connections = 2048
keepalive.idle = 10m
{more}
"""
ROUTE = """\
[route:{name}]
path = {path}
service = bench
"""


@frozen
class Curve:
    """
    One question: sizes, how a gateway of a size is started, what is then done to it, and the load on it.

    ``across`` is the label of the sizes. ``prepare`` is a context in which the gateway is as it is to be measured.
    """

    name: str
    across: str
    sizes: tuple[int, ...]
    start: Callable[[Place, int], Running]
    load: Callable[[int], Scenario]
    prepare: Callable[[Running, int], "contextlib.AbstractContextManager[None]"]


def measure(bench: Bench, rounds: int, seconds: float, most_keys: int) -> Section:
    """Draw each curve in ``rounds`` of bursts of ``seconds``, with up to ``most_keys`` keys of limits."""
    notes: list[str] = []
    service = bench.upstream()
    peers = bench.launch("peers", _listen_for_peers, frozenset())
    curves = (_routes(service), _peers(peers), _connections(service), _keys(bench, service, most_keys))
    return Section(
        "Growth", ABOUT, tuple(_curve(bench, service, each, rounds, seconds, notes) for each in curves), notes
    )


def _curve(bench: Bench, service: Running, curve: Curve, rounds: int, seconds: float, notes: list[str]) -> Table:
    reference = bench.contender(table()[REFERENCE], service)
    with contextlib.ExitStack() as stack:
        servers = {}
        for size in curve.sizes:
            servers[size] = bench.launch(f"{curve.name}-{size}", _starting(curve, size), bench.cpus)
            stack.enter_context(curve.prepare(servers[size], size))
            burst(bench, servers[size], curve.load(size), WARM_UP)
            print(f"growth: {curve.name}: {size:,} ready", file=sys.stderr, flush=True)
        costs: dict[int, list[Burst]] = {size: [] for size in curve.sizes}
        plain: list[Burst] = []
        for number in range(rounds):
            turn = number % len(curve.sizes)
            plain.append(burst(bench, reference, Scenario("small", "", SMALL, 32, SHORTEST), seconds))
            for size in curve.sizes[turn:] + curve.sizes[:turn]:
                costs[size].append(burst(bench, servers[size], curve.load(size), seconds))
        resident = {size: procfs.resident_bytes(procfs.tree(server.pid)) for size, server in servers.items()}
    for server in (*servers.values(), reference):
        bench.children.end(server.pid)
    print(f"growth: {curve.name} done", file=sys.stderr, flush=True)
    return _table(curve, costs, plain, resident, notes)


def _starting(curve: Curve, size: int) -> Callable[[Place], Running]:
    return lambda place: curve.start(place, size)


def _table(
    curve: Curve, costs: dict[int, list[Burst]], plain: list[Burst], resident: dict[int, int], notes: list[str]
) -> Table:
    rows, points = [], []
    for size, bursts in costs.items():
        problems = {done.problem for done in (*bursts, *plain)} - {""}
        if problems:
            notes.append(f"{curve.across}, {size:,}: invalid: {'; '.join(sorted(problems))}")
            rows.append((f"{size:,}", "invalid", "", "", ""))
            continue
        cost = Spread.of(done.cpu_per_request * 1e6 for done in bursts)
        points.append((float(size), cost))
        first = points[0][1].median
        ratio = Spread.of(done.cpu_per_request / base.cpu_per_request for done, base in zip(bursts, plain, strict=True))
        memory = f"{resident[size] / MIB:.0f}"
        rows.append((f"{size:,}", f"{cost:.1f}", f"{cost.median / first:.2f}", f"{ratio:.2f}", memory))
    picture = None
    if points and all(not done.problem for done in plain):
        base = Spread.of(done.cpu_per_request * 1e6 for done in plain)
        lines = (chart.Series(GATEWAY, points), chart.Series("bare nginx", [(x, base) for x, _ in points]))
        drawn = chart.svg(f"CPU time a request over {curve.across}", curve.across, "CPU-us a request", lines)
        picture = Picture(f"growth-{curve.name}.svg", drawn)
    header = (curve.across, "CPU-us a request", "to the first", f"to {REFERENCE}", "resident, MiB")
    return Table(f"Over {curve.across}", header, tuple(rows), picture)


def _start(place: Place, urls: str, routes: str, more: str = "") -> Running:
    config = CONFIG.format(host=HOST, port=place.port, urls=urls, more=more)
    return gateway.twistd(place, config + routes)


def _url(service: Running) -> str:
    return f"http://{HOST}:{service.port}"


@contextlib.contextmanager
def _nothing(server: Running, size: int) -> Iterator[None]:
    yield


def _routes(service: Running) -> Curve:
    def start(place: Place, size: int) -> Running:
        # The small answer is for who asks whether the gateway is up.
        paths = [SMALL, *(f"{VARIED}/r{number}/{{id}}" for number in range(size))]
        routes = "".join(ROUTE.format(name=f"r{number}", path=path) for number, path in enumerate(paths))
        return _start(place, _url(service), routes)

    def load(size: int) -> Scenario:
        return Scenario("routes", "", VARIED, 32, SHORTEST, lua=ROUTES.format(path=VARIED, size=size))

    return Curve("routes", "routes", (10, 100, 1_000, 10_000), start, load, _nothing)


def _peer(number: int) -> str:
    """The address of a peer: one of the loopback network."""
    return f"127.0.{1 + number // 250}.{1 + number % 250}"


PEERS = (10, 100, 1_000)


def _listen_for_peers(place: Place) -> Running:
    listens = "".join(f"listen {_peer(number)}:{place.port};\n" for number in range(PEERS[-1]))
    body = upstream.small_body()
    server = f"server {{ listen {HOST}:{place.port}; {listens} default_type application/json; return 200 '{body}'; }}"
    return nginx.start(place, server)


def _peers(peers: Running) -> Curve:
    def start(place: Place, size: int) -> Running:
        urls = ", ".join(f"http://{_peer(number)}:{peers.port}" for number in range(size))
        return _start(place, urls, ROUTE.format(name="bench", path="/"))

    return Curve("peers", "peers", PEERS, start, lambda size: Scenario("small", "", SMALL, 32, SHORTEST), _nothing)


def _connections(service: Running) -> Curve:
    def start(place: Place, size: int) -> Running:
        return _start(place, _url(service), ROUTE.format(name="bench", path="/"))

    @contextlib.contextmanager
    def prepare(server: Running, size: int) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for number in range(size):
                source = f"127.0.0.{1 + number // PER_ADDRESS}"
                connection = stack.enter_context(wire.connect(server.port, source))
                wire.exchange(connection, wire.request("GET", SMALL, ()))
            yield

    def load(size: int) -> Scenario:
        return Scenario("small", "", SMALL, 32, SHORTEST)

    return Curve("connections", "idle connections", (10, 100, 1_000, 10_000), start, load, prepare)


def _keys(bench: Bench, service: Running, most: int) -> Curve:
    def start(place: Place, size: int) -> Running:
        # One request is worth an hour of a key, so that all of them are remembered.
        route = ROUTE.format(name="bench", path="/") + "limit.by = header:X-Key 24/d burst 1000000\n"
        return _start(place, _url(service), route, f"[limits]\nip = off\nuser = off\nkeys = {2 * most}")

    def load(size: int) -> Scenario:
        script = KEYS.format(path=SMALL, first=0, key=f"count * 7919 % {size}")
        return Scenario("keys", "", SMALL, 32, SHORTEST, lua=script)

    @contextlib.contextmanager
    def prepare(server: Running, size: int) -> Iterator[None]:
        filled = 0
        while filled < size > 1:
            script = KEYS.format(path=SMALL, first=filled, key=f"count % {size}")
            done = burst(bench, server, Scenario("fill", "", SMALL, 32, SHORTEST, lua=script), FILL)
            if not done.requests:
                break  # the rounds will say what is wrong
            filled += done.requests
        yield

    sizes = tuple(size for size in (1, 1_000, 100_000, 1_000_000) if size <= most)
    return Curve("keys", "keys of limits", sizes, start, load, prepare)
