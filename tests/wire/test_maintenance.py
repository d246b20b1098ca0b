"""Doors that are closed and opened again on a running gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.wire.gateway import Gateway
from tests.wire.scripted import Reply, Scripted, fetch, scripted
from tests.wire.sockets import Message

INI = """\
[gateway]
access_log = off
trusted_proxies = 127.0.0.1
maintenance_allow = 10.0.0.0/8
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[service:one]
urls = http://127.0.0.1:{port}
maintenance_allow = 192.0.2.0/24
[service:two]
urls = http://127.0.0.1:{port}
[service:shut]
urls = http://127.0.0.1:{port}
maintenance = 10m
maintenance_allow = 192.0.2.0/24
[route:one]
path = /one
service = one
maintenance_allow = 198.51.100.7
[route:two]
path = /two
service = two
[route:split]
path = /split
split = shut:1, two:0
[route:parts]
path = /parts
aggregate = shut:/x as shut, two:/y as two
aggregate.failure = omit
"""


@pytest.fixture
def service() -> Iterator[Scripted]:
    with scripted(lambda _: Reply(200, b"1", {"Content-Type": "application/json"})) as service:
        yield service


@pytest.fixture
def gateway(service: Scripted, tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path, INI.format(port=service.port), listeners=2) as gateway:
        yield gateway


def act(gateway: Gateway, **body: object) -> Message:
    data = json.dumps(body).encode()
    admin = gateway.ports["admin"]
    return fetch(admin, "/api/maintenance", "POST", data, Host="localhost", Content_Type="application/json")


def said(answer: Message) -> Any:
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def statuses(gateway: Gateway, path: str, *clients: str) -> list[int]:
    return [fetch(gateway.port, path, X_Forwarded_For=client).status for client in clients]


def test_a_route_is_closed_and_opened_while_the_gateway_runs(gateway: Gateway) -> None:
    assert said(act(gateway, on=True, route="one", **{"for": "90s"}))["routes"] == {"one": 90.0}
    answer = fetch(gateway.port, "/one")
    assert (answer.status, answer.one(b"Retry-After")) == (503, b"90")
    assert json.loads(answer.body)["code"] == "maintenance"
    assert fetch(gateway.port, "/two").status == 200
    assert said(act(gateway, on=False, route="one")) == {
        "on": False,
        "seconds": 0.0,
        "services": {"shut": 600.0},
        "routes": {},
    }
    assert fetch(gateway.port, "/one").status == 200


def test_what_there_is_not_or_is_both_is_told(gateway: Gateway) -> None:
    assert act(gateway, on=True, route="none").status == 404
    assert act(gateway, on=True, route="service:one").status == 404
    assert act(gateway, on=True, route="one", service="one").status == 400


def test_some_addresses_are_served_all_the_same(gateway: Gateway) -> None:
    clients = "203.0.113.1", "10.1.1.1", "192.0.2.1", "198.51.100.7"
    act(gateway, on=True, route="one")
    assert statuses(gateway, "/one", *clients) == [503, 200, 503, 200]
    act(gateway, on=True, service="one")
    assert statuses(gateway, "/one", *clients) == [503, 200, 503, 503]  # each door has to admit it
    act(gateway, on=False, route="one")
    assert statuses(gateway, "/one", *clients) == [503, 200, 200, 503]
    act(gateway, on=True)
    assert statuses(gateway, "/one", *clients) == [503, 200, 503, 503]
    assert statuses(gateway, "/two", *clients) == [503, 200, 503, 503]


def test_so_they_are_where_services_share_a_route_or_answer_together(gateway: Gateway) -> None:
    assert statuses(gateway, "/split", "203.0.113.1", "192.0.2.1") == [503, 200]
    bodies = [
        json.loads(fetch(gateway.port, "/parts", X_Forwarded_For=client).body)
        for client in ("203.0.113.1", "192.0.2.1")
    ]
    assert bodies[1] == {"shut": 1, "two": 1}
    assert bodies[0] == {"two": 1, "errors": [{"name": "shut", "status": 503, "code": "maintenance"}]}
