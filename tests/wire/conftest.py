"""One gateway that all tests share which need nothing special, and its service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.wire.gateway import Gateway
from tests.wire.server import Server
from tests.wire.sockets import Service, Wire, connect

Connect = Callable[[], Wire]

INI = """\
[gateway]
access_log = -
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:{port}
retry.attempts = 1
breaker.volume = 1000000
[route:users]
path = /
service = user
[route:big]
path = /big
service = user
max_body = 0
"""
"""Everything goes to one service."""


@pytest.fixture(scope="session")
def _service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture(scope="session")
def _gateway(_service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("gateway"), INI.format(port=_service.port)) as gateway:
        yield gateway


@pytest.fixture
def service(_service: Service) -> Iterator[Service]:
    """The service behind :func:`gateway`, without connections."""
    yield _service
    _service.settle()


@pytest.fixture
def gateway(_gateway: Gateway, service: Service) -> Iterator[Gateway]:
    """A gateway with one route to ``service``; its log must stay clean."""
    before = len(_gateway.output)
    yield _gateway
    assert _gateway.output[before:] == []


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Connect]:
    """Makes connections to ``gateway``."""
    wires: list[Wire] = []

    def make(**options: int) -> Wire:
        wires.append(connect(gateway.port, **options))
        return wires[-1]

    yield make
    for wire in wires:
        wire.close()


@pytest.fixture
def own_service() -> Iterator[Service]:
    """A service for a gateway that a test starts by itself."""
    service = Service()
    yield service
    service.close()


@pytest.fixture
def user() -> Iterator[Server]:
    """A service that says ``hi`` to everything, for such a gateway."""
    server = Server()
    server.body = b"hi"
    yield server
    server.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where such a gateway runs."""
    return tmp_path
