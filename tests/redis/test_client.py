"""The client with real servers: that answer, hang, crash, are full, want passwords, or are found by Sentinels."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from apigw.policy.redis_url import parse_redis_url
from apigw.redis.client import Redis, RedisSettings, script
from apigw.redis.link import Refused, Unavailable
from tests.redis.server import RedisServer, free_port

BOUND = 10.0
ECHO = script("return {KEYS[1], ARGV[1]}")


@contextmanager
def client(url: str, instance: str = "one", deadline: float = 0.5, **more: Any) -> Iterator[Redis]:
    made = Redis(RedisSettings(parse_redis_url(url), instance, deadline), reactor, monotonic, Random(1), **more)
    made.start()
    try:
        yield made
    finally:
        made.stop()


async def until(condition: Callable[[], object]) -> None:
    """Wait for what others do."""
    end = monotonic() + BOUND
    while not condition():
        assert monotonic() < end, "waited in vain"
        await deferLater(reactor, 0.005)


async def failure(asked: Awaitable[Any]) -> str:
    with pytest.raises(Unavailable) as caught:
        await asked
    return str(caught.value)


@pytest_twisted.ensureDeferred
async def test_runs_scripts_that_the_server_knows_and_that_it_has_forgotten(server: RedisServer) -> None:
    with client(f"redis://127.0.0.1:{server.port}") as redis:
        assert await failure(redis.run(ECHO, ["a"], "b")) == "not connected yet"
        await until(lambda: redis.ready)
        for _ in range(2):
            assert await redis.run(ECHO, ["a"], "b") == [b"apigw:a", b"b"]
        server.ask("SCRIPT", "FLUSH")
        assert await redis.run(ECHO, ["a"], 7) == [b"apigw:a", b"7"]
        assert redis.failures == 0


@pytest_twisted.ensureDeferred
async def test_calls_are_pipelined_and_each_gets_its_reply(server: RedisServer) -> None:
    with client(f"redis://127.0.0.1:{server.port}") as redis:
        await until(lambda: redis.ready)
        waiting = [redis.run(ECHO, [f"{number}"], number) for number in range(100)]
        for number, asked in enumerate(waiting):
            assert await asked == [b"apigw:%d" % number, b"%d" % number]


@pytest_twisted.ensureDeferred
async def test_a_server_that_hangs_costs_the_deadline_a_few_times_and_then_nothing(server: RedisServer) -> None:
    with client(f"redis://127.0.0.1:{server.port}", deadline=0.05) as redis:
        await until(lambda: redis.ready)
        server.hang()
        for _ in range(3):
            begun = monotonic()
            assert await failure(redis.run(ECHO, ["a"], "b")) == "no reply in time"
            assert monotonic() - begun < 0.5
        assert not redis.ready
        assert redis.failures == 3
        assert await failure(redis.run(ECHO, ["a"], "b")) == "no reply in time"
        assert redis.failures == 3
        server.go_on()
        await until(lambda: redis.ready)
        assert await redis.run(ECHO, ["a"], "b") == [b"apigw:a", b"b"]


@pytest_twisted.ensureDeferred
async def test_a_reply_that_comes_too_late_is_nobody_elses(server: RedisServer) -> None:
    with client(f"redis://127.0.0.1:{server.port}", deadline=0.05) as redis:
        await until(lambda: redis.ready)
        server.hang()
        await failure(redis.run(ECHO, ["late"], "b"))
        server.go_on()
        assert await redis.run(ECHO, ["a"], "b", timeout=5.0) == [b"apigw:a", b"b"]


@pytest_twisted.ensureDeferred
async def test_a_server_that_crashes_fails_what_waits_and_is_found_again(server: RedisServer) -> None:
    with client(f"redis://127.0.0.1:{server.port}", deadline=5.0) as redis:
        await until(lambda: redis.ready)
        server.hang()
        waiting = redis.run(ECHO, ["a"], "b")
        running = deferLater(reactor, 0.02, server.kill)
        assert "no reply" not in await failure(waiting)
        await running
        assert not redis.ready
        server.start()
        await until(lambda: redis.ready)
        assert await redis.run(ECHO, ["a"], "b") == [b"apigw:a", b"b"]


@pytest_twisted.ensureDeferred
async def test_a_server_that_takes_no_writes_is_not_asked(server: RedisServer) -> None:
    with client(f"redis://127.0.0.1:{server.port}") as redis:
        await until(lambda: redis.ready)
        server.ask("CONFIG", "SET", "maxmemory", "1")
        store = script("return redis.call('SET', KEYS[1], ARGV[1])")
        for _ in range(3):
            with pytest.raises(Refused, match="OOM"):
                await redis.run(store, ["a"], "b")
        assert not redis.ready
        server.ask("CONFIG", "SET", "maxmemory", "0")
        await until(lambda: redis.ready)


@pytest_twisted.ensureDeferred
async def test_instances_count_each_other(server: RedisServer) -> None:
    url = f"redis://127.0.0.1:{server.port}"
    with client(url) as one, client(url, "two") as two, client(url, "two") as its_worker:
        await until(lambda: one.instances == 2 and two.instances == 2 and its_worker.instances == 2)


@pytest_twisted.ensureDeferred
async def test_signs_in_by_acl_and_selects_a_database(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, ("user", "gw on >p%40ss ~apigw:* +@all"), ("user", "default off"))
    server.start()
    try:
        with client(f"redis://gw:p%2540ss@127.0.0.1:{server.port}/3") as redis:
            await until(lambda: redis.ready)
            assert await redis.run(ECHO, ["a"], "b") == [b"apigw:a", b"b"]
        with client(f"redis://gw:wrong@127.0.0.1:{server.port}") as redis:
            await until(lambda: redis._why != "not connected yet")
            assert "WRONGPASS" in await failure(redis.run(ECHO, ["a"], "b"))
    finally:
        server.kill()


@pytest_twisted.ensureDeferred
async def test_something_that_is_no_redis_is_left_alone() -> None:
    from twisted.internet.protocol import Factory, Protocol

    class Web(Protocol):
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    port = reactor.listenTCP(0, Factory.forProtocol(Web), interface="127.0.0.1")
    with client(f"redis://127.0.0.1:{port.getHost().port}") as redis:
        await until(lambda: "protocol" in redis._why.lower())
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_sentinels_tell_who_is_master_now(tmp_path: Path) -> None:
    one, two = RedisServer(tmp_path), RedisServer(tmp_path)
    sentinel = RedisServer(
        tmp_path,
        ("sentinel", f"monitor main 127.0.0.1 {one.port} 1"),
        ("sentinel", "down-after-milliseconds main 200"),
        ("sentinel", "failover-timeout main 1000"),
        sentinel=True,
    )
    try:
        one.start()
        two.start()
        two.ask("REPLICAOF", "127.0.0.1", str(one.port))
        sentinel.start()
        url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/main"
        with client(url) as redis:
            await until(lambda: redis.ready)
            assert await redis.run(script("return redis.call('SET', KEYS[1], 'x')"), ["a"]) == b"OK"
            # The other becomes the master, as Sentinels would have it, and the old one takes no writes any more.
            two.ask("REPLICAOF", "NO", "ONE")
            one.ask("REPLICAOF", "127.0.0.1", str(two.port))
            sentinel.ask("SENTINEL", "REMOVE", "main")
            sentinel.ask("SENTINEL", "MONITOR", "main", "127.0.0.1", str(two.port), "1")
            with pytest.raises(Refused, match="READONLY"):
                await redis.run(script("return redis.call('SET', KEYS[1], 'y')"), ["a"])
            await until(lambda: redis.ready)
            assert await redis.run(script("return redis.call('SET', KEYS[1], 'y')"), ["a"]) == b"OK"
            assert two.ask("GET", "apigw:a") == b"$1\r\ny\r\n"
    finally:
        for server in (sentinel, one, two):
            server.kill()
