"""A running gateway takes a new configuration: what stays the same isn't touched, what is wrong changes nothing."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from apigw.config.loader import loads
from tests.examples import ini_examples
from tests.wire.gateway import Gateway
from tests.wire.sockets import Service, Wire, connect

GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FIRST = """\
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:{port}
[route:users]
path = /users
service = user
"""


@pytest.fixture
def gateway(directory: Path, own_service: Service) -> Iterator[Gateway]:
    with Gateway(directory, FIRST.format(port=own_service.port), listeners=2) as gateway:
        yield gateway


@pytest.fixture
def first(own_service: Service) -> str:
    """The text that the gateway begins with."""
    return FIRST.format(port=own_service.port)


def reload(gateway: Gateway, text: str, said: str = "reloaded in") -> None:
    """Let it take ``text``; wait until its log says how that ended."""
    before = len(gateway.output)
    (gateway.directory / "gw.ini").write_text(text, encoding="utf-8")
    gateway.signal(signal.SIGHUP)
    gateway.wait(lambda: any("reloaded" in line for line in gateway.output[before:]))
    assert any(said in line for line in gateway.output[before:]), "\n".join(gateway.output[before:])


def status(wire: Wire, path: bytes) -> int:
    wire.send(GET % path)
    return wire.answer().status


def admin(gateway: Gateway, path: bytes, method: bytes = b"GET") -> tuple[int, bytes]:
    wire = connect(gateway.ports["admin"])
    wire.send(b"%b %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % (method, path))
    answer = wire.answer()
    wire.close()
    return answer.status, answer.body


def test_connections_of_both_sides_and_streams_go_on(gateway: Gateway, own_service: Service, first: str) -> None:
    client, streaming = connect(gateway.port), connect(gateway.port)
    client.send(GET % b"/users")
    there = own_service.accept()
    there.request()
    there.send(OK)
    assert client.answer().status == 200
    streaming.send(GET % b"/users/stream")
    there.request()
    there.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
    assert streaming.head().status == 200
    reload(gateway, first + "[route:more]\npath = /more\nservice = user\nmethods = GET\n")
    there.send(b"3\r\ntwo\r\n0\r\n\r\n")
    assert streaming.until(b"0\r\n\r\n") == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    client.send(GET % b"/more")
    assert there.request().first == b"GET /more HTTP/1.1"
    there.send(OK)
    assert client.answer().status == 200
    assert own_service.untouched()
    client.close()
    streaming.close()


def test_what_is_wrong_changes_nothing_and_is_told(gateway: Gateway, first: str) -> None:
    wire = connect(gateway.port)
    assert status(wire, b"/none") == 404
    bad = first.replace("path = /users", "path = users") + "[route:none]\npath = /none\nservice = nobody\n"
    reload(gateway, bad, "not reloaded")
    assert status(wire, b"/none") == 404
    code, body = admin(gateway, b"/api/reload")
    told = json.loads(body)
    assert (code, told["status"], told["done"], told["refused"]) == (200, "refused", 0, 1)
    assert "[route:users] path" in told["reason"]
    assert "nobody" in told["reason"]
    metrics = admin(gateway, b"/metrics")[1]
    assert b'apigw_config_reloads_total{outcome="refused"} 1\n' in metrics
    assert b"apigw_config_last_reload_successful 0\n" in metrics
    assert admin(gateway, b"/api/reload", b"POST")[0] == 409
    (gateway.directory / "gw.ini").write_text(first, encoding="utf-8")
    assert admin(gateway, b"/api/reload", b"POST")[0] == 200
    assert b"apigw_config_last_reload_successful 1\n" in admin(gateway, b"/metrics")[1]
    assert admin(gateway, b"/api/reload", b"PUT")[0] == 405
    wire.close()


def test_listeners_come_and_go(gateway: Gateway, first: str) -> None:
    more = "[listener:more]\nendpoint = tcp:0:interface=127.0.0.1\n"
    reload(gateway, first + more)
    gateway.wait(lambda: "more" in gateway.ports)
    here, there = connect(gateway.ports["public"]), connect(gateway.ports["more"])
    assert status(here, b"/version") == 200
    assert status(there, b"/version") == 200
    reload(gateway, first)
    assert there.ended()
    assert status(here, b"/version") == 200
    with pytest.raises(ConnectionRefusedError):
        connect(gateway.ports["more"])
    here.close()


def test_an_address_that_is_taken_changes_nothing(gateway: Gateway, own_service: Service, first: str) -> None:
    taken = f"[listener:more]\nendpoint = tcp:{own_service.port}:interface=127.0.0.1\n"
    free = "[listener:free]\nendpoint = tcp:0:interface=127.0.0.1\n"
    reload(gateway, first + free + taken, "[listener:more] endpoint")
    assert set(gateway.ports) == {"public", "admin"}


def test_a_listener_that_changes_keeps_its_socket(gateway: Gateway, first: str) -> None:
    before = connect(gateway.port)
    assert status(before, b"/version") == 200
    reload(gateway, first.replace("[admin]", "redirect = https\n[admin]"))
    after = connect(gateway.port)
    assert status(after, b"/version") == 308
    assert before.ended()
    after.close()


def test_quotas_go_on(gateway: Gateway, own_service: Service, first: str) -> None:
    limited = first + "[limits]\nip = 2/1h\n"
    reload(gateway, limited)
    wire = connect(gateway.port)
    assert [status(wire, b"/none") for _ in range(3)] == [404, 404, 429]
    reload(gateway, limited.replace("/users", "/people"))
    assert status(wire, b"/none") == 429
    wire.close()


def test_a_peer_that_stays_keeps_its_connections(gateway: Gateway, own_service: Service, first: str) -> None:
    client = connect(gateway.port)
    client.send(GET % b"/users")
    there = own_service.accept()
    there.request()
    there.send(OK)
    assert client.answer().status == 200
    other = Service()
    try:
        urls = f"urls = http://127.0.0.1:{own_service.port}"
        reload(gateway, first.replace(urls, f"{urls}\nbackup_urls = http://127.0.0.1:{other.port}"))
        client.send(GET % b"/users")
        there.request()
        there.send(OK)
        assert client.answer().status == 200
        assert json.loads(admin(gateway, b"/api/services")[1])["services"][0]["peers"][1]["backup"]
        reload(gateway, first.replace(urls, f"urls = http://127.0.0.1:{other.port}"))
        client.send(GET % b"/users")
        moved = other.accept()
        moved.request()
        moved.send(OK)
        assert client.answer().status == 200
        assert there.ended()
    finally:
        client.close()
        other.close()


def test_the_access_log_moves(gateway: Gateway, first: str) -> None:
    wire = connect(gateway.port)
    assert status(wire, b"/version") == 200
    log = gateway.directory / "access.log"
    reload(gateway, f"[gateway]\naccess_log = {log}\n{first}")
    assert status(wire, b"/version") == 200
    wire.close()
    gateway.stop()
    assert len(log.read_text("utf-8").splitlines()) == 1
    assert len(gateway.logged) == 1


def test_the_documented_example_loads() -> None:
    for text in ini_examples("operations/reload.md"):
        loads(text, "gw.ini", {})
