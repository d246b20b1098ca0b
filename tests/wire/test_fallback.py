"""The real gateway, and a service that is gone: reading clients get the fallback, writing ones are told."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.wire.gateway import Gateway
from tests.wire.sockets import Message, connect

CONFIG = """
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:music]
urls = http://127.0.0.1:{port}
retry.attempts = 1
breaker.volume = 1
breaker.open_for = 60s
fallback.body = {{"tracks": []}}
fallback.status = 203
[route:music]
path = /
service = music
"""


@pytest.fixture
def nobody() -> int:
    """A port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def ask(gateway: Gateway, method: str) -> Message:
    wire = connect(gateway.port)
    wire.send(f"{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".encode())
    answer = wire.answer(method.encode())
    wire.close()
    return answer


def test_while_all_breakers_are_open(nobody: int, tmp_path: Path) -> None:
    with Gateway(tmp_path, CONFIG.format(port=nobody)) as gateway:
        assert ask(gateway, "GET").status == 502  # one that was tried, and failed
        answer = ask(gateway, "GET")
        assert (answer.status, json.loads(answer.body)) == (203, {"tracks": []})
        assert answer.text("Content-Type") == "application/json"
        assert answer.text("Cache-Control") == "no-store"
        line = gateway.line(answer.text("X-Request-Id"))
        assert (line["status"], line["error"]) == (203, "circuit-open")
        head = ask(gateway, "HEAD")
        assert (head.status, head.text("Content-Length"), head.body) == (203, "14", b"")
        refused = ask(gateway, "POST")
        assert (refused.status, json.loads(refused.body)["code"]) == (503, "circuit-open")
        assert int(refused.text("Retry-After")) in range(1, 61)
