"""The scene of a fault: a gateway, services and steady load as processes, and what is seen of them meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import define, frozen

from benchmarks import procfs, turns
from benchmarks.children import Children
from benchmarks.contender import free_port
from benchmarks.faults.load import CUT, LATE, REFUSED, WRONG
from benchmarks.faults.peer import MODE

ROOT = Path(__file__).parents[2]
TWISTD = str(Path(sys.executable).with_name("twistd"))

STARTS_WITHIN = 30.0  # seconds
NORMAL_WITHIN = 20.0
RELOADS_WITHIN = 120.0
STOPS_WITHIN = 10.0
CALM = 0.7  # seconds of load before a fault and after its end
SETTLES_WITHIN = 5.0  # for descriptors to come back
SPARE_FILES = 5  # more open at the end than before, when there is no load
GROWTH = 64 << 20  # bytes of memory that are kept after a fault at most

HEALTHY = "/healthy"
TURNS = "turns.json"
WORDS = {REFUSED: "refused", CUT: "cut", LATE: "late", WRONG: "wrong"}

_LISTENS = re.compile(r"\[(?:listener:)?([^]]+)\] IPv4Address\(.*port=([0-9]+)\)")
_TROUBLE = re.compile(r"Traceback|Unhandled|#critical|MemoryError")

INI = """\
[gateway]
workers = {workers}
access_log = {log}
drain_timeout = 3s
header_timeout = 1s
body_idle_timeout = 1s
write_idle_timeout = 1s
{gateway}
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
{listener}
[admin]
endpoint = tcp:0:interface=127.0.0.1
[limits]
ip = off
{limits}
[service:healthy]
urls = http://127.0.0.1:{healthy}
keepalive.idle = 1s
[route:healthy]
path = /healthy
service = healthy
{route}
{more}
"""


class SceneError(Exception):
    """Something that the scene needs didn't come about."""


@frozen
class Row:
    """
    What a fault did.

    :ivar sent: requests that a healthy peer could have served; ``lost`` of them weren't.
    :ivar again: of those, sent once more after a connection that was in use ended.
    :ivar p99: seconds, of the requests for healthy routes, while the fault lasted.
    :ivar files: descriptors of the gateway's processes before and after; ``memory`` is their resident bytes.
    :ivar turn: seconds of CPU time of the longest turn of the gateway's event loop meanwhile; not a number if nobody
        could say in the end.
    :ivar normal: seconds from the fault's end until all was as before; not a number if nothing had to become normal.
    :ivar problems: what shouldn't have been; empty when all went well.
    """

    name: str
    done: str
    sent: int
    lost: int
    again: int
    p99: float
    turn: float
    files: tuple[int, int]
    memory: tuple[int, int]
    normal: float
    seen: tuple[str, ...]
    problems: tuple[str, ...]


def until(holds: Callable[[], object], seconds: float, what: str) -> float:
    """Ask again until it is so. :return: seconds. :raises SceneError: it isn't in time; with ``what`` it was."""
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > seconds:
            raise SceneError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)
    return time.monotonic() - begun


def get(
    port: int,
    path: str,
    timeout: float = 10.0,
    method: str = "GET",
    host: str = "gw",
    bearer: str = "",
    address: str = "127.0.0.1",
) -> tuple[int, bytes]:
    """One request on a connection of its own. :return: status, and body; ``CUT`` and nothing if there is no answer."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request(method, path, headers={"Host": host} | _bearer(bearer))
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return CUT, b""
    finally:
        connection.close()


def fields(port: int, path: str) -> dict[str, str]:
    """Those of an answer, by their names in lower case; none if there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10.0)
    try:
        connection.request("GET", path, headers={"Host": "gw"})
        return {name.lower(): value for name, value in connection.getresponse().getheaders()}
    except (OSError, http.client.HTTPException):
        return {}
    finally:
        connection.close()


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def files(pids: Sequence[int]) -> int:
    """Descriptors that these have open."""
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return total


@define
class Peer:
    """A service as a process, at an address and port that stay the same."""

    children: Children
    directory: Path
    address: str
    port: int
    pid: int = 0

    def start(self) -> None:
        self.pid = self.children.spawn(
            [sys.executable, "-m", "benchmarks.faults.peer", self.address, str(self.port)],
            log=self.directory / f"peer-{self.address}-{self.port}.log",
            env={"PYTHONPATH": str(ROOT)},
        )
        until(self._answers, STARTS_WITHIN, "a service that answers")

    def _answers(self) -> bool:
        return get(self.port, "/", address=self.address)[0] == 200

    def become(self, mode: str) -> None:
        """Fail in this way, or be ``ok`` again."""
        if get(self.port, MODE + mode, address=self.address)[0] != 200:
            raise SceneError("a service doesn't do as it is told")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.children.end(self.pid)


