"""
Large bodies between a fast side and a slow one don't pile up in the gateway.

128 MiB each are enough to see that; ``APIGW_TEST_BODY=1073741824`` makes it the whole GiB.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from tests.wire.conftest import Connect
from tests.wire.gateway import Gateway
from tests.wire.sockets import Service, Wire

SIZE = int(os.environ.get("APIGW_TEST_BODY", 128 * 1024 * 1024))
"""Bytes of a body."""

BOUND = 10 * 1024 * 1024
"""Bytes that the gateway may grow by."""

BLOCK = b"0123456789abcdef" * 4096

pytestmark = pytest.mark.timeout(300)


@contextmanager
def watched(gateway: Gateway, what: str) -> Iterator[None]:
    """The gateway's memory stays within the bound all the while."""
    before = gateway.resident()
    gateway.forget_peak()
    yield
    grown = gateway.peak() - before
    print(f"{what} of {SIZE >> 20} MiB: {grown / 1048576:.1f} MiB more than the {before / 1048576:.1f} before")
    assert grown < BOUND


def send_all(wire: Wire, chunked: bool) -> None:
    """A body of SIZE bytes."""
    for _ in range(SIZE // len(BLOCK)):
        wire.send(b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK) if chunked else BLOCK)
    if chunked:
        wire.send(b"0\r\n\r\n")


def stalls(sender: socket.socket) -> None:
    """Wait until nothing more fits in anywhere on the way."""
    while select.select([], [sender], [], 0.3)[1]:
        pass


def read_all(wire: Wire, chunked: bool) -> int:
    """:return: bytes of the body that were as sent."""
    right = 0
    if chunked:
        while size := int(wire.until(b"\r\n"), 16):
            right += size * ((wire.exactly(size) in BLOCK * 3) or size > len(BLOCK))
            wire.exactly(2)
        wire.exactly(2)
        return right
    while right < SIZE:
        data = wire.some()
        assert data
        at = right % 16
        assert data.startswith((BLOCK * 2)[at : at + 64][: len(data)])
        right += len(data)
    return right


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_waits_for_a_slow_service(client: Connect, service: Service, gateway: Gateway, chunked: bool) -> None:
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % SIZE
    wire = client()
    with watched(gateway, "upload"):
        wire.send(b"POST /big HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n")
        there = service.accept()
        there.head()
        sending = Thread(target=send_all, args=(wire, chunked))
        wire.socket.settimeout(None)
        sending.start()
        stalls(wire.socket)
        assert read_all(there, chunked) == SIZE
        sending.join()
        there.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert wire.answer().status == 200


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_download_waits_for_a_slow_client(client: Connect, service: Service, gateway: Gateway, framing: str) -> None:
    wire = client()
    with watched(gateway, "download"):
        wire.send(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
        there = service.accept()
        there.request()
        fields = {
            "length": b"Content-Length: %d\r\n" % SIZE,
            "chunked": b"Transfer-Encoding: chunked\r\n",
            "close": b"",
        }
        there.send(b"HTTP/1.1 200 OK\r\n" + fields[framing] + b"\r\n")

        def send() -> None:
            send_all(there, framing == "chunked")
            if framing == "close":
                there.finish()

        there.socket.settimeout(None)
        sending = Thread(target=send)
        sending.start()
        assert wire.head().status == 200
        stalls(there.socket)
        assert read_all(wire, framing != "length") == SIZE
        sending.join()
