"""Several workers share the listeners, and one process speaks for all."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from apigw.config.loader import loads
from tests.examples import ini_examples
from tests.wire.gateway import BOUND, Gateway, run
from tests.wire.load import Load
from tests.wire.server import Server
from tests.wire.sockets import Wire, connect

INI = """\
[gateway]
workers = {workers}
access_log = {log}
drain_timeout = 5s
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[service:shop]
urls = http://127.0.0.1:{port}
health.path = /health
health.interval = 100ms
health.unhealthy_after = 1
[route:shop]
path = /shop
service = shop
"""


@pytest.fixture
def shop() -> Iterator[Server]:
    server = Server()
    server.body = b"sold"
    yield server
    server.close()


@pytest.fixture
def ini(shop: Server) -> Callable[..., str]:
    return lambda workers=2, log="off": INI.format(workers=workers, log=log, port=shop.port)


@pytest.fixture
def gateway(directory: Path, ini: Callable[..., str]) -> Iterator[Gateway]:
    """Two workers, both ready."""
    with Gateway(directory, ini(), listeners=2) as gateway:
        ready(gateway, 2)
        yield gateway


def ask(gateway: Gateway, path: str) -> Any:
    wire = connect(gateway.ports["admin"])
    wire.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    answer = wire.answer()
    wire.close()
    return json.loads(answer.body) if answer.body.startswith(b"{") else answer.body.decode()


def workers(gateway: Gateway) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(gateway, "/api/workers")["workers"]
    return found


def until(holds: Callable[[], object]) -> None:
    """Ask again until it is so."""
    end = monotonic() + BOUND
    while not holds():
        assert monotonic() < end, "in vain"
        sleep(0.02)


def ready(gateway: Gateway, number: int) -> None:
    until(lambda: sum(one["ready"] for one in workers(gateway)) == number)


def metric(gateway: Gateway, start: str) -> float:
    lines = ask(gateway, "/metrics").splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))


def get(wire: Wire, path: str) -> int:
    wire.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return wire.answer().status


def refused(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    return False


def gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


def test_connections_are_spread_evenly(gateway: Gateway) -> None:
    wires = [connect(gateway.port) for _ in range(40)]
    assert [get(wire, "/version") for wire in wires] == [200] * 40
    served = {}
    for one in workers(gateway):
        served[one["pid"]] = sum(1 for line in sockets(one["pid"]) if f":{gateway.port:04X} " in line)
    assert sum(served.values()) == 40
    assert max(served.values()) <= 24, served
    for wire in wires:
        wire.close()


def sockets(process: int) -> list[str]:
    """Lines of the kernel's table of TCP that are about established connections of a process."""
    mine = set()
    for one in Path(f"/proc/{process}/fd").iterdir():
        try:
            mine.add(str(one.readlink()).removeprefix("socket:[").rstrip("]"))
        except OSError:
            continue
    lines = Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]
    return [line for line in lines if line.split()[9] in mine and line.split()[3] == "01"]


def test_one_answer_speaks_for_all(gateway: Gateway) -> None:
    wires = [connect(gateway.port) for _ in range(8)]
    assert [get(wire, "/shop") for wire in wires] == [200] * 8
    assert metric(gateway, 'http_server_request_duration_seconds_count{http_route="shop"') == 8
    assert metric(gateway, "apigw_workers ") == 2
    assert metric(gateway, 'process_start_time_seconds{worker="1"}') > 0
    assert len(ask(gateway, "/api/services")["services"][0]["peers"]) == 1
    assert ask(gateway, "/health/ready")["status"] == "ok"
    for wire in wires:
        wire.close()


