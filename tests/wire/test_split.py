"""A route that several services share, through a real gateway."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from tests.wire.gateway import Gateway
from tests.wire.scripted import Question, Reply, Scripted, fetch, scripted

INI = """\
[gateway]
target_service_header = yes
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[service:old]
urls = http://127.0.0.1:{old}
[service:new]
urls = http://127.0.0.1:{new}
[service:shut]
urls = http://127.0.0.1:{new}
maintenance = yes
[route:turns]
path = /turns
split = old:3, new:1
[route:kept]
path = /kept
split = old:50, new:50
split.on = header:X-User
[route:shut]
path = /shut
split = old:1, shut:99
[route:sockets]
path = /sockets
split = left:1, right:1
upgrade = websocket
[service:left]
urls = http://127.0.0.1:{left}
[service:right]
urls = http://127.0.0.1:{right}
[route:none]
path = /none
split = old:0, shut:1
"""


@pytest.fixture
def services() -> Iterator[tuple[Scripted, Scripted]]:
    def say(name: bytes) -> Callable[[Question], Reply]:
        return lambda _: Reply(200, name)

    with scripted(say(b"old")) as first, scripted(say(b"new")) as second:
        yield first, second


@pytest.fixture
def sockets() -> Iterator[list[int]]:
    """Ports of two WebSocket services; each sends its number, and ends."""
    servers = [serve(partial(ServerConnection.send, message=str(number)), "127.0.0.1", 0) for number in range(2)]
    threads = [Thread(target=server.serve_forever, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    yield [server.socket.getsockname()[1] for server in servers]
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join()


@pytest.fixture
def ini(services: tuple[Scripted, Scripted], sockets: list[int]) -> str:
    return INI.format(old=services[0].port, new=services[1].port, left=sockets[0], right=sockets[1])


@pytest.fixture
def gateway(ini: str, tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path, ini, listeners=2) as gateway:
        yield gateway


def explain(gateway: Gateway, path: str, **fields: str) -> dict[str, Any]:
    asked = {"url": f"http://h{path}", "headers": [[key.replace("_", "-"), value] for key, value in fields.items()]}
    admin = gateway.ports["admin"]
    body = json.dumps(asked).encode()
    answer = fetch(admin, "/api/explain", "POST", body, Host="localhost", Content_Type="application/json")
    assert answer.status == 200, answer.body
    forward: dict[str, Any] = json.loads(answer.body)["forward"]
    return forward


def breaker(gateway: Gateway, service: Scripted, action: str, name: str = "new") -> None:
    body = json.dumps({"service": name, "peer": f"127.0.0.1:{service.port}", "action": action}).encode()
    assert (
        fetch(
            gateway.ports["admin"], "/api/breakers", "POST", body, Host="localhost", Content_Type="application/json"
        ).status
        == 200
    )


def test_requests_are_shared_by_weight_and_the_log_names_who_answered(gateway: Gateway) -> None:
    foreseen = explain(gateway, "/turns")
    answers = [fetch(gateway.port, "/turns") for _ in range(12)]
    assert Counter(answer.body for answer in answers) == {b"old": 9, b"new": 3}
    assert foreseen["service"] == answers[0].body.decode()
    assert [share["weight"] for share in foreseen["split"]] == [3, 1]
    for answer in answers:
        line = gateway.line(answer.text("X-Request-Id"))
        assert (line["route"], line["service"]) == ("turns", answer.body.decode())
        assert answer.one(b"X-Target-Service") == answer.body
    metrics = fetch(gateway.ports["admin"], "/metrics", Host="localhost").body.decode()
    counted = [line for line in metrics.splitlines() if line.startswith("apigw_upstream_attempts_total")]
    assert sorted(line.rpartition(" ")[2] for line in counted) == ["3", "9"]


def test_a_key_stays_with_its_service_and_comes_back_to_it(
    gateway: Gateway, services: tuple[Scripted, Scripted]
) -> None:
    users = [f"u{number}" for number in range(20)]
    first = {user: fetch(gateway.port, "/kept", X_User=user).body for user in users}
    assert set(first.values()) == {b"old", b"new"}
    assert {user: fetch(gateway.port, "/kept", X_User=user).body for user in users} == first
    fan = next(user for user, body in first.items() if body == b"new")
    assert explain(gateway, "/kept", X_User=fan)["service"] == "new"

    breaker(gateway, services[1], "open")
    assert {fetch(gateway.port, "/kept", X_User=user).body for user in users} == {b"old"}
    foreseen = explain(gateway, "/kept", X_User=fan)
    assert foreseen["service"] == "old"
    assert [share["usable"] for share in foreseen["split"]] == [True, False]
    breaker(gateway, services[1], "reset")
    assert {user: fetch(gateway.port, "/kept", X_User=user).body for user in users} == first


def test_without_a_key_services_take_turns(gateway: Gateway) -> None:
    for fields in ({}, {"X_User": ""}):
        answers = Counter(fetch(gateway.port, "/kept", **fields).body for _ in range(6))
        assert answers == {b"old": 3, b"new": 3}


def test_a_service_in_maintenance_is_left_out(gateway: Gateway) -> None:
    assert {fetch(gateway.port, "/shut").body for _ in range(5)} == {b"old"}


def test_where_no_service_can_be_asked_the_answer_says_so(
    gateway: Gateway, services: tuple[Scripted, Scripted]
) -> None:
    breaker(gateway, services[0], "open", "old")
    answer = fetch(gateway.port, "/shut")
    assert (answer.status, json.loads(answer.body)["code"]) == (503, "circuit-open")
    answer = fetch(gateway.port, "/none")
    assert (answer.status, json.loads(answer.body)["code"]) == (503, "maintenance")
    assert answer.one(b"Retry-After") == b"300"


def test_web_sockets_are_shared_too(gateway: Gateway) -> None:
    said = []
    for _ in range(4):
        with connect(f"ws://127.0.0.1:{gateway.port}/sockets") as socket:
            said.append(socket.recv())
    assert sorted(said) == ["0", "0", "1", "1"]


def test_operators_see_all_services_of_a_route(gateway: Gateway, ini: str) -> None:
    fetch(gateway.port, "/turns")
    routes = json.loads(fetch(gateway.ports["admin"], "/api/routes", Host="localhost").body)["routes"]
    assert {route["name"]: route["services"] for route in routes}["turns"] == ["old", "new"]
    other = ini.replace("split = old:3, new:1", "service = new")
    body = json.dumps({"config": other}).encode()
    answer = fetch(gateway.ports["admin"], "/api/plan", "POST", body, Host="localhost", Content_Type="application/json")
    [change] = json.loads(answer.body)["changes"]
    assert (change["before"]["service"], change["after"]["service"]) == ("old, new", "new")
