"""A cache that gateways share through a real Redis server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest

from apigw.config import ConfigErrors
from apigw.config.loader import loads
from tests.redis.server import RedisServer
from tests.wire.gateway import BOUND, Gateway
from tests.wire.scripted import Question, Reply, Scripted, fetch, scripted

INI = """\
[gateway]
access_log = off
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[limits]
ip = off
store = redis
redis_url_env = REDIS_URL
[cache]
store = redis
[service:a]
urls = http://127.0.0.1:{port}
[route:a]
path = /
service = a
cache = 60s
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def service() -> Iterator[Scripted]:
    def say(asked: Question) -> Reply:
        fields = {"Vary": "Accept-Language"} if "vary" in asked.target else {}
        if "private" in asked.target:
            fields["Cache-Control"] = "private"
        size = 400_000 if "large" in asked.target else 3
        return Reply(200, b"%d-" % len(service.asked) + b"x" * size, fields)

    with scripted(say) as service:
        yield service


def until(holds: Callable[[], object]) -> None:
    end = monotonic() + BOUND
    while not holds():
        assert monotonic() < end, "waited in vain"


def start(directory: Path, name: str, redis: RedisServer, service: Scripted) -> Gateway:
    (directory / name).mkdir()
    environ = {"REDIS_URL": f"redis://127.0.0.1:{redis.port}"}
    gateway = Gateway(directory / name, INI.format(port=service.port), environ=environ, listeners=2)
    gateway.wait(lambda: any("answers" in line for line in gateway.output))
    return gateway


def settled(redis: RedisServer, *gateways: Gateway) -> None:
    """Each listens to the others."""
    until(lambda: redis.ask("PUBSUB", "NUMSUB", "apigw:cache").endswith(b":%d\r\n" % len(gateways)))


def how(gateway: Gateway, path: str, **fields: str) -> tuple[bytes, str]:
    answer = fetch(gateway.ports["public"], path, **fields)
    assert answer.status == 200
    return answer.body[:2], answer.text("Cache-Status").removeprefix("apigw; ").partition(";")[0]


def found(gateway: Gateway, path: str, **fields: str) -> bytes:
    """What others keep, as soon as it is there; asking doesn't keep it here."""
    answer = fetch(gateway.ports["public"], path, **fields)
    return answer.body[:2]


def test_what_one_keeps_all_have(tmp_path: Path, server: RedisServer, service: Scripted) -> None:
    with start(tmp_path, "first", server, service) as first, start(tmp_path, "second", server, service) as second:
        settled(server, first, second)
        assert how(first, "/a") == (b"1-", "fwd=uri-miss")
        until(lambda: b":1\r\n" in server.ask("DBSIZE") or b":2\r\n" in server.ask("DBSIZE"))
        until(lambda: server.ask("EXISTS", *keys(server)).startswith(b":1"))
        assert how(second, "/a") == (b"1-", "hit")
        assert how(second, "/a", Cache_Control="no-cache")[1] == "fwd=request"

        # Vary holds between them.
        assert how(first, "/vary", Accept_Language="de")[0] == b"3-"
        until(lambda: len(keys(server)) == 2)
        assert how(second, "/vary", Accept_Language="de") == (b"3-", "hit")
        assert how(second, "/vary", Accept_Language="en")[0] == b"4-"

        # What isn't for all, or is large, stays where it is.
        how(first, "/private")
        how(first, "/large")
        assert how(second, "/private")[1].startswith("fwd=")
        assert how(second, "/large")[1].startswith("fwd=")

        # A change at one is one at all.
        assert fetch(second.ports["public"], "/a", "POST").status == 200
        until(lambda: how(first, "/a")[0] != b"1-")

        # So is a purge.
        before = how(first, "/vary", Accept_Language="de")
        assert before[1] == "hit"
        purge = fetch(
            second.ports["admin"], "/api/cache/purge", "POST", b"{}", Host="localhost", Content_Type="application/json"
        )
        assert purge.status == 200
        until(lambda: how(first, "/vary", Accept_Language="de")[0] != before[0])


def keys(redis: RedisServer) -> list[str]:
    told = redis.ask("KEYS", "apigw:cache:*").decode().split("\r\n")
    return [line for line in told if line.startswith("apigw:")]


def test_without_redis_each_goes_on_by_itself(tmp_path: Path, server: RedisServer, service: Scripted) -> None:
    with start(tmp_path, "first", server, service) as first:
        settled(server, first)
        server.kill()
        assert how(first, "/a")[1] == "fwd=uri-miss"
        assert how(first, "/a")[1] == "hit"
        first.output[:] = [line for line in first.output if "left alone" not in line]


def test_what_was_purged_while_redis_hung_stays_so(tmp_path: Path, server: RedisServer, service: Scripted) -> None:
    with start(tmp_path, "first", server, service) as first, start(tmp_path, "second", server, service) as second:
        settled(server, first, second)
        assert how(first, "/a")[0] == b"1-"
        assert how(first, "/b")[0] == b"2-"
        until(lambda: len(keys(server)) == 2)
        assert [how(second, path) for path in ("/a", "/b")] == [(b"1-", "hit"), (b"2-", "hit")]

        server.hang()
        until(lambda: any("left alone" in line for line in first.output))
        purge = b'{"path": "/a"}'
        told = fetch(
            first.ports["admin"], "/api/cache/purge", "POST", purge, Host="localhost", Content_Type="application/json"
        )
        assert told.status == 200
        assert fetch(first.ports["public"], "/b", "POST").status == 200
        until(lambda: any("until redis can be told" in line for line in first.output))
        server.go_on()

        # It has kept both, but nobody gets them from there.
        until(lambda: how(second, "/a")[0] not in (b"1-", b"2-"))
        until(lambda: how(second, "/b")[0] not in (b"1-", b"2-"))
        assert [how(first, path)[0] in (b"1-", b"2-") for path in ("/a", "/b")] == [False, False]
        for gateway in (first, second):
            gateway.output[:] = [line for line in gateway.output if "redis" not in line]


def test_it_needs_a_server() -> None:
    with pytest.raises(ConfigErrors, match=r"f:2: \[cache\] store: redis is not there, write store = redis"):
        loads("[cache]\nstore = redis\n", "f", {})