def test_a_killed_worker_loses_only_its_own_and_is_replaced(gateway: Gateway) -> None:
    with Load(gateway.port, "/shop", clients=8) as load:
        load.more(100)
        victim = workers(gateway)[1]["pid"]
        counted = metric(gateway, 'http_server_request_duration_seconds_count{http_route="shop"')
        os.kill(victim, signal.SIGKILL)
        load.more(300)
        until(lambda: metric(gateway, "apigw_worker_ends_total") == 1)
        ready(gateway, 2)
        load.more(100)
    assert load.seen["lost"] <= 8
    assert set(load.seen) <= {"200", "lost"}
    assert victim not in {one["pid"] for one in workers(gateway)}
    assert metric(gateway, 'http_server_request_duration_seconds_count{http_route="shop"') >= counted
    assert metric(gateway, "apigw_worker_ends_total") == 1


def test_a_worker_that_dies_again_and_again_is_started_less_often(gateway: Gateway) -> None:
    for number in (1, 2):
        os.kill(next(one["pid"] for one in workers(gateway) if one["name"] == "1"), signal.SIGKILL)
        until(lambda number=number: metric(gateway, "apigw_worker_ends_total") == number)
        ready(gateway, 2)
    ended = [line for line in gateway.output if "worker 1 has ended" in line]
    assert [line.rpartition("starts in ")[2] for line in ended] == ["0.1 s", "0.5 s"]


def test_one_worker_checks_the_peers_for_all(gateway: Gateway, shop: Server) -> None:
    def checks() -> int:
        return sum(one.get("User-Agent") == "apigw health check" for one in list(shop.asked))

    def healths() -> float:
        return metric(gateway, "apigw_upstream_peer_healthy")

    until(lambda: checks() > 2)
    before, begun = checks(), monotonic()
    until(lambda: checks() >= before + 5)
    assert monotonic() - begun > 0.3  # two that check would need half of it
    shop.body = None
    until(lambda: healths() == 0)
    wires = [connect(gateway.port) for _ in range(6)]
    assert [one["checks"] for one in workers(gateway)].count(True) == 1
    until(lambda: [get(wire, "/shop") for wire in wires] == [503] * 6)
    shop.body = b"sold"
    os.kill(next(one["pid"] for one in workers(gateway) if one["checks"]), signal.SIGKILL)
    until(lambda: metric(gateway, "apigw_worker_ends_total") == 1)
    ready(gateway, 2)
    until(lambda: healths() == 1)
    for wire in wires:
        wire.close()


def test_the_supervisors_death_takes_the_workers_down(directory: Path, ini: Callable[..., str]) -> None:
    gateway = Gateway(directory, ini(), listeners=2)
    ready(gateway, 2)
    processes = [one["pid"] for one in workers(gateway)]
    gateway.kill()
    until(lambda: all(map(gone, processes)))
    with pytest.raises(ConnectionRefusedError):
        connect(gateway.port)


def test_a_stop_lets_requests_finish_and_a_second_one_does_not(
    directory: Path, ini: Callable[..., str], own_service: Any
) -> None:
    own = f"[service:own]\nurls = http://127.0.0.1:{own_service.port}\n[route:own]\npath = /own\nservice = own\n"
    with Gateway(directory, ini() + own, listeners=2) as gateway:
        ready(gateway, 2)
        wire, other = connect(gateway.port), connect(gateway.port)
        for one in (wire, other):
            one.send(b"GET /own HTTP/1.1\r\nHost: h\r\n\r\n")
        first, second = own_service.accept(), own_service.accept()
        asked = {first.request().first, second.request().first}
        assert asked == {b"GET /own HTTP/1.1"}
        gateway.signal(signal.SIGTERM)
        until(lambda: refused(gateway.port))
        first.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        gateway.signal(signal.SIGTERM)
        assert gateway.ends() == 0
        wire.gone()
        other.gone()
        wire.close()
        other.close()


