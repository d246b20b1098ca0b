"""Pages of other origins, asking a real gateway."""

from __future__ import annotations

from pathlib import Path

from tests.wire.gateway import Gateway
from tests.wire.sockets import Service, connect

INI = """\
[gateway]
access_log = -
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:{port}
[route:users]
path = /users
methods = GET, PUT
service = user
[cors]
origins = https://app.example.com
credentials = yes
"""
ORIGIN = b"Origin: https://app.example.com\r\n"
PREFLIGHT = b"OPTIONS %b HTTP/1.1\r\nHost: h\r\n" + ORIGIN + b"Access-Control-Request-Method: PUT\r\n\r\n"


def test_a_page_may_ask_and_read_what_comes_of_it(own_service: Service, directory: Path) -> None:
    with Gateway(directory, INI.format(port=own_service.port)) as gateway:
        wire = connect(gateway.port)
        for path in (b"/users/1", b"/nowhere", b"/health"):
            wire.send(PREFLIGHT % path)
            answer = wire.answer()
            assert (answer.status, answer.body) == (204, b"")
            assert answer.one(b"access-control-allow-origin") == b"https://app.example.com"
            assert answer.one(b"access-control-allow-methods") == b"PUT"
            line = gateway.line(answer.text("x-request-id"))
            assert (line["status"], line.get("error")) == (204, None)
        assert own_service.untouched()

        wire.send(b"PUT /users/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n" + ORIGIN + b"\r\n")
        there = own_service.accept()
        there.request()
        there.send(b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 2\r\n\r\nhi")
        answer = wire.answer()
        assert answer.one(b"access-control-allow-origin") == b"https://app.example.com"
        assert answer.one(b"access-control-allow-credentials") == b"true"
        assert answer.one(b"vary") == b"Origin"

        wire.send(b"GET /nowhere HTTP/1.1\r\nHost: h\r\n" + ORIGIN + b"\r\n")
        answer = wire.answer()
        assert answer.status == 404
        assert answer.one(b"access-control-allow-origin") == b"https://app.example.com"
        wire.close()
