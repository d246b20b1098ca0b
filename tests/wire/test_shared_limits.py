"""Limits of several gateways that count in the same memory, as workers do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from apigw.state.shared import SharedMemory
from tests.wire.gateway import Gateway
from tests.wire.sockets import connect

INI = """\
[gateway]
access_log = off
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:1
[route:one]
path = /one
service = user
limit.ip = 101/h
[limits]
ip = off
"""

ASKED = 100


def served(port: int) -> int:
    """:return: how many of :data:`ASKED` requests were let through, here to where a service would be."""
    wire = connect(port)
    wire.send(b"GET /one HTTP/1.1\r\nHost: h\r\n\r\n" * ASKED)
    statuses = [wire.answer().status for _ in range(ASKED)]
    wire.close()
    assert set(statuses) <= {502, 503, 429}
    return len(statuses) - statuses.count(429)


def test_gateways_that_share_memory_admit_exactly_the_limit(tmp_path: Path) -> None:
    made = SharedMemory.create(1000, 2)
    environ, another = made.environment(0), made.environment(1)
    directories = [tmp_path / name for name in "ab"]
    for directory in directories:
        directory.mkdir()
    try:
        with (
            Gateway(directories[0], INI, environ=environ, descriptors=made.descriptors) as one,
            Gateway(directories[1], INI, environ=another, descriptors=made.descriptors) as two,
            ThreadPoolExecutor(4) as threads,
        ):
            assert sum(threads.map(served, [one.port, two.port] * 2)) == 101
            two.kill()
            assert served(one.port) == 0
            with Gateway(directories[1], INI, environ=another, descriptors=made.descriptors) as new:
                assert served(new.port) == 0, "what was counted stays counted"
    finally:
        made.close()