def test_all_workers_reload_or_none_does(gateway: Gateway, ini: Callable[..., str]) -> None:
    before = {one["pid"] for one in workers(gateway)}
    with Load(gateway.port, clients=4) as load:
        load.more(50)
        reload(gateway, ini() + "[listener:more]\nendpoint = tcp:0:interface=127.0.0.1\n", "reloaded in")
        gateway.wait(lambda: "more" in gateway.ports)
        wires = [connect(gateway.ports["more"]) for _ in range(6)]
        assert [get(wire, "/version") for wire in wires] == [200] * 6
        for wire in wires:
            wire.close()
        reload(gateway, ini() + "[route:none]\n", "not reloaded")
        assert "is missing" in ask(gateway, "/api/reload")["reason"]
        reload(gateway, ini(workers=3), "reloaded in")
        ready(gateway, 3)
        assert before < {one["pid"] for one in workers(gateway)}
        reload(gateway, ini(workers=2), "reloaded in")
        until(lambda: len(workers(gateway)) == 2)
        load.more(50)
    assert set(load.seen) == {"200"}
    with pytest.raises(ConnectionRefusedError):
        connect(gateway.ports["more"])


def reload(gateway: Gateway, text: str, said: str) -> None:
    before = len(gateway.output)
    (gateway.directory / "gw.ini").write_text(text, encoding="utf-8")
    gateway.signal(signal.SIGHUP)
    gateway.wait(lambda: any("reloaded" in line for line in gateway.output[before:]))
    assert any(said in line for line in gateway.output[before:]), "\n".join(gateway.output[before:])


def test_a_reload_before_any_worker_is_ready_has_them_begin_again(directory: Path, ini: Callable[..., str]) -> None:
    with Gateway(directory, ini(), listeners=2) as gateway:
        (directory / "gw.ini").write_text(ini().replace("path = /shop", "path = /sold"), encoding="utf-8")
        gateway.signal(signal.SIGHUP)
        ready(gateway, 2)
        wires = [connect(gateway.port) for _ in range(8)]
        assert [get(wire, "/sold") for wire in wires] == [200] * 8
        for wire in wires:
            wire.close()


def test_a_new_worker_has_the_configuration_in_force_and_what_operators_said(
    gateway: Gateway, ini: Callable[..., str]
) -> None:
    reload(gateway, ini().replace("/shop", "/store"), "reloaded in")
    wire = connect(gateway.ports["admin"])
    body = json.dumps({"service": "shop", "on": True, "for": "60s"}).encode()
    wire.send(
        b"POST /api/maintenance HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    assert wire.answer().status == 200
    wire.close()
    (gateway.directory / "gw.ini").write_text("[rubbish]\n", encoding="utf-8")
    for one in workers(gateway):
        os.kill(one["pid"], signal.SIGKILL)
    until(lambda: metric(gateway, "apigw_worker_ends_total") == 2)
    ready(gateway, 2)
    wires = [connect(gateway.port) for _ in range(6)]
    until(lambda: [get(one, "/store") for one in wires] == [503] * 6)
    for one in wires:
        one.close()


def test_the_access_log_is_one_and_is_reopened_by_all(directory: Path, ini: Callable[..., str]) -> None:
    log = directory / "access.log"
    with Gateway(directory, ini(log=str(log)), listeners=2) as gateway:
        ready(gateway, 2)
        log.rename(directory / "old.log")
        gateway.signal(signal.SIGUSR1)
        until(log.exists)
        wires = [connect(gateway.port) for _ in range(8)]
        assert [get(wire, "/version") for wire in wires] == [200] * 8
        for wire in wires:
            wire.close()
    both = (directory / "old.log").read_text("utf-8") + log.read_text("utf-8")
    assert sum('"path":"/version"' in line for line in both.splitlines()) == 8


def test_a_log_that_cant_be_opened_is_told_at_the_start(directory: Path, ini: Callable[..., str]) -> None:
    (directory / "gw.ini").write_text(ini(log=str(directory / "none" / "access.log")), encoding="utf-8")
    ended = run("-n", "--pidfile=", "apigw", "--config", "gw.ini", cwd=directory)
    assert ended.returncode == 1
    assert "access_log" in ended.stderr


def test_the_documented_examples_load() -> None:
    for page in ("workers", "upgrade"):
        for text in ini_examples(f"operations/{page}.md"):
            loads(text, "gw.ini", {})
