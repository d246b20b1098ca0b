"""Users of several issuers who are called the same: two, wherever the gateway tells users apart."""

from __future__ import annotations

from pathlib import Path

from tests.tokens import SECRET, signed
from tests.wire.gateway import Gateway
from tests.wire.server import Server
from tests.wire.sockets import Message, connect

PARTNER = b"fedcba9876543210" * 4

INI = """\
[gateway]
access_log = -
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[jwt]
issuer = https://login.example.com/
[issuer:partner]
issuer = https://login.partner.example/
secret_env = PARTNER_SECRET
[limits]
exempt_users = robot
[service:user]
urls = http://127.0.0.1:{port}
[route:limited]
path = /limited
service = user
auth = required
limit.user = 2/h
[route:combined]
path = /combined
service = user
auth = required
limit.by = user+ip 1/h
[route:once]
path = /once
service = user
auth = required
methods = POST
idempotency = on
[route:kept]
path = /kept
service = user
auth = required
cache = on
"""
ENVIRON = {"JWT_SECRET": SECRET.decode(), "PARTNER_SECRET": PARTNER.decode()}


def own(sub: str = "u1") -> bytes:
    return signed({"iss": "https://login.example.com/", "sub": sub})


def partners(sub: str = "u1") -> bytes:
    return signed({"iss": "https://login.partner.example/", "sub": sub}, key=PARTNER)


def ask(gateway: Gateway, path: str, token: bytes, more: str = "", method: str = "GET") -> Message:
    wire = connect(gateway.port)
    head = f"{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n{more}"
    wire.send(head.encode() + b"Authorization: Bearer " + token + b"\r\n\r\n")
    answer = wire.answer()
    wire.close()
    return answer


def test_users_of_two_issuers_are_two_and_services_know_them_as_before(user: Server, tmp_path: Path) -> None:
    with Gateway(tmp_path, INI.format(port=user.port), environ=ENVIRON) as gateway:
        for path, most in (("/limited", 2), ("/combined", 1)):
            for token in (own(), partners()):
                statuses = [ask(gateway, path, token).status for _ in range(3)]
                assert statuses == [200] * most + [429] * (3 - most)
                assert user.asked[-1]["X-User-Id"] == "u1"
        assert [ask(gateway, "/limited", partners("robot")).status for _ in range(3)] == [200] * 3

        before = len(user.asked)
        for replayed in (False, True):
            for token in (own(), partners()):
                answer = ask(gateway, "/once", token, "Idempotency-Key: k\r\n", "POST")
                assert (answer.status, bool(answer.all(b"idempotency-replayed"))) == (200, replayed)
        assert len(user.asked) == before + 2


def test_an_answer_kept_for_a_user_is_not_had_by_one_of_another_issuer(user: Server, tmp_path: Path) -> None:
    user.fields = [("Cache-Control", "s-maxage=60"), ("Vary", "X-User-Id"), ("Content-Length", "2")]
    with Gateway(tmp_path, INI.format(port=user.port), environ=ENVIRON) as gateway:
        for _ in range(2):
            for token in (own(), partners()):
                assert ask(gateway, "/kept", token).status == 200
    assert len(user.asked) == 2
