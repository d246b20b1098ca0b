"""Real pages in a real browser, asking a real gateway: what they may read, and what they may not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Page, browser
from tests.tokens import SECRET, signed
from tests.wire.gateway import Gateway
from tests.wire.server import Server

INI = """\
[gateway]
access_log = -
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:{port}
retry.attempts = 1
[service:down]
urls = http://127.0.0.1:1
[jwt]
secret_env = JWT_SECRET
token.cookie = session
[cors]
origins = http://app.example.test:{pages}, http://*.wild.test:{pages}
credentials = yes
headers = Authorization, Content-Type, X-Custom
methods = GET, POST
[route:users]
path = /users
service = user
[route:down]
path = /down
service = down
[route:secret]
path = /secret
service = user
auth = required
"""

HOSTS = {"*.test": "127.0.0.1"}


@pytest.fixture
def pages() -> Iterator[Server]:
    """Where the pages come from."""
    server = Server()
    server.body = b"<!doctype html><title>page</title>"
    yield server
    server.close()


class Script:
    """A page's script that asks the gateway."""

    def __init__(self, page: Page, port: int) -> None:
        self.page = page
        self.base = f"http://api.example.test:{port}"

    def ask(self, path: str, **options: Any) -> dict[str, Any]:
        """:return: what it can read; ``error`` where the browser lets it read nothing."""
        found: dict[str, Any] = self.page.run(
            f"fetch({json.dumps(self.base + path)}, {json.dumps(options)}).then(async answer => ({{"
            "status: answer.status, body: await answer.text(), id: answer.headers.get('x-request-id'),"
            " via: answer.headers.get('via')}), error => ({error: error.name}))"
        )
        return found


def test_pages(user: Server, pages: Server, tmp_path: Path) -> None:
    ini = INI.format(port=user.port, pages=pages.port)
    with Gateway(tmp_path, ini, environ={"JWT_SECRET": SECRET.decode()}) as gateway, browser(hosts=HOSTS) as chromium:

        def script(host: str) -> Script:
            return Script(chromium.page(f"http://{host}:{pages.port}/"), gateway.port)

        # Allowed: by name, and by one label in place of the star.
        app = script("app.example.test")
        answer = app.ask("/users")
        assert (answer["status"], answer["body"], answer["via"]) == (200, "hi", None)
        assert len(answer["id"]) == 32
        assert script("a.wild.test").ask("/users")["status"] == 200

        # Refused: other names, two labels, and another port are other origins.
        for host in ("evil.test", "a.b.wild.test", "wild.test"):
            assert script(host).ask("/users") == {"error": "TypeError"}, host

        # A preflight goes before what a form couldn't send, and is no request to the service.
        asked = len(user.asked)
        token = signed().decode()
        options = {"method": "POST", "headers": {"X-Custom": "1", "Authorization": f"Bearer {token}"}, "body": "{}"}
        assert app.ask("/secret", **options)["status"] == 200
        assert len(user.asked) == asked + 1
        assert user.asked[-1]["X-Custom"] == "1"
        gateway.wait(lambda: [line["method"] for line in gateway.logged[-2:]] == ["OPTIONS", "POST"])
        assert app.ask("/users", method="GET", headers={"X-Other": "1"}) == {"error": "TypeError"}
        assert app.ask("/users", method="DELETE") == {"error": "TypeError"}
        assert script("evil.test").ask("/users", **options) == {"error": "TypeError"}
        assert len(user.asked) == asked + 1

        # Credentials: the service's cookie comes back where the script says so, and only there.
        assert app.ask("/users", credentials="include")["status"] == 200
        assert app.ask("/users", credentials="include")["status"] == 200
        assert user.asked[-1]["Cookie"] == "a=b"
        assert app.ask("/users")["status"] == 200
        assert "Cookie" not in user.asked[-1]

        # A cookie that lets in: for this page, not for one of another site.
        app.page.call("Network.setCookie", url=app.base, name="session", value=token)
        posting = {"method": "POST", "credentials": "include", "body": "a"}
        assert app.ask("/secret", **posting)["status"] == 200
        assert user.asked[-1]["X-User-Id"] == "u1"
        asked = len(user.asked)
        evil = script("evil.example.test")
        assert evil.ask("/secret", **posting, mode="no-cors")["status"] == 0
        gateway.wait(lambda: gateway.logged[-1]["status"] == 403)
        assert len(user.asked) == asked

        # Errors that the gateway makes can be read.
        for path, status, code in (
            ("/nowhere", 404, "route-not-found"),
            ("/secret", 401, "token-missing"),
            ("/down", 502, "upstream-connect-failed"),
        ):
            answer = app.ask(path)
            assert (answer["status"], json.loads(answer["body"])["code"]) == (status, code)
            assert answer["id"]
