"""Revocations that gateways share through a real Redis server."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, time

import jwt
import pytest

from tests.redis.server import RedisServer
from tests.wire.gateway import BOUND, Gateway
from tests.wire.scripted import Reply, Scripted, fetch, scripted

SECRET = "s" * 32

INI = """\
[gateway]
access_log = off
workers = {workers}
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[jwt]
secret_env = JWT_SECRET
[limits]
ip = off
store = redis
redis_url_env = REDIS_URL
[service:a]
urls = http://127.0.0.1:{port}
[route:a]
path = /
service = a
auth = required
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def service() -> Iterator[Scripted]:
    with scripted(lambda asked: Reply(200, b"in")) as service:
        yield service


def start(directory: Path, name: str, redis: RedisServer, service: Scripted, workers: int = 1) -> Gateway:
    (directory / name).mkdir()
    ini = INI.format(port=service.port, workers=workers)
    environ = {"REDIS_URL": f"redis://127.0.0.1:{redis.port}", "JWT_SECRET": SECRET}
    gateway = Gateway(directory / name, ini, environ=environ, listeners=2)
    until(lambda: listing(gateway).get("behind") is False)
    return gateway


def until(holds: Callable[[], object]) -> None:
    """Ask again and again, for what happens elsewhere."""
    end = monotonic() + BOUND
    while not holds():
        assert monotonic() < end, "waited in vain"


def admin(gateway: Gateway, method: str, path: str, value: object = None) -> tuple[int, bytes]:
    body = b"" if value is None else json.dumps(value).encode()
    answer = fetch(gateway.ports["admin"], path, method, body, Host="localhost", Content_Type="application/json")
    return answer.status, answer.body


def listing(gateway: Gateway) -> dict:
    return json.loads(admin(gateway, "GET", "/api/revocations")[1])


def token(jti: str) -> str:
    return jwt.encode({"sub": "u", "jti": jti, "exp": int(time()) + 600}, SECRET, "HS256")


def status(gateway: Gateway, bearer: str) -> int:
    return fetch(gateway.ports["public"], "/", Authorization=f"Bearer {bearer}").status


def test_what_one_revokes_counts_at_none(tmp_path: Path, server: RedisServer, service: Scripted) -> None:
    one, two = token("one"), token("two")
    with start(tmp_path, "first", server, service) as first, start(tmp_path, "second", server, service) as second:
        assert [status(gateway, one) for gateway in (first, second)] == [200, 200]
        assert admin(first, "POST", "/api/revocations", {"jti": "one", "for": "1h"})[0] == 201
        assert status(first, one) == 401
        until(lambda: status(second, one) == 401)
        assert status(second, two) == 200

        # One that starts later knows it, and so do its workers.
        with start(tmp_path, "third", server, service, workers=2) as third:
            assert [status(third, one) for _ in range(8)] == [401] * 8

            # What is taken back is so everywhere.
            assert admin(second, "DELETE", "/api/revocations/jti/one")[0] == 204
            until(lambda: status(first, one) == 200)
            until(lambda: [status(third, one) for _ in range(8)] == [200] * 8)


def test_redis_may_go_and_come_back_empty(tmp_path: Path, server: RedisServer, service: Scripted) -> None:
    one, two, three = token("one"), token("two"), token("three")
    with start(tmp_path, "first", server, service) as first, start(tmp_path, "second", server, service) as second:
        admin(first, "POST", "/api/revocations", {"jti": "one", "for": "1h"})
        until(lambda: status(second, one) == 401)
        server.kill()
        until(lambda: listing(first)["behind"] and listing(second)["behind"])
        scraped = admin(first, "GET", "/metrics")[1]
        assert b"\napigw_revocations 1\n" in scraped
        assert b"\napigw_revocations_behind 1\n" in scraped

        # Each goes on with what it knows, and what is revoked now counts where that was said.
        assert [status(gateway, one) for gateway in (first, second)] == [401, 401]
        assert admin(second, "POST", "/api/revocations", {"jti": "two", "for": "1h"})[0] == 201
        assert admin(first, "DELETE", "/api/revocations/jti/one")[0] == 204
        assert [status(gateway, two) for gateway in (first, second)] == [200, 401]

        # It knows nothing any more; they do.
        server.start()
        until(lambda: status(first, two) == 401)
        until(lambda: status(second, one) == 200)
        with start(tmp_path, "third", server, service) as third:
            assert [status(third, bearer) for bearer in (one, two, three)] == [200, 401, 200]
        for gateway in (first, second):
            gateway.output[:] = [line for line in gateway.output if "left alone" not in line]


