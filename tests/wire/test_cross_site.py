"""Routes that a cookie opens, at a real gateway: other sites' pages may not use it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.tokens import SECRET, signed
from tests.wire.gateway import Gateway
from tests.wire.server import Server
from tests.wire.sockets import connect

INI = """\
[gateway]
access_log = -
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:{port}
[jwt]
secret_env = JWT_SECRET
token.cookie = session
token.cookie_origins = https://*.example.org
[cors]
origins = https://app.example.com
credentials = yes
[route:users]
path = /
service = user
auth = required
[route:open]
path = /open
service = user
auth = optional
[route:none]
path = /none
service = user
[route:watched]
path = /watched
service = user
auth = required
enforce = no
"""


def test_other_sites(user: Server, tmp_path: Path) -> None:
    token = signed()
    with Gateway(tmp_path, INI.format(port=user.port), environ={"JWT_SECRET": SECRET.decode()}) as gateway:

        def ask(method: bytes, path: bytes, *fields: bytes) -> tuple[int, str, str]:
            """:return: status, code, and what the log says would be refused."""
            wire = connect(gateway.port)
            lines = b"".join(field + b"\r\n" for field in (b"Cookie: session=" + token, *fields))
            wire.send(method + b" " + path + b" HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n" + lines)
            wire.send(b"\r\n")
            answer = wire.answer(method)
            wire.close()
            code = json.loads(answer.body)["code"] if answer.status >= 400 and answer.body[:1] == b"{" else ""
            return answer.status, code, gateway.line(answer.text("x-request-id")).get("would_refuse", "")

        evil, refused = b"Origin: https://evil.example", (403, "cross-site-request", "")
        assert ask(b"POST", b"/", evil) == refused
        assert ask(b"DELETE", b"/open", b"Sec-Fetch-Site: cross-site") == refused
        assert ask(b"GET", b"/", evil, b"Connection: upgrade", b"Upgrade: websocket") == refused
        assert not user.asked
        for fields in (
            [],
            [b"Origin: https://api.example.com"],
            [b"Origin: https://app.example.com"],
            [b"Origin: https://a.example.org"],
            [evil, b"Authorization: Bearer " + token],
        ):
            assert ask(b"GET", b"/", *fields)[0] == 200
            assert ask(b"POST", b"/", *fields)[0] == 200
        assert ask(b"GET", b"/", evil)[0] == 200
        assert ask(b"POST", b"/none", evil)[0] == 200
        assert ask(b"POST", b"/watched", evil) == (200, "", "cross-site-request")
