"""Answers that several services make together, through a real gateway."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import jwt
import pytest

from tests.wire.gateway import BOUND, Gateway
from tests.wire.scripted import Question, Reply, Scripted, fetch, scripted
from tests.wire.sockets import Message, connect

SECRET = "s" * 40

INI = """\
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[jwt]
secret_env = JWT_SECRET
[identity]
sign = none
[limits]
ip = off
[service:user]
urls = http://127.0.0.1:{user}
[service:music]
urls = http://127.0.0.1:{music}
retry.attempts = 2
retry.on = 503
retry.backoff = 1ms..2ms
breaker.consecutive = 2
breaker.volume = 1000
[service:shut]
urls = http://127.0.0.1:{music}
maintenance = 10m
[route:home]
path = /home/{{id}}
aggregate =
  user:/internal/users/{{param.id}} as profile
  music:/internal/top?for={{user}}&{{query}} as music
aggregate.failure = omit
aggregate.timeout = 500ms
aggregate.max_body = 1KiB
auth = optional
[route:null]
path = /null
aggregate = user:/u as profile, music:/m?{{query}} as music, shut:/s as shut
aggregate.failure = null
[route:all]
path = /all
aggregate = user:/u?{{query}} as profile, music:/m?{{query}} as music
auth = required
limit.user = 2/m
[route:kept]
path = /kept
aggregate = user:/u?kept as profile, music:/m?{{query}} as music
aggregate.failure = omit
cache = on
response.body.remove = profile.password
"""


class Music:
    """:ivar hold: while it is clear, what asks for ``slow`` gets no answer."""

    def __init__(self) -> None:
        self.hold = Event()

    def say(self, asked: Question) -> Reply:
        if "slow" in asked.target:
            self.hold.wait(BOUND)
        fields = {"Content-Type": "application/json", "Cache-Control": "max-age=60", "Set-Cookie": "a=b"}
        if status := re.search("status=([0-9]+)", asked.target):
            return Reply(int(status[1]), b"{}", fields)
        if "html" in asked.target:
            return Reply(200, b"{}", {"Content-Type": "text/html"})
        if "broken" in asked.target:
            return Reply(200, b'{"a":', fields)
        if "large" in asked.target:
            return Reply(200, json.dumps("x" * 2000).encode(), fields)
        return Reply(200, b'[1.10, "\\u00e9"]', fields)


@pytest.fixture
def music() -> Iterator[tuple[Music, Scripted]]:
    one = Music()
    with scripted(one.say) as service:
        yield one, service
        one.hold.set()


@pytest.fixture
def user() -> Iterator[Scripted]:
    def say(asked: Question) -> Reply:
        fields = {"Content-Type": "application/vnd.user+json"}
        if "kept" in asked.target:
            fields |= {"Cache-Control": "max-age=60", "Vary": "Accept-Language, Accept-Encoding"}
        status = 404 if "nobody" in asked.target else 204 if "nothing" in asked.target else 200
        return Reply(status, b'{"name": "ann", "password": "p"}' if status == 200 else b"", fields)

    with scripted(say) as service:
        yield service


@pytest.fixture
def gateway(user: Scripted, music: tuple[Music, Scripted], tmp_path: Path) -> Iterator[Gateway]:
    ini = INI.format(user=user.port, music=music[1].port)
    with Gateway(tmp_path, ini, environ={"JWT_SECRET": SECRET}, listeners=2) as gateway:
        yield gateway


def token() -> str:
    return "Bearer " + jwt.encode({"sub": "ann", "exp": 4_000_000_000}, SECRET, "HS256")


def value(answer: Message) -> Any:
    return json.loads(answer.body)


def counted(text: str, name: str, *labels: str) -> dict[tuple[str, ...], int]:
    found = {}
    for line in re.findall(rf"^{name}\{{(.*)$", text, re.MULTILINE):
        told = dict(re.findall(r'(\w+)="([^"]*)"', line))
        found[tuple(told[label] for label in labels or ("http_route", "part", "outcome"))] = int(line.split()[-1])
    return found


ANN = {"name": "ann", "password": "p"}


def test_services_are_asked_at_once_and_their_answers_are_members(
    gateway: Gateway, user: Scripted, music: tuple[Music, Scripted]
) -> None:
    answer = fetch(
        gateway.port,
        "/home/a%20b?n=3",
        Authorization=token(),
        Accept="text/html",
        If_None_Match='"x"',
        Range="bytes=0-1",
        Accept_Language="de",
    )
    assert (answer.status, answer.one(b"Content-Type")) == (200, b"application/json")
    assert answer.body == b'{"profile":{"name": "ann", "password": "p"},"music":[1.10, "\\u00e9"]}'
    assert answer.one(b"Cache-Control") == b"no-store"  # one says 60 s, the other nothing
    assert not answer.all(b"Set-Cookie")
    [one], [other] = user.asked, music[1].asked
    assert (one.target, other.target) == ("/internal/users/a%20b", "/internal/top?for=ann&n=3")
    for asked in (one, other):
        assert (asked.method, asked.body) == ("GET", b"")
        assert asked.fields["x-request-id"] == answer.text("X-Request-Id")
        assert (asked.fields["x-user-id"], asked.fields["accept-language"]) == ("ann", "de")
        assert (asked.fields["accept"], asked.fields["accept-encoding"]) == ("application/json", "identity")
        assert {"if-none-match", "range"}.isdisjoint(asked.fields)
        assert int(asked.fields["x-timeout-remaining"]) <= 500
    line = gateway.line(answer.text("X-Request-Id"))
    assert (line["route"], line["status"], line["error"]) == ("home", 200, None)


def test_head_has_no_body_and_other_methods_are_refused(gateway: Gateway, user: Scripted) -> None:
    whole = fetch(gateway.port, "/home/1", Authorization=token())
    head = fetch(gateway.port, "/home/1", "HEAD", Authorization=token())
    assert (head.status, head.body, head.one(b"Content-Length")) == (200, b"", whole.one(b"Content-Length"))
    assert {asked.method for asked in user.asked} == {"GET"}
    refused = fetch(gateway.port, "/home/1", "POST")
    assert (refused.status, refused.one(b"Allow")) == (405, b"GET, HEAD")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("status=404", 404, "part-status"),
        ("status=302", 302, "part-status"),
        ("status=503", 503, "part-status"),
        ("html", 502, "part-not-json"),
        ("broken", 502, "part-not-json"),
        ("large", 502, "part-too-large"),
        ("slow", 504, "upstream-total-timeout"),
    ],
)
def test_what_fails_is_left_out_and_told(gateway: Gateway, query: str, status: int, code: str) -> None:
    answer = fetch(gateway.port, f"/home/1?{query}", Authorization=token())
    assert answer.status == 200
    assert value(answer) == {"profile": ANN, "errors": [{"name": "music", "status": status, "code": code}]}
    assert answer.one(b"Cache-Control") == b"no-store"


def test_what_fails_is_null_and_a_service_in_maintenance_has(gateway: Gateway) -> None:
    answer = fetch(gateway.port, "/null?status=500")
    assert value(answer) == {
        "profile": ANN,
        "music": None,
        "shut": None,
        "errors": [
            {"name": "music", "status": 500, "code": "part-status"},
            {"name": "shut", "status": 503, "code": "maintenance"},
        ],
    }


def test_one_that_fails_fails_all(gateway: Gateway, music: tuple[Music, Scripted]) -> None:
    for query, status in (("status=500", 502), ("nobody&slow", 404)):  # and the slow one isn't waited for
        answer = fetch(gateway.port, f"/all?{query}", Authorization=token())
        assert (answer.status, value(answer)["code"]) == (status, "part-failed")
    assert value(answer)["detail"] == "The part profile was answered with 404."


def test_where_all_fail_so_does_the_whole(gateway: Gateway) -> None:
    answer = fetch(gateway.port, "/home/nobody?status=500")
    assert (answer.status, value(answer)["code"]) == (404, "part-failed")


def test_policies_hold_as_on_any_route(gateway: Gateway, user: Scripted) -> None:
    assert fetch(gateway.port, "/all").status == 401
    assert user.asked == []
    assert [fetch(gateway.port, "/all", Authorization=token()).status for _ in range(3)] == [200, 200, 429]
    assert len(user.asked) == 2


def test_parts_are_retried_and_their_breakers_open(gateway: Gateway, music: tuple[Music, Scripted]) -> None:
    def told() -> str:
        [error] = value(fetch(gateway.port, "/home/1?status=503"))["errors"]
        return str(error["code"])

    assert told() == "part-status"
    assert [asked.fields.get("x-retry-count") for asked in music[1].asked] == [None, "1"]
    assert told() == "circuit-open"
    assert len(music[1].asked) == 2
    text = fetch(gateway.ports["admin"], "/metrics", Host="localhost").body.decode()
    assert counted(text, "apigw_aggregate_parts_total") == {
        ("home", "profile", "2xx"): 2,
        ("home", "music", "5xx"): 1,
        ("home", "music", "circuit-open"): 1,
    }
    attempts = counted(text, "apigw_upstream_attempts_total", "service", "outcome")
    assert (attempts["user", "2xx"], attempts["music", "5xx"]) == (2, 2)


def test_a_slow_service_is_given_a_rest(gateway: Gateway) -> None:
    errors = [value(fetch(gateway.port, "/home/1?slow"))["errors"][0]["code"] for _ in range(3)]
    assert errors == ["upstream-total-timeout", "upstream-total-timeout", "circuit-open"]


def test_a_whole_answer_is_kept_and_changed_as_any_other(gateway: Gateway, user: Scripted) -> None:
    answers = [fetch(gateway.port, "/kept") for _ in range(2)]
    assert len(user.asked) == 1
    for answer in answers:
        assert value(answer) == {"profile": {"name": "ann"}, "music": [1.1, "é"]}
        assert (answer.one(b"Cache-Control"), answer.one(b"Vary")) == (b"max-age=60", b"accept-language")
    partial = [fetch(gateway.port, "/kept?broken") for _ in range(2)]
    assert [value(answer)["profile"] for answer in partial] == [{"name": "ann"}] * 2
    assert len(user.asked) == 3


def test_a_client_that_goes_ends_what_is_asked_for_it(gateway: Gateway, music: tuple[Music, Scripted]) -> None:
    wire = connect(gateway.port)
    wire.send(b"GET /null?slow HTTP/1.1\r\nHost: h\r\nX-Request-Id: gone-0001\r\n\r\n")
    while not music[1].asked:
        pass
    wire.reset()
    gateway.wait(lambda: any(line["path"].startswith("/null") for line in gateway.logged))
    [line] = [line for line in gateway.logged if line["path"].startswith("/null")]
    assert line["error"] == "client-disconnected"


def test_to_explain_tells_of_each_part(gateway: Gateway, user: Scripted) -> None:
    body = json.dumps({"url": "http://h/home/7?n=1"}).encode()
    admin = gateway.ports["admin"]
    answer = fetch(admin, "/api/explain", "POST", body, Host="localhost", Content_Type="application/json")
    parts = value(answer)["forward"]["parts"]
    assert [(part["name"], part["service"], part["target"]) for part in parts] == [
        ("profile", "user", "/internal/users/7"),
        ("music", "music", "/internal/top?for=&n=1"),
    ]
    assert user.asked == []
