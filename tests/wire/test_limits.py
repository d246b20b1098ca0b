"""Limits by consumer, by field and by what is under way, at a real gateway."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from apigw.config.loader import loads
from tests.examples import ini_examples
from tests.wire.gateway import Gateway
from tests.wire.server import Server
from tests.wire.sockets import Message, Service, connect

INI = """\
[gateway]
access_log = off
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:{port}
[api_keys]
file = keys
[consumer:acme]
limit = 3/h
[route:keyed]
path = /keyed
service = user
auth = {auth}
limit.consumer = 2/h
limit.by = header:X-Tenant 1/h
[route:other]
path = /other
service = user
auth = {auth}
[route:narrow]
path = /narrow
service = user
concurrent.ip = 1
"""


def test_consumers_and_fields_have_limits(user: Server, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(
        "".join(f"{name} sha256:{hashlib.sha256(name.encode()).hexdigest()}\n" for name in ("acme", "other"))
    )
    with Gateway(tmp_path, INI.format(port=user.port, auth="required")) as gateway:

        def ask(path: str, key: str, tenant: str) -> Message:
            wire = connect(gateway.port)
            wire.send(f"GET {path} HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nX-Tenant: {tenant}\r\n\r\n".encode())
            answer = wire.answer()
            wire.close()
            return answer

        answer = ask("/keyed", "acme", "a")
        assert answer.status == 200
        policies = b'"consumer";q=2;w=3600, "header:x-tenant";q=1;w=3600, "consumer";q=3;w=3600'
        assert answer.one(b"ratelimit-policy") == policies
        assert ask("/keyed", "acme", "a").status == 429
        assert ask("/keyed", "acme", "b").status == 200
        assert ask("/keyed", "acme", "c").status == 429, "two by the route"
        assert ask("/keyed", "other", "c").status == 200, "the refused one has spent nothing of the tenant's"
        assert ask("/other", "acme", "c").status == 200
        assert ask("/other", "acme", "c").status == 429, "three in all"
        assert ask("/other", "other", "c").status == 200
    assert len(user.asked) == 5


def test_what_is_under_way_is_bounded_until_it_is_over(own_service: Service, tmp_path: Path) -> None:
    with Gateway(tmp_path, INI.format(port=own_service.port, auth="none").replace("file = keys", "")) as gateway:
        first, second = connect(gateway.port), connect(gateway.port)
        for _ in range(3):
            first.send(b"GET /narrow HTTP/1.1\r\nHost: h\r\n\r\n")
            there = own_service.accept()
            there.request()
            second.send(b"GET /narrow HTTP/1.1\r\nHost: h\r\n\r\n")
            assert second.answer().status == 429
            first.reset()
            there.gone()
            first = connect(gateway.port)
        first.close()
        second.close()


def test_the_examples_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "redis-url").write_text("redis://h\n")
    one, other = (loads(example, "f", {}) for example in ini_examples("stages/limits.md"))
    [route] = one.routes
    assert [combination.name for combination in route.limit.by] == ["header:x-tenant", "ip+header:x-device"]
    assert other.limits is not None
    assert str(other.limits.redis) == "redis://h:6379"
