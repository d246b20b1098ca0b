"""Connections to a service, its timeouts, its line, and what it says of retries, on a real gateway."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic

import pytest

from tests.wire.gateway import Gateway
from tests.wire.sockets import Cut, Message, Service, Wire, connect

CONFIG = """
[gateway]
trusted_proxies = 127.0.0.1
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:{port}
breaker.volume = 1000
outlier.consecutive_5xx = 0
outlier.consecutive_connect = 0
{more}
[route:user]
path = /
service = user
"""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Side:
    def __init__(self, gateway: Gateway, service: Service) -> None:
        self.gateway = gateway
        self.service = service

    def ask(self, more: str = "", method: str = "GET") -> Wire:
        client = connect(self.gateway.port)
        client.send(f"{method} / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{more}\r\n".encode())
        return client


@contextmanager
def running(directory: Path, *more: str) -> Iterator[Side]:
    with ExitStack() as stack:
        service = Service()
        stack.callback(service.close)
        text = CONFIG.format(port=service.port, more="\n".join(more))
        yield Side(stack.enter_context(Gateway(directory, text)), service)


def served(client: Wire, wire: Wire, answer: bytes = OK) -> Message:
    """The service answers the request that ``wire`` has."""
    wire.request()
    wire.send(answer)
    found = client.answer()
    client.close()
    return found


def code(answer: Message) -> str:
    found: str = json.loads(answer.body)["code"]
    return found


def test_the_connection_used_last_is_used_first(tmp_path: Path) -> None:
    with running(tmp_path) as side:
        clients = [side.ask(), side.ask()]
        wires = [side.service.accept(), side.service.accept()]
        for client, wire in zip(clients, wires, strict=True):
            assert served(client, wire).status == 200
        for _ in range(3):
            assert served(side.ask(), wires[1]).status == 200
        assert side.service.untouched()


def test_a_connection_carries_so_many_requests(tmp_path: Path) -> None:
    with running(tmp_path, "keepalive.max_requests = 2") as side:
        client = side.ask()
        wire = side.service.accept()
        assert served(client, wire).status == 200
        assert served(side.ask(), wire).status == 200
        client = side.ask()
        other = side.service.accept()
        assert wire.ended()
        assert served(client, other).status == 200


@pytest.mark.parametrize("limit", ["keepalive.max_age = 200ms", "keepalive.idle = 200ms"])
def test_a_connection_is_kept_for_so_long(limit: str, tmp_path: Path) -> None:
    with running(tmp_path, limit) as side:
        client = side.ask()
        wire = side.service.accept()
        assert served(client, wire).status == 200
        if "idle" in limit:
            assert wire.ended()  # by itself
        begun = monotonic()
        while monotonic() - begun < 0.25:  # it has to grow old
            _seen(side.gateway)
        client = side.ask()
        other = side.service.accept()
        assert served(client, other).status == 200


def test_a_peer_that_does_not_take_a_connection(tmp_path: Path) -> None:
    with ExitStack() as stack:
        deaf = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # its line is full: what comes next waits for an answer to its first packet
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        text = CONFIG.format(port=deaf.getsockname()[1], more="timeout.connect = 300ms\nretry.attempts = 1")
        gateway = stack.enter_context(Gateway(tmp_path, text))
        begun = monotonic()
        client = connect(gateway.port)
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        answer = client.answer()
        assert (answer.status, code(answer)) == (504, "upstream-connect-timeout")
        assert 0.3 <= monotonic() - begun < 2.0
        assert "connection_timeout" in answer.text("Proxy-Status")
        client.close()


def test_a_body_that_stops_is_cut_in_time(tmp_path: Path) -> None:
    with running(tmp_path, "timeout.idle = 300ms") as side:
        client = side.ask()
        wire = side.service.accept()
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi")
        head = client.head()
        assert client.exactly(2) == b"hi"
        with pytest.raises(Cut):
            client.rest()
            raise Cut("in order, but short")
        assert side.gateway.line(head.text("X-Request-Id"))["error"] == "upstream-idle-timeout"


def test_the_line_is_fair(tmp_path: Path) -> None:
    with running(tmp_path, "max_connections = 1", "queue_timeout = 5s") as side:
        first = side.ask()
        wire = side.service.accept()
        wire.request()
        waiting = []
        for number in range(5):
            waiting.append(side.ask(f"X-Request-Id: place-{number}\r\n"))
            _seen(side.gateway)
        wire.send(OK)
        assert first.answer().status == 200
        for number, client in enumerate(waiting):
            message = wire.request()
            assert message.text("X-Request-Id") == f"place-{number}"
            wire.send(OK)
            assert client.answer().status == 200


def _seen(gateway: Gateway) -> None:
    """Wait until the gateway has read all that was sent to it: it reads in the order in which things come."""
    client = connect(gateway.port)
    client.send(b"GET /version HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert client.answer().status == 200
    client.close()


def test_a_service_says_when_to_come_again(tmp_path: Path) -> None:
    with running(tmp_path, "retry.attempts = 2") as side:
        client = side.ask()
        wire = side.service.accept()
        wire.request()
        begun = monotonic()
        wire.send(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
        again = wire.request()
        assert 1.0 <= monotonic() - begun < 3.0
        assert again.text("X-Retry-Count") == "1"
        wire.send(OK)
        assert client.answer().status == 200


def test_a_chain_of_retries_has_an_end(tmp_path: Path) -> None:
    with running(tmp_path) as side:
        client = side.ask("X-Retry-Count: 3\r\n")
        wire = side.service.accept()
        assert served(client, wire, b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").status == 503
        assert side.service.untouched()


@pytest.mark.parametrize("invalid", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000])
def test_what_isn_t_http_is_no_answer_and_another_peer_is_asked(tmp_path: Path, invalid: bytes) -> None:
    with running(tmp_path, "retry.backoff = 1ms..1ms") as side:
        client = side.ask()
        failing = side.service.accept()
        failing.request()
        failing.send(invalid)
        wire = side.service.accept()
        assert served(client, wire).status == 200
        client = side.ask("Content-Length: 0\r\n", "POST")
        assert served(client, wire, invalid).status == 502