@define
class Gateway:
    """``twistd apigw`` as a process, with ``ports`` of its listeners by name."""

    children: Children
    pid: int
    directory: Path
    ports: dict[str, int]

    @property
    def port(self) -> int:
        return self.ports["public"]

    @property
    def config(self) -> Path:
        return self.directory / "gw.ini"

    def stop(self) -> bool:
        """Whether it ends as it should when it is asked to."""
        os.kill(self.pid, signal.SIGTERM)
        return self.children.wait(self.pid, STOPS_WITHIN)

    def log(self) -> str:
        return (self.directory / "gateway.log").read_text("utf-8", "replace")

    def pids(self) -> list[int]:
        return procfs.tree(self.pid)

    def files(self) -> int:
        return files(self.pids())

    def memory(self) -> int:
        return procfs.resident_bytes(self.pids())

    def admin(self, path: str, method: str = "GET", timeout: float = 10.0) -> Any:
        """What the admin listener says. :raises SceneError: nothing."""
        status, body = get(self.ports["admin"], path, timeout, method, "localhost")
        if status == CUT:
            raise SceneError(f"no answer to {method} {path}")
        return json.loads(body)

    def reload(self) -> tuple[str, float]:
        """:return: what came of it (``ok`` or ``refused``), and seconds that it took."""
        begun = time.monotonic()
        outcome: str = self.admin("/api/reload", "POST", RELOADS_WITHIN)["status"]
        return outcome, time.monotonic() - begun


class Scene:
    """
    Where one fault takes place; its processes end with the :class:`Children`.

    :param seconds: how long a fault lasts.
    :param long: take the larger numbers.
    """

    def __init__(self, children: Children, directory: Path, seconds: float, long: bool) -> None:
        self.children = children
        self.directory = directory
        self.seconds = seconds
        self.long = long
        self._healthy: Peer | None = None

    def peer(self, address: str = "127.0.0.1", port: int = 0) -> Peer:
        """One more service, which is well."""
        peer = Peer(self.children, self.directory, address, port or free_port())
        peer.start()
        return peer

    def ini(self, **values: object) -> str:
        """The configuration, with one healthy route and what the fault adds."""
        if self._healthy is None:
            self._healthy = self.peer()
        known: dict[str, object] = dict.fromkeys(("gateway", "listener", "limits", "route", "more"), "")
        known |= {"workers": 1, "log": "access.log", "healthy": self._healthy.port}
        return INI.format_map(known | values)

    def gateway(self, ini: str, descriptors: int = 0, wait: bool = True, noted: bool = True, **environ: str) -> Gateway:
        """
        Start one.

        :param descriptors: its RLIMIT_NOFILE; 0 for ours.
        :param noted: it notes its long turns, in memory that grows with them.
        :raises SceneError: it doesn't come up; with what it wrote.
        """
        (self.directory / "gw.ini").write_text(ini, "utf-8")
        limit = ["prlimit", f"--nofile={descriptors}"] if descriptors else []
        log = self.directory / "gateway.log"
        twistd = [sys.executable, "-m", "benchmarks.turns", TURNS] if noted else [TWISTD]
        pid = self.children.spawn(
            [*limit, *twistd, "-n", "--pidfile=", "apigw", "--config", "gw.ini"],
            log=log,
            env=environ | {"PYTHONPATH": str(ROOT)},
        )
        listeners = ini.count("\nendpoint = ")

        def listens() -> bool:
            if self.children.has_ended(pid):
                raise SceneError("the gateway ended:\n" + log.read_text("utf-8", "replace")[-2000:])
            return len(dict(_LISTENS.findall(log.read_text("utf-8", "replace")))) >= listeners

        until(listens, STARTS_WITHIN, "a gateway that listens")
        ports = {name: int(port) for name, port in _LISTENS.findall(log.read_text("utf-8", "replace"))}
        gateway = Gateway(self.children, pid, self.directory, ports)
        if wait:
            until(lambda: get(gateway.port, HEALTHY)[0] == 200, STARTS_WITHIN, "a gateway that serves")
        return gateway

    @contextlib.contextmanager
    def watched(
        self,
        gateway: Gateway,
        *more: str,
        port: int = 0,
        kept: bool = False,
        tls: bool = False,
        rate: float = 100.0,
        bearer: tuple[str, str] = ("", ""),
    ) -> Iterator[Watch]:
        """Steady load on the healthy route, and as much on each of ``more``, before, during and after the fault."""
        found = self.directory / "load.json"
        options = [*(["--kept"] if kept else []), *(["--tls"] if tls else []), "--rate", str(rate), "--bearer", *bearer]
        paths = [HEALTHY, *more]
        watch = Watch(gateway)
        pid = self.children.spawn(
            [sys.executable, "-m", "benchmarks.faults.load", str(port or gateway.port), str(found), *paths, *options],
            log=self.directory / "load.log",
            env={"PYTHONPATH": str(ROOT)},
        )
        time.sleep(0.5 + CALM)
        watch.begin()
        yield watch
        watch.end()
        time.sleep(CALM)
        os.kill(pid, signal.SIGTERM)
        if not self.children.wait(pid, 30.0):
            raise SceneError("the load doesn't end")
        if not found.exists():
            raise SceneError("the load failed:\n" + (self.directory / "load.log").read_text()[-2000:])
        watch.asked = json.loads(found.read_text())
        watch.settle()


