"""Several workers, seen as one gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.wire.gateway import Gateway
from tests.wire.server import Server
from tests.wire.sockets import connect

INI = """\
[gateway]
access_log = off
workers = 2
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[service:shop]
urls = http://127.0.0.1:{port}
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


def ask(gateway: Gateway, path: str, body: object = None) -> Any:
    wire = connect(gateway.ports["admin"])
    if body is None:
        wire.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    else:
        data = json.dumps(body)
        head = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        wire.send(f"POST {path} HTTP/1.1\r\n{head}\r\n{data}".encode())
    answer = wire.answer()
    wire.close()
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def test_requests_of_all_workers_are_seen(shop: Server, tmp_path: Path) -> None:
    ini = INI.format(port=shop.port)
    with Gateway(tmp_path, ini, listeners=2) as gateway:
        wires = [connect(gateway.ports["public"]) for _ in range(12)]  # at a time, so that both workers have some
        for wire in wires:
            wire.send(b"GET /shop HTTP/1.1\r\nHost: h\r\n\r\n")
        assert {wire.answer().status for wire in wires} == {200}
        for wire in wires:
            wire.close()
        assert len(ask(gateway, "/api/requests")["requests"]) >= 6
        plan = ask(gateway, "/api/plan", {"config": ini.replace("path = /shop", "path = /bought")})
        assert (plan["requests"], plan["changed"]) == (12, 12)
        [change] = plan["changes"]
        assert change["requests"] == 12
        stream = connect(gateway.ports["admin"])
        stream.send(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        events = stream.until(b"event: tick")
        whole = json.loads(events.partition(b"event: whole\ndata: ")[2].partition(b"\n")[0])
        assert len(whole["tail"]) == 12
        assert [service["name"] for service in whole["services"]] == ["shop"]
        late = connect(gateway.ports["public"])
        late.send(b"GET /shop/late HTTP/1.1\r\nHost: h\r\n\r\n")
        assert late.answer().status == 200
        late.close()
        assert b'"path":"/shop/late"' in stream.until(b'"path":"/shop/late"')
        stream.close()
