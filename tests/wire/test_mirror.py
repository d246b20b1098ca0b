"""Copies of requests, through a real gateway."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from tests.wire.gateway import BOUND, Gateway
from tests.wire.scripted import Question, Reply, Scripted, fetch, scripted

INI = """\
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[limits]
ip = off
[service:live]
urls = http://127.0.0.1:{live}
retry.attempts = 1
[service:shadow]
urls = http://127.0.0.1:{shadow}
breaker.volume = 1000
[service:gone]
urls = http://127.0.0.1:{gone}
[service:shut]
urls = http://127.0.0.1:{shadow}
maintenance = yes
[route:half]
path = /half
service = live
mirror = shadow:50%
rewrite = /v2
request.set = X-Env: prod
[route:all]
path = /all
service = live
mirror = shadow:100%, gone:100%, shut:100%
mirror.max_body = 1KiB
idempotency = on
[route:refused]
path = /refused
service = live
mirror = shadow:100%
limit.route = 1/h
[route:busy]
path = /busy
service = live
mirror = shadow:100%
mirror.max_in_flight = 1
timeout.total = 1s
"""


class Shadow:
    """:ivar hold: while it is clear, requests for /busy get no answer."""

    def __init__(self) -> None:
        self.hold = Event()

    def say(self, asked: Question) -> Reply:
        if asked.target == "/busy":
            self.hold.wait(BOUND)
        return Reply(500 if "fail" in asked.target else 200, b"x" * 1000)


@pytest.fixture
def shadow() -> Iterator[tuple[Shadow, Scripted]]:
    one = Shadow()
    with scripted(one.say) as service:
        yield one, service
        one.hold.set()


@pytest.fixture
def live() -> Iterator[Scripted]:
    with scripted(lambda asked: Reply(200, b"live " + asked.body)) as service:
        yield service


@pytest.fixture
def gateway(live: Scripted, shadow: tuple[Shadow, Scripted], tmp_path: Path) -> Iterator[Gateway]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        ini = INI.format(live=live.port, shadow=shadow[1].port, gone=taken.getsockname()[1])
        with Gateway(tmp_path, ini, listeners=2) as gateway:
            yield gateway


def outcomes(gateway: Gateway, route: str) -> dict[tuple[str, str], int]:
    text = fetch(gateway.ports["admin"], "/metrics", Host="localhost").body.decode()
    found = {}
    for labels, count in re.findall(r"^apigw_mirrored_requests_total\{(.*)\} ([0-9.]+)$", text, re.MULTILINE):
        told = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if told["http_route"] == route:
            found[told["service"], told["outcome"]] = int(float(count))
    return found


def await_outcomes(gateway: Gateway, route: str, wanted: dict[tuple[str, str], int]) -> None:
    """Copies are under way beside the client: wait until what became of them is counted."""
    until = monotonic() + BOUND
    while (found := outcomes(gateway, route)) != wanted:
        assert monotonic() < until, found


def test_a_share_of_the_requests_is_copied_as_the_service_got_them(
    gateway: Gateway, live: Scripted, shadow: tuple[Shadow, Scripted]
) -> None:
    answers = [
        fetch(gateway.port, f"/half?n={number}", "POST", b"body", X_Gateway_Mirror="fake", Cookie="a=b")
        for number in range(10)
    ]
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"live body")] * 10
    await_outcomes(gateway, "half", {("shadow", "2xx"): 5})
    originals = {asked.fields["x-request-id"]: asked for asked in live.asked}
    for copy in shadow[1].asked:
        original = originals[copy.fields["x-request-id"]]
        assert (copy.method, copy.target, copy.body) == (original.method, original.target, original.body)
        assert copy.target.startswith("/v2?n=")
        assert copy.fields.pop("x-gateway-mirror") == "half"
        assert "x-gateway-mirror" not in original.fields
        for fields in (copy.fields, original.fields):
            fields.pop("x-timeout-remaining")
        assert copy.fields == original.fields
        assert copy.fields["x-env"] == "prod"


def test_what_a_mirror_does_is_nothing_to_the_client(gateway: Gateway, shadow: tuple[Shadow, Scripted]) -> None:
    answers = [fetch(gateway.port, path) for path in ("/all", "/all/fail")]
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"live ")] * 2
    found = {("shadow", "2xx"): 1, ("shadow", "5xx"): 1, ("gone", "upstream-connect-failed"): 2}
    await_outcomes(gateway, "all", found)
    line = gateway.line(answers[0].text("X-Request-Id"))
    assert (line["service"], line["attempts"], line["error"]) == ("live", 1, None)


def test_bodies_past_the_cap_pass_and_are_not_copied(
    gateway: Gateway, live: Scripted, shadow: tuple[Shadow, Scripted]
) -> None:
    large = b"x" * 200_000
    assert fetch(gateway.port, "/all", "POST", large).body == b"live " + large
    await_outcomes(gateway, "all", {("shadow", "body"): 1, ("gone", "body"): 1})
    assert fetch(gateway.port, "/all", "POST", b"y" * 1024).status == 200
    await_outcomes(
        gateway,
        "all",
        {("shadow", "body"): 1, ("shadow", "2xx"): 1, ("gone", "body"): 1, ("gone", "upstream-connect-failed"): 1},
    )
    assert [asked.body for asked in shadow[1].asked] == [b"y" * 1024]


def test_an_answer_that_was_kept_for_a_key_is_copied_once(
    gateway: Gateway, live: Scripted, shadow: tuple[Shadow, Scripted]
) -> None:
    for _ in range(3):
        assert fetch(gateway.port, "/all", "POST", b"pay", Idempotency_Key='"k1"').body == b"live pay"
    await_outcomes(gateway, "all", {("shadow", "2xx"): 1, ("gone", "upstream-connect-failed"): 1})
    assert [asked.body for asked in shadow[1].asked] == [b"pay"]


def test_what_is_refused_is_not_copied(gateway: Gateway, shadow: tuple[Shadow, Scripted]) -> None:
    assert [fetch(gateway.port, "/refused").status for _ in range(3)] == [200, 429, 429]
    await_outcomes(gateway, "refused", {("shadow", "2xx"): 1})
    assert len(shadow[1].asked) == 1


def test_copies_that_hang_are_bounded_and_end(gateway: Gateway, shadow: tuple[Shadow, Scripted]) -> None:
    began = monotonic()
    assert [fetch(gateway.port, "/busy").status for _ in range(4)] == [200] * 4
    assert monotonic() - began < 1.0
    await_outcomes(gateway, "busy", {("shadow", "full"): 3, ("shadow", "upstream-total-timeout"): 1})
    shadow[0].hold.set()
    assert fetch(gateway.port, "/busy").status == 200
    await_outcomes(
        gateway, "busy", {("shadow", "full"): 3, ("shadow", "upstream-total-timeout"): 1, ("shadow", "2xx"): 1}
    )


def test_to_explain_tells_of_copies_and_makes_none(gateway: Gateway, shadow: tuple[Shadow, Scripted]) -> None:
    body = json.dumps({"url": "http://h/all"}).encode()
    answer = fetch(
        gateway.ports["admin"], "/api/explain", "POST", body, Host="localhost", Content_Type="application/json"
    )
    steps = {step["stage"]: step["facts"] for step in json.loads(answer.body)["stages"]}
    assert steps["Mirror"] == {"copies": ["shadow 1", "gone 1"]}
    assert shadow[1].asked == []
