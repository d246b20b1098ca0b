"""API keys at a real gateway: made by its own command, beside tokens, taken away while it runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from apigw.identity import verify
from tests.tokens import SECRET, signed
from tests.wire.gateway import Gateway, environment
from tests.wire.server import Server
from tests.wire.sockets import Message, connect

INTERNAL = "internal-0123456789abcdef"

INI = """\
[gateway]
access_log = -
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:{port}
[api_keys]
file = keys
field = X-Partner-Key
[consumer:acme]
roles = partner
scopes = read, write
[route:users]
path = /
service = user
auth = required
scopes = read
[route:admin]
path = /admin
service = user
auth = required
roles = admin
[route:open]
path = /open
service = user
auth = optional
[route:none]
path = /none
service = user
"""


def make(consumer: str) -> tuple[bytes, str]:
    """:return: a key, and its line."""
    command = [sys.executable, "-m", "apigw", "key", consumer, "--json"]
    made = subprocess.run(command, env=environment(), capture_output=True, check=True, timeout=10)
    value = json.loads(made.stdout)
    return value["key"].encode(), value["line"]


def ask(gateway: Gateway, path: bytes, *fields: bytes) -> Message:
    wire = connect(gateway.port)
    lines = b"".join(field + b"\r\n" for field in fields)
    wire.send(b"GET " + path + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + lines + b"\r\n")
    answer = wire.answer()
    wire.close()
    return answer


def code(answer: Message) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["code"]


def test_keys_beside_tokens(user: Server, tmp_path: Path) -> None:
    (first, line), (second, other) = make("acme"), make("acme")
    (tmp_path / "keys").write_text(f"# partners\n{line} for the import\n\n{other}\n")
    environ = {"INTERNAL_SERVICE_SECRET": INTERNAL, "JWT_SECRET": SECRET.decode()}
    with Gateway(tmp_path, INI.format(port=user.port), environ=environ) as gateway:
        for key in (first, second):
            answer = ask(gateway, b"/", b"X-Partner-Key: " + key, b"X-User-Consumer: root")
            assert answer.status == 200
            who = verify(user.asked[-1], INTERNAL.encode())
            assert who is not None
            assert (who.user, who.roles) == ("acme", ("partner",))
            assert user.asked[-1]["X-User-Consumer"] == "acme"
            assert "X-Partner-Key" not in user.asked[-1]
            assert key.decode() not in str(gateway.line(answer.text("x-request-id")))
            assert gateway.line(answer.text("x-request-id"))["user"] == "acme"
        assert ask(gateway, b"/none", b"X-Partner-Key: " + first).status == 200
        assert not {"X-Partner-Key", "X-User-Id"} & set(user.asked[-1])

        token = b"Authorization: Bearer " + signed({"scope": "read"})
        assert ask(gateway, b"/", token).status == 200
        assert (user.asked[-1]["X-User-Id"], user.asked[-1].get("X-User-Consumer")) == ("u1", None)
        assert code(ask(gateway, b"/")) == (401, "token-missing")
        wrong = b"X-Partner-Key: " + first[:-1] + b"_"
        assert code(ask(gateway, b"/", wrong, token)) == (401, "api-key-invalid")
        assert ask(gateway, b"/open", wrong).status == 200
        assert "X-User-Id" not in user.asked[-1]
        assert code(ask(gateway, b"/", b"X-Partner-Key: " + first, b"x-partner-key: " + first)) == (
            400,
            "api-key-ambiguous",
        )
        assert code(ask(gateway, b"/admin", b"X-Partner-Key: " + first)) == (403, "forbidden")
        session = json.loads(ask(gateway, b"/api/v1/auth/session", b"X-Partner-Key: " + first).body)
        assert (session["user"], session["consumer"]) == ("acme", "acme")

        wire = connect(gateway.port)
        request = b"GET / HTTP/1.1\r\nHost: h\r\nX-Partner-Key: " + first + b"\r\n\r\n"
        wire.send(request)
        assert wire.answer().status == 200
        (tmp_path / "keys").write_text(other)
        gateway.signal(signal.SIGHUP)
        gateway.wait(lambda: any("reloaded in" in text for text in gateway.output))
        wire.send(request)
        assert wire.answer().status == 401
        wire.close()
        assert ask(gateway, b"/", b"X-Partner-Key: " + second).status == 200

        (tmp_path / "keys").write_bytes(first)
        gateway.signal(signal.SIGHUP)
        gateway.wait(lambda: any("[api_keys] file" in text and "is not of the form" in text for text in gateway.output))
        assert ask(gateway, b"/", b"X-Partner-Key: " + second).status == 200
        assert not any(first.decode() in text for text in gateway.output)


def test_authorization_beside_a_key_is_the_services_own_affair(user: Server, tmp_path: Path) -> None:
    key, line = make("acme")
    (tmp_path / "keys").write_text(line)
    dropping = """\
[service:careful]
urls = http://127.0.0.1:{port}
authorization = drop
[route:careful]
path = /careful
service = careful
auth = required
"""
    environ = {"INTERNAL_SERVICE_SECRET": INTERNAL, "JWT_SECRET": SECRET.decode()}
    forged = b"Bearer " + signed({"sub": "root", "scope": "read"}, key=b"another secret that nobody here knows of")
    with Gateway(tmp_path, (INI + dropping).format(port=user.port), environ=environ) as gateway:
        assert ask(gateway, b"/", b"Authorization: " + forged).status == 401
        for value in (b"Basic eDp5", forged):
            for path, passed in ((b"/", value.decode()), (b"/careful", None)):
                assert ask(gateway, path, b"X-Partner-Key: " + key, b"Authorization: " + value).status == 200
                assert user.asked[-1].get("Authorization") == passed
                assert "X-Partner-Key" not in user.asked[-1]
                who = verify(user.asked[-1], INTERNAL.encode())
                assert who is not None
                assert who.user == "acme", "whatever the token says"


def test_keys_alone(user: Server, tmp_path: Path) -> None:
    key, line = make("elsewhere")
    (tmp_path / "keys").write_text(line)
    ini = INI.format(port=user.port).replace("scopes = read\n", "")
    with Gateway(tmp_path, ini) as gateway:
        answer = ask(gateway, b"/", b"Authorization: Bearer x")
        assert code(answer) == (401, "api-key-missing")
        assert answer.text("www-authenticate") == 'ApiKey realm="apigw", field="x-partner-key"'
        assert ask(gateway, b"/", b"X-Partner-Key: " + key).status == 200
        assert user.asked[-1]["X-User-Consumer"] == "elsewhere"
        assert ask(gateway, b"/open").status == 200
