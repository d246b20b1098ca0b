"""Transformations through a real gateway."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from tests.wire.gateway import Gateway, run
from tests.wire.scripted import Question, Reply, Scripted, fetch, scripted

INI = """\
[gateway]
access_log = off
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[jwt]
secret_env = JWT_SECRET
[identity]
sign = none
[service:a]
urls = http://127.0.0.1:{port}
retry.attempts = 1
[route:fields]
path = /fields/{{id}}
service = a
auth = optional
request.set =
  X-Env: prod
  X-Client: {{client_ip}}
  X-Who: {{user}} of {{claim.org}}
  X-Said: {{field.X-Say}}
  X-Only: {{user}}
request.add = X-Id: {{param.id}}
request.remove = X-Debug
request.rename = X-Old: X-New
response.set = X-Request: {{request_id}}, Cache-Control: no-store, X-Who: {{user}}
response.add = Link: <{{route}}>
response.remove = Server
response.rename = X-Secret: X-Public
response.status = 404: 410, 5xx: 502, 503: 500
[route:target]
path = /made/{{id}}
service = a
auth = optional
upgrade = websocket
request.target = /tenants/{{claim.org}}/{{param.id}}?by={{user}}&of={{param.id}}&{{query}}
[route:json]
path = /json
service = a
compression = on
compress.min_size = 1
response.body.select = id, user
response.body.remove = user.password
response.body.rename = user.mail: email
response.body.wrap = envelope
response.body.max = 1KiB
[route:many]
path = /many
service = a
response.body.remove = password
response.body.otherwise = refuse
[route:strict]
path = /strict
service = a
cache = 60s
response.body.remove = password
response.body.max = 1KiB
response.body.otherwise = refuse
"""

SMALL = {"id": 7, "user": {"name": "ann", "mail": "a@b", "password": "x"}, "more": [1]}


def say(asked: Question) -> Reply:
    path, _, more = asked.target.partition("?")
    if path.startswith("/fields"):
        fields = {"X-Secret": "s", "X-Public": "old", "Cache-Control": "public", "Connection": "X-Request"}
        return Reply(int(more or 200), b"hello", fields)
    body, fields = json.dumps(SMALL).encode(), {"Content-Type": "application/json; charset=utf-8"}
    if more == "large":
        body = json.dumps({**SMALL, "more": "x" * 2000, "password": "x"}).encode()
    elif more == "list":
        body = json.dumps([{**SMALL, "password": "x"}]).encode()
    elif more == "encoded":
        body, fields["Content-Encoding"] = gzip.compress(body), "gzip"
    elif more == "many":
        body = b"[" + b"{}," * 300_000 + b"{}]"
    elif more == "broken":
        body = b'{"password": '
    elif more == "text":
        fields["Content-Type"] = "text/plain"
    elif more == "text/json":
        fields["Content-Type"] = "text/json"
    elif more == "empty":
        return Reply(200)
    elif more == "done":
        body = b'{"success":false,"id":1}'
    elif more == "404":
        return Reply(404, body, fields)
    return Reply(200, body, {**fields, "ETag": '"v"', "Content-Digest": "sha-256=:x:", "Cache-Control": "max-age=60"})


@pytest.fixture(scope="module")
def there() -> Iterator[Scripted]:
    with scripted(say) as service:
        yield service


@pytest.fixture(scope="module")
def port(there: Scripted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    environ = {"JWT_SECRET": "0123456789abcdef0123456789abcdef"}
    with Gateway(tmp_path_factory.mktemp("transform"), INI.format(port=there.port), environ=environ) as gateway:
        yield gateway.port


def asked(there: Scripted) -> dict[str, str]:
    return there.asked[-1].fields


def test_services_get_other_fields(there: Scripted, port: int) -> None:
    fetch(
        port,
        "/fields/a%C3%A4",
        X_Env="mine",
        X_Client="mine",
        X_Only="mine",
        X_Debug="1",
        X_Old="o",
        X_New="n",
        X_Say="a, b",
    )
    got = asked(there)
    assert (got["x-env"], got["x-client"], got["x-said"], got["x-new"]) == ("prod", "127.0.0.1", "a, b", "o")
    assert got["x-who"] == "of"
    assert got["x-id"] == "a%C3%A4"
    assert {"x-only", "x-debug", "x-old"}.isdisjoint(got)


def test_a_client_cannot_take_away_what_the_gateway_sets(there: Scripted, port: int) -> None:
    answer = fetch(port, "/fields/1", Connection="close, X-Env, X-Client, X-Id")
    assert answer.status == 200
    assert (asked(there)["x-env"], asked(there)["x-client"], asked(there)["x-id"]) == ("prod", "127.0.0.1", "1")


def test_clients_get_other_fields_and_statuses(port: int) -> None:
    answer = fetch(port, "/fields/1")
    assert answer.text("X-Request") == answer.text("X-Request-Id")
    assert answer.text("Cache-Control") == "no-store"
    assert answer.text("X-Public") == "s"
    assert answer.text("Link") == "<fields>"
    assert [answer.all(name) for name in (b"Server", b"X-Secret", b"X-Who")] == [[], [], []]
    assert [fetch(port, f"/fields/1?{status}").status for status in (404, 500, 503, 403)] == [410, 502, 500, 403]


def test_users_and_claims(there: Scripted, port: int) -> None:
    token = jwt.encode({"sub": "ann", "org": "acme", "exp": 4e9}, "0123456789abcdef0123456789abcdef", "HS256")
    answer = fetch(port, "/fields/1", Authorization=f"Bearer {token}")
    assert (asked(there)["x-who"], asked(there)["x-only"]) == ("ann of acme", "ann")
    assert answer.text("X-Who") == "ann"
    evil = jwt.encode({"sub": "bob", "org": "a\r\nX-Evil: 1", "exp": 4e9}, "0123456789abcdef" * 2, "HS256")
    fetch(port, "/fields/1", Authorization=f"Bearer {evil}")
    assert asked(there)["x-who"] == "bob of"
    assert "x-evil" not in asked(there)


def test_services_are_asked_for_what_a_template_makes(there: Scripted, port: int) -> None:
    def ask(path: str, **claims: object) -> int:
        token = jwt.encode({"sub": "a&b", "exp": 4e9, **claims}, "0123456789abcdef" * 2, "HS256")
        return fetch(port, path, Authorization=f"Bearer {token}").status

    assert ask("/made/7?x=1&&y=2", org="ac me") == 200
    assert there.asked[-1].target == "/tenants/ac%20me/7?by=a%26b&of=7&x=1&y=2"
    assert there.asked[-1].fields["x-original-path"] == "/made/7"
    assert ask("/made/7?by=root&x=1&OF[]=8&a;b%79=root", org="acme") == 200
    assert there.asked[-1].target == "/tenants/acme/7?by=a%26b&of=7&x=1"
    assert ask("/made/a%26b", org="acme") == 200
    assert there.asked[-1].target == "/tenants/acme/a%26b?by=a%26b&of=a%26b"
    before = len(there.asked)
    for org in ("..", "a/b", "a\\b", "../x", "a;b", "a\r\nb", "", "."):
        assert ask("/made/7", org=org) == 400
    assert fetch(port, "/made/7").status == 400
    assert len(there.asked) == before


def test_json_is_cut_to_shape(there: Scripted, port: int) -> None:
    answer = fetch(port, "/json", Range="bytes=0-5", Accept_Encoding="x-none")
    whole = json.loads(answer.body)
    assert list(whole) == ["success", "data", "timestamp"]
    assert whole["data"] == {"id": 7, "user": {"name": "ann", "email": "a@b"}}
    assert (answer.text("ETag"), answer.all(b"Content-Digest")) == ('W/"v"', [])
    assert int(answer.text("Content-Length")) == len(answer.body)
    assert "range" not in asked(there)
    assert asked(there)["accept-encoding"] == "identity"
    packed = fetch(port, "/json", Accept_Encoding="gzip")
    assert json.loads(gzip.decompress(packed.body))["data"] == whole["data"]
    head = fetch(port, "/json", "HEAD")
    assert (head.status, head.text("ETag"), head.all(b"Content-Length")) == (200, 'W/"v"', [])
    assert json.loads(fetch(port, "/json?list").body)["data"] == [whole["data"]]
    assert json.loads(fetch(port, "/json?done").body) == {"id": 1}
    assert json.loads(fetch(port, "/json?text/json").body)["data"] == whole["data"]
    assert (fetch(port, "/strict?empty").status, fetch(port, "/strict?text", "HEAD").status) == (200, 200)


@pytest.mark.parametrize("how", ["large", "encoded", "broken", "text", "404"])
def test_what_cannot_be_changed_passes_as_it_is_unless_it_has_to_be_changed(port: int, how: str) -> None:
    answer = fetch(port, f"/json?{how}")
    assert answer.body == say(Question("GET", f"/json?{how}", {}, b"")).body
    strict = fetch(port, f"/strict?{how}")
    if how == "404":
        assert strict.body == answer.body
    else:
        assert (strict.status, json.loads(strict.body)["code"]) == (502, "upstream-protocol-error")


def test_what_is_kept_is_changed_each_time(there: Scripted, port: int) -> None:
    before = len(there.asked)
    answers = [fetch(port, "/strict?list") for _ in range(2)]
    assert len(there.asked) == before + 1
    assert [json.loads(answer.body) for answer in answers] == [[SMALL], [SMALL]]
    assert fetch(port, "/strict?list", If_None_Match='W/"v"').status == 304


def test_errors_in_templates_are_found_by_check(tmp_path: Path) -> None:
    (tmp_path / "gw.ini").write_text(INI.format(port=1).replace("{client_ip}", "{client}"))
    done = run("apigw", "--config", "gw.ini", "--check", cwd=tmp_path, environ={"JWT_SECRET": "0" * 32})
    assert done.returncode != 0
    assert "gw.ini:18: [route:fields] request.set: there is no variable {client}, did you mean client_ip?" in (
        done.stdout + done.stderr
    )


def test_what_has_very_many_values_is_not_changed(port: int) -> None:
    assert fetch(port, "/many").status == 200
    answer = fetch(port, "/many?many")
    assert answer.status == 502
    assert b"more than 104857 values" in answer.body
