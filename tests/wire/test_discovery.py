"""The real gateway and a registry that is down, comes up, moves a service, and goes again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wire.gateway import Gateway
from tests.wire.sockets import Message, Service, connect

CONFIG = """
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[discovery]
url = http://127.0.0.1:{port}/api/discovery/services
interval = 50ms
[service:user]
retry.attempts = 1
[route:users]
path = /
service = user
"""


def document(*services: Service) -> bytes:
    entries = [{"name": "user", "host": "127.0.0.1", "port": service.port} for service in services]
    body = json.dumps({"services": entries}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body)


def asked(registry: Service, answer: bytes) -> Message:
    """Answer the next question to the registry."""
    wire = registry.accept()
    question = wire.request()
    wire.send(answer)
    wire.close()
    return question


@pytest.fixture
def three() -> Iterator[list[Service]]:
    services = [Service(), Service(), Service()]
    yield services
    for service in services:
        service.close()


GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def test_a_service_that_comes_moves_and_outlives_its_registry(three: list[Service], tmp_path: Path) -> None:
    registry, old, new = three
    with Gateway(tmp_path, CONFIG.format(port=registry.port)) as gateway:
        client = connect(gateway.port)
        question = asked(registry, b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        assert question.first == b"GET /api/discovery/services HTTP/1.1"
        gateway.wait(lambda: any("registry:user fails" in line for line in gateway.output))
        client.send(GET)
        answer = client.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (503, "upstream-unavailable")

        asked(registry, document(old))
        gateway.wait(lambda: any("registry:user answers again" in line for line in gateway.output))
        client.send(GET)
        before = old.accept()
        assert before.request().first == b"GET / HTTP/1.1"
        asked(registry, document(new))
        asked(registry, document(new))  # which is asked after the first answer has been taken
        other = connect(gateway.port)
        other.send(GET)
        after = new.accept()
        after.request()
        after.send(DONE)
        assert other.answer().status == 200
        before.send(DONE)
        assert client.answer().status == 200
        assert before.ended()  # it drains: its answer was awaited, and its connection isn't kept

        asked(registry, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n{no}")
        gateway.wait(lambda: sum("registry:user fails" in line for line in gateway.output) == 2)
        client.send(GET)
        after.request()
        after.send(DONE)
        assert client.answer().status == 200
        assert old.untouched()
        client.close()
        other.close()
        gateway.stop()
        assert any("its last 1 addresses stay in use" in line for line in gateway.output)