def test_a_new_worker_lets_in_nobody_who_is_shut_out(tmp_path: Path, service: Scripted) -> None:
    ini = INI.format(port=service.port, workers=2)
    ini = ini[: ini.index("[limits]")] + ini[ini.index("[service:a]") :]
    one = token("one")
    with Gateway(tmp_path, ini, environ={"JWT_SECRET": SECRET}, listeners=2) as gateway:
        gateway.wait(lambda: sum(" is ready" in line for line in gateway.output) == 2)
        assert admin(gateway, "POST", "/api/revocations", {"jti": "one", "for": "1h"})[0] == 201
        for dies in range(3):
            workers = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()
            for process in workers:
                os.kill(int(process), signal.SIGKILL)
            # The first to accept may be asked before it could be told: connections wait until one does.
            assert [status(gateway, one) for _ in range(4)] == [401] * 4
            until(lambda dies=dies: sum(" is ready" in line for line in gateway.output) == 2 * dies + 4)
        gateway.output[:] = [line for line in gateway.output if "has ended after" not in line]


def test_who_starts_lets_in_nobody_before_it_knows(tmp_path: Path, server: RedisServer, service: Scripted) -> None:
    one = token("one")
    with start(tmp_path, "first", server, service) as first:
        assert admin(first, "POST", "/api/revocations", {"jti": "one", "for": "1h"})[0] == 201
        until(lambda: listing(first)["behind"] is False)
        for name, workers in (("alone", 1), ("two", 2)):
            (tmp_path / name).mkdir()
            ini = INI.format(port=service.port, workers=workers)
            environ = {"REDIS_URL": f"redis://127.0.0.1:{server.port}", "JWT_SECRET": SECRET}
            with Gateway(tmp_path / name, ini, environ=environ, listeners=2) as gateway:
                assert [status(gateway, one) for _ in range(4)] == [401] * 4


def test_who_starts_without_redis_goes_on_alone(tmp_path: Path, server: RedisServer, service: Scripted) -> None:
    server.kill()
    ini = INI.format(port=service.port, workers=1)
    environ = {"REDIS_URL": f"redis://127.0.0.1:{server.port}", "JWT_SECRET": SECRET}
    with Gateway(tmp_path, ini, environ=environ, listeners=2) as gateway:
        assert status(gateway, token("one")) == 200
        assert listing(gateway)["behind"] is True
        assert any("can't be asked what others have revoked" in line for line in gateway.output)
        gateway.output[:] = [line for line in gateway.output if "redis" not in line]


def test_by_an_acl_user_with_the_documented_rights(tmp_path: Path, service: Scripted) -> None:
    page = (Path(__file__).parents[2] / "docs/stages/limits.md").read_text()
    rights = page.partition("an ACL user\nneeds `")[2].partition("`")[0].split()
    for name, given in (("told", rights), ("mute", [one for one in rights if one[0] != "&"])):
        (tmp_path / name).mkdir()
        server = RedisServer(tmp_path / name, ("user", f"default on nopass resetchannels {' '.join(given)}"))
        server.start()
        try:
            ini = INI.format(port=service.port, workers=1)
            environ = {"REDIS_URL": f"redis://127.0.0.1:{server.port}", "JWT_SECRET": SECRET}
            with Gateway(tmp_path / name, ini, environ=environ, listeners=2) as gateway:
                admin(gateway, "POST", "/api/revocations", {"jti": "one", "for": "1h"})
                if name == "told":
                    until(lambda: listing(gateway)["behind"] is False)
                    continue
                # What can't be told to others is said once, and limits are counted there as before.
                until(lambda: any("can't be told what is revoked" in line for line in gateway.output))
                until(lambda: any("refuses the channel" in line for line in gateway.output))
                assert listing(gateway)["behind"] is True
                assert status(gateway, token("two")) == 200
                assert not any("left alone" in line for line in gateway.output)
                gateway.output[:] = [line for line in gateway.output if "redis" not in line]
        finally:
            server.kill()


def test_a_new_worker_knows_what_others_told_when_redis_is_gone(
    tmp_path: Path, server: RedisServer, service: Scripted
) -> None:
    one = token("one")
    with start(tmp_path, "first", server, service) as first, start(tmp_path, "two", server, service, 2) as two:
        until(lambda: sum(" is ready" in line for line in two.output) == 2)
        assert admin(first, "POST", "/api/revocations", {"jti": "one", "for": "1h"})[0] == 201
        assert admin(first, "POST", "/api/revocations", {"sub": "x/ü", "for": "1h"})[0] == 201
        until(lambda: listing(two)["total"] == 2 and [status(two, one) for _ in range(8)] == [401] * 8)
        server.kill()
        workers = Path(f"/proc/{two.pid}/task/{two.pid}/children").read_text().split()
        for process in workers:
            os.kill(int(process), signal.SIGKILL)
        assert [status(two, one) for _ in range(4)] == [401] * 4
        until(lambda: sum(" is ready" in line for line in two.output) == 4)
        assert listing(two)["total"] == 2

        # What is taken back is so for those that start, too.
        assert admin(two, "DELETE", "/api/revocations/sub/x%2F%C3%BC")[0] == 204
        assert admin(two, "DELETE", "/api/revocations/jti/one")[0] == 204
        for process in Path(f"/proc/{two.pid}/task/{two.pid}/children").read_text().split():
            os.kill(int(process), signal.SIGKILL)
        assert [status(two, one) for _ in range(4)] == [200] * 4
        for gateway in (first, two):
            gateway.output[:] = [line for line in gateway.output if "redis" not in line and "has ended" not in line]
