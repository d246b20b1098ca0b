"""Tokens taken back while a real gateway runs, over its admin listener."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from time import time
from typing import Any

from tests.tokens import SECRET, signed
from tests.wire.gateway import Gateway
from tests.wire.server import Server
from tests.wire.sockets import Message, connect

INI = """\
[gateway]
access_log = -
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:{port}
[revocation]
entries = 3
keep = 1h
[route:users]
path = /
service = user
auth = required
[route:open]
path = /open
service = user
auth = optional
"""


class Operator:
    def __init__(self, gateway: Gateway) -> None:
        self._port = gateway.ports["admin"]

    def ask(self, method: str, path: str, value: Any = None, kind: str = "application/json") -> Message:
        body = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        wire = connect(self._port)
        wire.send(
            f"{method} /api/revocations{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        answer = wire.answer(method.encode())
        wire.close()
        return answer


def get(token: bytes, path: bytes = b"/") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + token + b"\r\n\r\n"


def test_a_token_and_a_user_are_taken_back_and_given_again(user: Server, tmp_path: Path) -> None:
    now = int(time())
    one, two = signed({"jti": "t/1", "iat": now - 10}), signed({"jti": "t2", "iat": now - 10})
    with Gateway(tmp_path, INI.format(port=user.port), environ={"JWT_SECRET": SECRET.decode()}, listeners=2) as gateway:
        operator, wire = Operator(gateway), connect(gateway.ports["public"])

        def status(token: bytes, path: bytes = b"/") -> int:
            wire.send(get(token, path))
            return wire.answer().status

        assert (status(one), status(one), status(two)) == (200, 200, 200)
        made = operator.ask("POST", "", {"jti": "t/1", "for": "10m"})
        assert made.status == 201
        assert now + 590 < json.loads(made.body)["expires"] < now + 620
        wire.send(get(one))
        answer = wire.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (401, "token-revoked")
        assert answer.text("www-authenticate") == (
            'Bearer realm="apigw", error="invalid_token", error_description="The token has been revoked."'
        )
        assert (status(two), status(one, b"/open")) == (200, 200)
        assert "X-User-Id" not in user.asked[-1]

        assert operator.ask("POST", "", {"sub": "u1", "issued_before": now - 5}).status == 201
        assert status(two) == 401
        assert status(signed({"iat": now})) == 200
        assert operator.ask("POST", "", {"sub": "u1"}).status == 201
        assert status(signed({"iat": now})) == 401
        assert status(signed({"sub": "u2"})) == 200

        listed = json.loads(operator.ask("GET", "").body)
        assert [(entry.get("jti"), entry.get("sub")) for entry in listed["revocations"]] == [
            ("t/1", None),
            (None, "u1"),
        ]
        assert (listed["total"], listed["max"]) == (2, 3)
        assert json.loads(operator.ask("GET", "/jti/t%2F1").body)["jti"] == "t/1"
        assert operator.ask("POST", "", {"jti": "t3"}).status == 201
        full = operator.ask("POST", "", {"jti": "t4"})
        assert (full.status, json.loads(full.body)["code"]) == (503, "revocations-full")

        assert operator.ask("DELETE", "/sub/u1").status == 204
        assert operator.ask("DELETE", "/sub/u1").status == 404
        assert operator.ask("DELETE", "/jti/t%2F1").status == 204
        assert (status(one), status(two)) == (200, 200)
        wire.close()


def test_a_reload_lets_nobody_in_again(user: Server, tmp_path: Path) -> None:
    ini = INI.format(port=user.port)
    token = signed({"jti": "t1"})
    with Gateway(tmp_path, ini, environ={"JWT_SECRET": SECRET.decode()}, listeners=2) as gateway:
        assert Operator(gateway).ask("POST", "", {"jti": "t1"}).status == 201
        changed = ini.replace("entries = 3", "entries = 1") + "[jwt]\nleeway = 1s\n"
        (tmp_path / "gw.ini").write_text(changed, encoding="utf-8")
        gateway.signal(signal.SIGHUP)
        gateway.wait(lambda: any("reloaded in" in line for line in gateway.output))
        wire = connect(gateway.ports["public"])
        wire.send(get(token))
        assert wire.answer().status == 401
        wire.close()
        assert json.loads(Operator(gateway).ask("GET", "").body)["max"] == 1


def test_what_is_no_revocation(user: Server, tmp_path: Path) -> None:
    with Gateway(tmp_path, INI.format(port=user.port), environ={"JWT_SECRET": SECRET.decode()}, listeners=2) as gateway:
        operator = Operator(gateway)
        for value, says in (
            ({}, "one of jti and sub"),
            ({"jti": "a", "sub": "b"}, "one of jti and sub"),
            ({"jti": ""}, "jti must be text"),
            ({"jti": 5}, "jti must be text"),
            ({"jti": "a", "expires": time() - 1}, "has passed"),
            ({"jti": "a", "expires": "soon"}, "seconds since 1970"),
            ({"jti": "a", "expires": float("nan")}, "seconds since 1970"),
            ({"jti": "a", "expires": 2e9, "for": "1h"}, "one of expires and for"),
            ({"jti": "a", "for": "1 fortnight"}, "duration"),
            ({"jti": "a", "for": 5}, "duration"),
            ({"jti": "a", "until": 5}, "until is not known"),
            (b"[]", "not a JSON object"),
            (b"{" * 50_000, "not a JSON object"),
        ):
            answer = operator.ask("POST", "", value)
            assert answer.status == 400, value
            assert says in json.loads(answer.body)["detail"]
        assert operator.ask("POST", "", {"jti": "a"}, kind="text/plain").status == 415
        assert operator.ask("POST", "", b" " * 70_000).status == 413
        assert operator.ask("PUT", "", {"jti": "a"}).text("allow") == "GET, HEAD, POST, DELETE"
        assert operator.ask("POST", "/jti/a").text("allow") == "GET, HEAD, DELETE"
        assert operator.ask("GET", "/jti/a").status == 404
        assert operator.ask("GET", "/other").status == 404
        assert json.loads(operator.ask("GET", "").body)["total"] == 0


def test_a_value_that_no_path_can_have_is_named_in_the_query(user: Server, tmp_path: Path) -> None:
    with Gateway(tmp_path, INI.format(port=user.port), environ={"JWT_SECRET": SECRET.decode()}, listeners=2) as gateway:
        operator = Operator(gateway)
        assert operator.ask("POST", "", {"sub": "a\nä"}).status == 201
        assert operator.ask("DELETE", "?jti=a%0A%C3%A4").status == 404
        for query in ("?sub=a&jti=b", "?user=a", "?", ""):
            assert operator.ask("DELETE", query).status == 400
        assert operator.ask("DELETE", "?sub=a%0A%C3%A4").status == 204
        assert json.loads(operator.ask("GET", "").body)["total"] == 0
