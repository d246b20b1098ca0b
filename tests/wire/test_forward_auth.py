"""A real nginx asks a real gateway who may pass."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from apigw.config.loader import loads
from apigw.identity import verify
from tests.examples import DOCS, ini_examples
from tests.tokens import SECRET, signed
from tests.wire.gateway import BOUND, Gateway
from tests.wire.server import Server
from tests.wire.sockets import Message, Wire, connect

INI = """\
[gateway]
access_log = -
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[jwt]
secret_env = JWT_SECRET
token.cookie = session
[identity]
secret_env = INTERNAL_SERVICE_SECRET
[limits]
ip = 1/h
[forward_auth]
{more}
"""
INTERNAL = "internal-0123456789abcdef"
ENVIRON = {"JWT_SECRET": SECRET.decode(), "INTERNAL_SERVICE_SECRET": INTERNAL}

NGINX = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  upstream service {{ server 127.0.0.1:{service}; }}
  upstream gateway {{ server 127.0.0.1:{gateway}; }}
  server {{
    listen unix:{directory}/nginx.sock;
    {locations}
  }}
}}
"""


def locations() -> str:
    """As the documentation has them."""
    found = re.search(r"```nginx\n(.*?)```", (DOCS / "operations/forward-auth.md").read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@contextmanager
def nginx(directory: Path, service: int, gateway: int) -> Iterator[str]:
    """:return: the path of its socket."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    assert program is not None, "install nginx"
    file = directory / "nginx.conf"
    file.write_text(
        NGINX.format(directory=directory, service=service, gateway=gateway, locations=locations()), encoding="utf-8"
    )
    process = subprocess.Popen([program, "-c", str(file), "-e", str(directory / "start.log")])
    try:
        path = directory / "nginx.sock"
        until = monotonic() + BOUND
        while not path.exists():
            assert process.poll() is None, (directory / "start.log").read_text("utf-8")
            assert monotonic() < until
            sleep(0.01)
        yield str(path)
    finally:
        process.terminate()
        process.wait(BOUND)


def ask(path: str, *fields: bytes, method: bytes = b"GET", body: bytes = b"") -> Message:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    wire = Wire(sock)
    lines = b"".join(field + b"\r\n" for field in fields)
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    wire.send(method + b" /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + lines + length + b"\r\n" + body)
    answer = wire.answer(method)
    wire.close()
    return answer


def bearer(token: bytes) -> bytes:
    return b"Authorization: Bearer " + token


def test_nginx_lets_pass_whom_the_gateway_knows(user: Server, tmp_path: Path) -> None:
    with (
        Gateway(tmp_path, INI.format(more=""), environ=ENVIRON) as gateway,
        nginx(tmp_path, user.port, gateway.port) as path,
    ):
        editor = signed({"roles": ["editor"]})
        for _ in range(3):  # the limit by address is nobody's here
            assert ask(path, bearer(editor), b"X-User-Id: root").status == 200
            who = verify(user.asked[-1], INTERNAL.encode())
            assert who is not None
            assert (who.user, who.roles) == ("u1", ("editor",))
        asked = len(user.asked)
        answer = ask(path)
        assert (answer.status, answer.text("www-authenticate")) == (401, 'Bearer realm="apigw"')
        assert ask(path, bearer(signed(lifetime=-60))).status == 401
        assert ask(path, bearer(signed({"roles": ["reader"]}))).status == 403
        assert len(user.asked) == asked
        assert ask(path, b"Cookie: session=" + editor).status == 200


def test_what_the_place_answers(tmp_path: Path) -> None:
    token = signed({"roles": ["editor"], "scope": "read"})
    with Gateway(tmp_path, INI.format(more="path = /who\nauth = optional"), environ=ENVIRON) as gateway:

        def status(query: bytes, *fields: bytes, method: bytes = b"GET") -> Message:
            wire = connect(gateway.port)
            lines = b"".join(field + b"\r\n" for field in fields)
            wire.send(method + b" /who" + query + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + lines + b"\r\n")
            answer = wire.answer(method)
            wire.close()
            return answer

        answer = status(b"", bearer(token), method=b"POST")
        assert (answer.status, answer.body) == (200, b"")
        assert (answer.text("x-user-id"), answer.text("x-user-scopes")) == ("u1", "read")
        assert answer.text("cache-control") == "no-store"
        two = status(b"", bearer(token), bearer(token))
        assert (two.status, two.all(b"x-user-id")) == (200, [])
        guest = status(b"", b"X-User-Id: root")
        assert (guest.status, guest.all(b"x-user-id")) == (200, [])
        for query, fields, expected in (
            (b"?roles=editor", [], 401),
            (b"?roles=editor,admin&scopes=read", [bearer(token)], 200),
            (b"?roles=admin", [bearer(token)], 403),
            (b"?roles=", [bearer(token)], 403),
            (b"?roles=editor&scopes=,", [bearer(token)], 403),
            (b"?roles=admin&roles=editor", [bearer(token)], 200),
            (b"?scopes=read,write", [bearer(token)], 403),
            (b"?role=admin", [bearer(token)], 400),
            (b"?roles=editor&role=admin", [bearer(token)], 400),
            (b"?role=admin", [], 400),
        ):
            answer = status(query, *fields)
            assert answer.status == expected, query
            assert (b"x-user-id" in [name.lower() for name, _ in answer.fields]) is (expected == 200 and bool(fields))
        assert json.loads(status(b"?scopes=read,write", bearer(token)).body)["code"] == "scope-missing"
        assert json.loads(status(b"?role=admin").body)["code"] == "unknown-parameter"
        told = [line for line in gateway.output if "the parameter 'role'" in line]
        assert len(told) == 1


def test_a_connection_is_kept(tmp_path: Path) -> None:
    with Gateway(tmp_path, INI.format(more=""), environ=ENVIRON) as gateway:
        wire = connect(gateway.port)
        for _ in range(2):
            wire.send(b"GET /api/v1/auth/verify HTTP/1.1\r\nHost: h\r\n" + bearer(signed()) + b"\r\n\r\n")
            answer = wire.answer()
            assert (answer.status, answer.text("content-length")) == (200, "0")
        wire.close()


def test_two_tokens_are_a_401_where_one_is_needed(tmp_path: Path) -> None:
    with Gateway(tmp_path, INI.format(more=""), environ=ENVIRON) as gateway:
        wire = connect(gateway.port)
        lines = (bearer(signed()) + b"\r\n") * 2
        wire.send(b"GET /api/v1/auth/verify HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\n")
        answer = wire.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (401, "token-ambiguous")
        wire.close()


def test_the_example() -> None:
    [example] = ini_examples("operations/forward-auth.md")
    config = loads("[service:user]\nurls = http://a\n" + example, "f", ENVIRON)
    assert config.forward_auth is not None and config.forward_auth.path == "/api/v1/auth/verify"