class Watch:
    """
    Looks at a gateway and its load while a fault lasts.

    :ivar asked: the requests of the load, once it has ended.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.asked: list[dict[str, Any]] = []
        self.seen: list[str] = []
        self.problems: list[str] = []
        self.excused: set[int] = set()
        """Outcomes that are none of the gateway's faults."""
        self.kept_memory = GROWTH
        self.most_turn = math.inf
        self.gone = False
        self._files = [gateway.files()] * 2
        self._memory = [gateway.memory()] * 2
        self._begun = self._over = self._normal = self._turn = math.nan

    @property
    def files_before(self) -> int:
        """Without load."""
        return self._files[0]

    @property
    def memory_before(self) -> int:
        """Without load."""
        return self._memory[0]

    def begin(self) -> None:
        """The fault begins here."""
        self._begun = time.monotonic()

    def over(self, normal: Callable[[], object] | None = None) -> None:
        """The fault ends here. :param normal: is soon to be true."""
        self._over = time.monotonic()
        if normal is not None:
            try:
                self._normal = until(normal, NORMAL_WITHIN, "normal again")
            except SceneError as error:
                self.problems.append(str(error))

    def saw(self, what: str, *statuses: int) -> None:
        """What was seen besides, with the statuses of answers by their number."""
        told = (f"{WORDS.get(status, status)} x {count}" for status, count in Counter(statuses).items())
        self.seen.append(f"{what} {', '.join(told)}".strip())

    def expect(self, holds: object, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    def end(self) -> None:
        """The fault has ended, at the latest."""
        if math.isnan(self._over):
            self._over = time.monotonic()

    def settle(self) -> None:
        """Wait for descriptors to come back, and look again."""
        if self.gone:
            return
        with contextlib.suppress(SceneError):
            until(lambda: self.gateway.files() <= self._files[0] + SPARE_FILES, SETTLES_WITHIN, "descriptors")
        self._files[1] = self.gateway.files()
        self._memory[1] = self.gateway.memory()
        self.expect(self._files[1] <= self._files[0] + SPARE_FILES, "descriptors stay open")
        growth = self._memory[1] - self._memory[0]
        self.expect(growth <= self.kept_memory, f"{growth >> 20} MiB of memory are kept")
        self.expect(self.gateway.stop(), "it doesn't stop")
        noted = self.gateway.directory / TURNS
        if noted.exists():
            during = [turn.cpu for turn in turns.read(noted) if self._begun <= turn.begun <= self._over]
            self._turn = max(during, default=0.0)
            self.expect(self._turn <= self.most_turn, f"a turn took {self._turn * 1000:.0f} ms")

    def row(self, name: str, done: str) -> Row:
        """All of it."""
        asked = [one for one in self.asked if one["status"] not in self.excused]
        lost = Counter(one["status"] for one in asked if one["status"] != 200)
        if lost:
            self.saw("lost:", *lost.elements())
            self.problems.append(f"{lost.total()} requests lost")
        if found := _TROUBLE.search(self.gateway.log()):
            log = self.gateway.log()
            self.problems.append("in its log: " + log[found.start() : found.start() + 2000])
        took = sorted(
            one["seconds"]
            for one in asked
            if one["path"] == HEALTHY and self._begun <= one["begun"] <= self._over and one["status"] == 200
        )
        return Row(
            name,
            done,
            len(asked),
            lost.total(),
            sum(one["again"] for one in asked),
            took[len(took) * 99 // 100] if took else math.nan,
            self._turn,
            (self._files[0], self._files[1]),
            (self._memory[0], self._memory[1]),
            self._normal,
            tuple(self.seen),
            tuple(self.problems),
        )
