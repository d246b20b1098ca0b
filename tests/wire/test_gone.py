"""A client that goes away cancels its request at the service within a second, at whatever point and in whatever way."""

from __future__ import annotations

import fcntl
import select
import socket
import termios
from pathlib import Path

import pytest

from tests.wire.conftest import INI, Connect
from tests.wire.gateway import Gateway
from tests.wire.sockets import Service, Wire, connect

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
UPLOAD = b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"


def leave(wire: Wire, how: str) -> None:
    if how == "reset":
        wire.reset()
    else:
        wire.close()


def gone_at_once(there: Wire) -> None:
    """The service could see the end within a second, whatever it has not read yet."""
    look = select.poll()
    look.register(there.socket, select.POLLRDHUP)
    assert look.poll(1000)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_before_the_answer(client: Connect, service: Service, gateway: Gateway, how: str) -> None:
    wire = client()
    wire.send(GET)
    there = service.accept()
    request_id = there.request().text("x-request-id")
    leave(wire, how)
    gone_at_once(there)
    line = gateway.line(request_id)
    assert (line["status"], line["error"]) == (499, "client-disconnected")


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_within_an_upload(client: Connect, service: Service, gateway: Gateway, how: str, expect: bytes) -> None:
    wire = client()
    wire.send(UPLOAD.replace(b"\r\n\r\n", b"\r\n" + expect + b"\r\n") + (b"" if expect else b"some"))
    there = service.accept()
    request_id = there.head().text("x-request-id")
    if not expect:
        assert there.exactly(4) == b"some"
    leave(wire, how)
    gone_at_once(there)
    line = gateway.line(request_id)
    assert (line["status"], line["error"]) == (499, "client-disconnected")
    assert line["bytes_in"] == (0 if expect else 4)


def pour(wire: Wire, most: int) -> int:
    """Send up to ``most`` bytes, until nothing more is taken. :return: how many were."""
    wire.socket.setblocking(False)
    sent = 0
    while sent < most and select.select([], [wire.socket], [], 0.3)[1]:
        sent += wire.socket.send(b"x" * min(65536, most - sent))
    wire.socket.settimeout(5)
    return sent


def stalled_upload(client: Connect, service: Service, most: int) -> tuple[Wire, Wire, int]:
    """An upload to a service that doesn't read. :return: both ends, and how many bytes were taken on the way."""
    wire = client(send_buffer=65536)
    wire.send(b"POST /big HTTP/1.1\r\nHost: h\r\nX-Request-Id: most-%d\r\nContent-Length: %d\r\n\r\n" % (most, 10**9))
    return wire, service.accept(), pour(wire, most)


def arrived(wire: Wire) -> bool:
    """Whether the other kernel has all that was sent."""
    left = bytearray(4)
    fcntl.ioctl(wire.socket, termios.TIOCOUTQ, left)
    return not any(left)


def test_within_an_upload_that_the_service_does_not_read(client: Connect, service: Service, gateway: Gateway) -> None:
    wire, there, taken = stalled_upload(client, service, 10**8)
    wire.reset()
    gone_at_once(there)
    assert gateway.line(f"most-{10**8}")["error"] == "client-disconnected"
    # So much less that all of it arrives, and what says that no more will come as well.
    for less in range(200_000, taken, 200_000):
        wire, there, _ = stalled_upload(client, service, taken - less)
        if arrived(wire):
            break
        wire.reset()
    wire.close()
    gone_at_once(there)
    assert gateway.line(f"most-{taken - less}")["error"] == "client-disconnected"


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("framing", [b"Content-Length: 1000", b"Transfer-Encoding: chunked", b"X: until the end"])
def test_within_a_download(client: Connect, service: Service, gateway: Gateway, how: str, framing: bytes) -> None:
    wire = client()
    wire.send(GET)
    there = service.accept()
    there.request()
    there.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n4\r\nsome\r\n")
    request_id = wire.head().text("x-request-id")
    wire.until(b"some")
    leave(wire, how)
    if framing == b"Content-Length: 1000" and how == "close":
        # It may only have shut its sending side, and nothing tells the two apart but more of the answer.
        there.send(b"more")
    gone_at_once(there)
    line = gateway.line(request_id)
    assert (line["status"], line["error"]) == (200, "client-disconnected")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_within_a_download_that_it_does_not_read(client: Connect, service: Service, gateway: Gateway, how: str) -> None:
    wire = client(receive_buffer=4096)
    wire.send(GET)
    there = service.accept()
    there.request()
    there.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    request_id = wire.head().text("x-request-id")
    pour(there, 10**8)
    leave(wire, how)
    gone_at_once(there)
    assert gateway.line(request_id)["error"] == "client-disconnected"


def test_who_is_still_there_is_not_taken_for_gone(client: Connect, service: Service) -> None:
    """What is sent to find out who has gone does no harm to who has only shut its sending side."""
    wire = client()
    wire.send(GET)
    there = service.accept()
    there.request()
    there.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n")
    wire.head()
    assert wire.until(b"some\r\n") == b"4\r\nsome\r\n"
    wire.finish()
    assert wire.exactly(1) == b"0"
    there.send(b"4\r\nmore\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert wire.rest() == b"4\r\nmore\r\n0\r\nX-Sum: 1\r\n\r\n"


def test_who_is_still_there_may_get_no_more(client: Connect, service: Service) -> None:
    wire = client()
    wire.send(GET)
    there = service.accept()
    there.request()
    there.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    wire.head()
    wire.finish()
    assert wire.exactly(1) == b"0"
    there.send(b"0\r\n\r\n")
    assert wire.rest() == b"0\r\n\r\n"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_while_it_waits_in_line(tmp_path: Path, own_service: Service, how: str) -> None:
    config = INI.format(port=own_service.port).replace(
        "[route:users]", "max_connections = 1\nqueue_timeout = 20s\n[route:users]"
    )
    with Gateway(tmp_path, config) as gateway:
        first, second, third = (connect(gateway.port) for _ in range(3))
        first.send(GET)
        there = own_service.accept()
        there.request()
        second.send(b"GET /gone HTTP/1.1\r\nHost: h\r\nX-Request-Id: gone\r\n\r\n")
        third.send(b"GET /c HTTP/1.1\r\nHost: h\r\n\r\n")
        leave(second, how)
        line = gateway.line("gone")
        assert (line["status"], line["error"], line["peer"]) == (499, "client-disconnected", "")
        there.send(OK)
        assert first.answer().body == b"hi"
        assert there.request().first == b"GET /c HTTP/1.1"
        there.send(OK)
        assert third.answer().body == b"hi"
        first.close()
        third.close()


def test_while_a_connection_is_made(tmp_path: Path) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.create_connection(("127.0.0.1", port))]
        config = INI.format(port=port).replace("[route:users]", "timeout.connect = 20s\n[route:users]")
        with Gateway(tmp_path, config) as gateway:
            wire = connect(gateway.port)
            wire.send(b"GET /gone HTTP/1.1\r\nHost: h\r\nX-Request-Id: gone\r\n\r\n")
            wire.close()
            assert gateway.line("gone")["error"] == "client-disconnected"
        for one in waiting:
            one.close()
