"""What a reload replaces is freed as soon as nobody uses it, without the collector, which would stop the loop."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.web.client import Agent, readBody

from apigw.config.loader import loads
from apigw.doors import ADMIN
from apigw.reload import Source
from apigw.service import Gateway
from apigw.sockets import Sockets
from tests.kit import asking

CONFIG = """\
[gateway]
access_log = {log}
trusted_proxies = 10.0.0.0/8
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[jwt]
secret_env = SECRET
token.cookie = token
[cors]
origins = https://shop.example
credentials = yes
[cache]
size = 1MiB
[versioning]
sources = path
[version:1]
[graphql]
service = items
[service:user]
urls = http://127.0.0.1:1
[service:items]
urls = http://127.0.0.1:1, http://127.0.0.1:2
adaptive.limit = 10
hedge.after = 20%
sticky.cookie = peer
sticky.secret_env = SECRET
retry.attempts = 3
[route:cached]
path = /cached
version = 1
service = items
auth = required
cache = 5s
limit.ip = 100/s
limit.user = 10/s
[route:once]
path = /once/{id}
rewrite = /items/{id}
version = unversioned
service = items
upgrade = yes
auth = optional
idempotency = 1h
[route:changed]
path = /changed
version = unversioned
service = items
mirror = user:5%
response.body.rename = a: b
maintenance = 5s
[route:split]
path = /split
version = unversioned
split = items:50, user:50
"""
ENVIRON = {"SECRET": "s" * 32}


@pytest_twisted.async_yield_fixture
async def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    path = tmp_path / "gw.ini"
    path.write_text(CONFIG.format(log=tmp_path / "access.log", id="{id}"))
    config = loads(path.read_text(), str(path), ENVIRON)
    made = Gateway(config, reactor, Source(str(path), ENVIRON), Sockets(os.environ))
    try:
        yield made
    finally:
        await made._doors.close()
        await made._wiring.stop()


@pytest_twisted.ensureDeferred
async def test_the_configuration_before_is_gone_once_another_is_in_force(gateway: Gateway) -> None:
    [port] = [door.port.getHost().port for door in gateway._doors.all if door.port is not None and door.header != ADMIN]
    for path in (b"health", b"once/1", b"nothing"):
        answer = await Agent(reactor).request(b"GET", b"http://127.0.0.1:%d/%b" % (port, path))
        assert await readBody(answer)
        del answer
    stages = {stage for _, route, _ in gateway._wiring._routing.find.why(asking()) for stage in route.stages}
    before = [weakref.ref(one) for one in (gateway._wiring, gateway._wiring.core, *stages)]
    del stages
    gc.collect()
    gc.disable()
    try:
        assert await gateway.reload()
        assert gateway._live is not None
        gateway._live.recent.turn()  # as each second
        assert [one() for one in before] == [None] * len(before)
    finally:
        gc.enable()
