"""Who is right where gateways come back to a real Redis server and say different things."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import time

import pytest
import pytest_twisted
from twisted.internet import reactor

from apigw.keys.shared import SharedRevocations
from apigw.policy.revocations import Revocation, Revocations
from tests.redis.server import RedisServer
from tests.redis.test_client import client, until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest_twisted.ensureDeferred
async def test_what_was_taken_back_meanwhile_comes_before_what_was_known(server: RedisServer) -> None:
    url = f"redis://127.0.0.1:{server.port}"
    with client(url) as mine, client(url, "two") as theirs:
        late, other = Revocations(time), Revocations(time)
        for key in ("back", "stays"):
            late.take(Revocation("jti", key, time() + 60.0))
        ours, away = SharedRevocations(other, mine, reactor, time), SharedRevocations(late, theirs, reactor, time)
        ours.start()
        try:
            await until(lambda: not ours.behind)
            other.remove("jti", "back")
            await until(lambda: not ours._untold)
            away.start()
            await until(lambda: not away.behind and not away._untold)
            assert set(late.listed) == {("jti", "stays")}
            await until(lambda: set(other.listed) == {("jti", "stays")})

            # What is said anew counts, of course.
            late.add(Revocation("jti", "back", time() + 60.0))
            await until(lambda: len(other) == 2)
        finally:
            ours.stop()
            away.stop()
