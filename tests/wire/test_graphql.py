"""GraphQL through a real gateway."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from signal import SIGHUP
from typing import Any
from urllib.parse import quote

import jwt
import pytest

from tests.wire.gateway import Gateway, run
from tests.wire.graphql_service import say
from tests.wire.scripted import Scripted, fetch, scripted
from tests.wire.sockets import Message

NEED_A_ROLE = ("graphql-forbidden", "graphql-introspection")

SECRET = "0123456789abcdef0123456789abcdef"

INI = """\
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[service:graph]
urls = http://127.0.0.1:{port}
retry.attempts = 1
[jwt]
secret_env = JWT_SECRET
[graphql]
service = graph
auth = optional
max_depth = 4
max_cost = 200
max_aliases = 3
batching = yes
max_batch = 2
persisted = apq
introspection = admin
roles = Mutation.forget: admin, *.salary: hr | admin
{more}
"""


@pytest.fixture(scope="module")
def there() -> Iterator[Scripted]:
    with scripted(say) as service:
        yield service


@pytest.fixture(scope="module")
def gateway(there: Scripted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = INI.format(port=there.port, more="")
    with Gateway(tmp_path_factory.mktemp("graphql"), config, environ={"JWT_SECRET": SECRET}, listeners=2) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def port(gateway: Gateway) -> int:
    return gateway.ports["public"]


def token(*roles: str) -> dict[str, str]:
    claims = {"sub": "ann", "roles": list(roles), "exp": 4_000_000_000}
    return {"Authorization": "Bearer " + jwt.encode(claims, SECRET, "HS256")}


def post(port: int, body: object, **fields: str) -> Message:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return fetch(port, "/graphql", "POST", data, **{"Content_Type": "application/json", **fields})


def ask(port: int, query: str, variables: dict[str, Any] | None = None, **fields: str) -> Any:
    return json.loads(post(port, {"query": query, "variables": variables}, **fields).body)


def code(answer: Message) -> str:
    [error] = json.loads(answer.body)["errors"]
    found: str = error["extensions"]["code"]
    return found


def test_what_is_allowed_passes(there: Scripted, port: int) -> None:
    assert ask(port, "{ me { name } }") == {"data": {"me": {"name": "u7"}}}
    assert ask(port, "query Q($n: String) { hello(name: $n) }", {"n": "ä"}) == {"data": {"hello": "hello ä"}}
    assert ask(port, 'mutation { rename(name: "x") { name } }') == {"data": {"rename": {"name": "x"}}}
    answer = fetch(
        port, "/graphql?query=" + quote("query($n: String) { hello(name: $n) }") + "&variables=%7B%22n%22%3A%22z%22%7D"
    )
    assert json.loads(answer.body) == {"data": {"hello": "hello z"}}
    several = json.loads(post(port, [{"query": "{ hello }"}, {"query": "{ me { id } }"}]).body)
    assert several == [{"data": {"hello": "hello you"}}, {"data": {"me": {"id": "7"}}}]


@pytest.mark.parametrize(
    ("query", "variables", "found"),
    [
        ("{ me { friends { friends { friends { id } } } } }", {}, "graphql-depth"),
        ("{ users(first: 200) { id } }", {}, "graphql-cost"),
        ("query($n: Int) { users(first: $n) { id } }", {"n": 200}, "graphql-cost"),
        ("query($n: Int = 200) { users(first: $n) { id } }", {}, "graphql-cost"),
        ("query($p: Page) { users(page: $p) { friends(first: 20) { id } } }", {"p": {"limit": 20}}, "graphql-cost"),
        ("{ a: hello b: hello c: hello d: hello }", {}, "graphql-aliases"),
        ("{" + "hello " * 20 + "}", {}, "graphql-duplicates"),
        ("{ hello" + " @skip(if: false)" * 21 + "}", {}, "graphql-directives"),
        ("{" + "hello " * 1000 + "}", {}, "graphql-tokens"),
        ("{ hello #" + "x" * 40000 + "\n}", {}, "graphql-length"),
        ("{ __schema { types { name } } }", {}, "graphql-introspection"),
        ("{ me { salary } }", {}, "graphql-forbidden"),
        ("mutation { ...F } fragment F on Mutation { x: forget }", {}, "graphql-forbidden"),
        ("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }", {}, "graphql-cycle"),
        ("{ nothing closes", {}, "graphql-syntax"),
        ("query A { hello } query B { hello }", {}, "graphql-operation"),
    ],
)
def test_what_asks_for_too_much_is_refused(
    there: Scripted, port: int, query: str, variables: dict[str, Any], found: str
) -> None:
    before = len(there.asked)
    body = {"query": query, "variables": variables}
    legacy = post(port, body)
    assert code(legacy) == found
    assert legacy.status == (401 if found in NEED_A_ROLE else 200)
    assert legacy.text("content-type") == "application/json; charset=utf-8"
    answer = post(port, body, Accept="application/json;q=0.5, application/graphql-response+json")
    assert answer.status == (401 if found in NEED_A_ROLE else 400)
    assert answer.text("content-type") == "application/graphql-response+json; charset=utf-8"
    assert code(answer) == found
    assert len(there.asked) == before


def test_roles_open_fields(port: int) -> None:
    assert ask(port, "{ me { salary } }", **token("hr")) == {"data": {"me": {"salary": 1007}}}
    assert ask(port, "mutation { forget }", **token("admin")) == {"data": {"forget": True}}
    assert post(port, {"query": "mutation { forget }"}, **token("hr")).status == 403
    assert "data" in ask(port, "{ __schema { types { name } } }", **token("admin"))


def test_mutations_are_not_asked_for_by_get(there: Scripted, port: int) -> None:
    before = len(there.asked)
    answer = fetch(port, "/graphql?query=" + quote('mutation { rename(name: "x") { id } }'))
    assert answer.status == 405
    assert answer.text("allow") == "POST"
    answer = fetch(port, "/graphql?query=%7Bhello%7D", "PUT")
    assert answer.status == 405
    assert answer.text("allow") == "GET, POST"
    assert len(there.asked) == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"query": 7}', 400),
        (b'{"query": "{hello}", "variables": []}', 400),
        (b'{"query": "{hello}", "query": "{me{salary}}"}', 400),
        (b'{"query": "{hello}", "Query": "{me{salary}}"}', 400),
        (b'{"query": "{hello(name: \\"\\ud800\\")}"}', 400),
        (b'{"query": "{hello}", "variables": ' + b"[" * 100_000 + b"}", 400),
        (json.dumps([{"query": "{hello}"}] * 3).encode(), 400),
        (b'{"query": "{hello}"}' + b" " * 300_000, 413),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(there: Scripted, port: int, body: bytes, status: int) -> None:
    before = len(there.asked)
    answer = post(port, body)
    assert answer.status == status
    assert "errors" in json.loads(answer.body)
    assert len(there.asked) == before


@pytest.mark.parametrize(
    "fields",
    [
        {"Content_Type": "text/plain"},
        {"Content_Type": "multipart/form-data; boundary=x"},
        {"Content_Type": "application/json; charset=utf-16"},
        {"Content_Encoding": "gzip"},
    ],
)
def test_other_media_types_are_refused(port: int, fields: dict[str, str]) -> None:
    answer = post(port, {"query": "{hello}"}, **fields)
    assert (answer.status, code(answer)) == (415, "graphql-media-type")


def test_a_post_has_all_in_its_body(port: int) -> None:
    answer = fetch(port, "/graphql?query=%7Bme%7D", "POST", b'{"query": "{hello}"}', Content_Type="application/json")
    assert answer.status == 400


def test_persisted_queries_are_known_once_they_were_seen(there: Scripted, port: int) -> None:
    query = "query APQ { hello }"
    extension = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(query.encode()).hexdigest()}}
    answer = post(port, {"extensions": extension})
    assert json.loads(answer.body)["errors"][0]["message"] == "PersistedQueryNotFound"
    assert code(answer) == "PERSISTED_QUERY_NOT_FOUND"
    assert "data" in json.loads(post(port, {"query": query, "extensions": extension}).body)
    before = len(there.asked)
    post(port, {"extensions": extension})
    assert json.loads(there.asked[before].body) == {"extensions": extension}
    assert post(port, {"query": "{ me { id } }", "extensions": extension}).status == 400


def test_a_bomb_of_fragments_takes_no_time(port: int) -> None:
    doubled = " ".join(f"fragment F{i} on Query {{ ...F{i + 1} a{i}: me {{ id }} ...F{i + 1} }}" for i in range(60))
    answer = ask(port, "{ ...F0 } " + doubled + " fragment F60 on Query { hello }")
    assert answer["errors"][0]["extensions"]["code"] in ("graphql-aliases", "graphql-cost")


def test_the_log_and_the_metrics_name_operations(gateway: Gateway, port: int) -> None:
    answer = post(port, {"query": "query Named { users(first: 3) { id name } }"})
    line = gateway.line(answer.text("x-request-id"))
    assert line["graphql"] == {"type": "query", "name": "Named", "cost": 7}
    refused = gateway.line(post(port, {"query": "{"}).text("x-request-id"))
    assert refused["error"] == "graphql-syntax"
    text = fetch(gateway.ports["admin"], "/metrics", Host="localhost").body.decode()
    labels = 'graphql_operation_type="query",graphql_operation_name="Named"'
    assert f"apigw_graphql_operation_cost_total{{{labels}}} 7\n" in text
    assert f"apigw_graphql_operation_duration_seconds_count{{{labels}}} 1\n" in text


def test_only_listed_documents_pass(there: Scripted, tmp_path: Path) -> None:
    document = "query Listed($n: String) { hello(name: $n) }"
    (tmp_path / "documents.json").write_text(json.dumps({"greeting": document}), "utf-8")
    config = f"""\
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:graph]
urls = http://127.0.0.1:{there.port}
[graphql]
service = graph
persisted = only:{tmp_path}/documents.json
"""
    with Gateway(tmp_path, config) as gateway:
        said = {"data": {"hello": "hello z"}}
        variables = {"n": "z"}
        for body in (
            {"id": "greeting"},
            {"query": document},
            {"documentId": hashlib.sha256(document.encode()).hexdigest()},
        ):
            assert json.loads(post(gateway.port, {**body, "variables": variables}).body) == said
        target = "/graphql?id=greeting&variables=" + quote(json.dumps(variables))
        assert json.loads(fetch(gateway.port, target).body) == said
        for body in ({"query": "{ hello }"}, {"id": "other"}, {"id": "greeting", "query": "{ hello }"}):
            before = len(there.asked)
            assert code(post(gateway.port, body)) == "graphql-persisted"
            assert len(there.asked) == before


def test_limits_count_what_requests_cost(there: Scripted, tmp_path: Path) -> None:
    config = INI.format(port=there.port, more="cost_unit = 20\n[limits]\nip = 20/m burst 20")
    with Gateway(tmp_path, config, environ={"JWT_SECRET": SECRET}, listeners=2) as gateway:
        port = gateway.ports["public"]
        assert "data" in ask(port, "{ users(first: 100) { id } }")
        assert "data" in ask(port, "{ users(first: 100) { id } }")
        assert "data" in ask(port, "{ users(first: 100) { id } }")
        answer = post(port, {"query": "{ users(first: 190) { id } }"})
        assert (answer.status, code(answer)) == (429, "rate-limited")
        assert "data" in ask(port, "{ hello }")


def test_without_the_package_the_firewall_is_an_error_and_the_rest_works(there: Scripted, tmp_path: Path) -> None:
    stub = tmp_path / "stub" / "graphql"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("raise ImportError('not here')", "utf-8")
    environ = {"PYTHONPATH": str(stub.parent), "JWT_SECRET": SECRET}
    config = INI.format(port=there.port, more="")
    (tmp_path / "gw.ini").write_text(config, "utf-8")
    found = run("apigw", "--config", "gw.ini", "--check", cwd=tmp_path, environ=environ)
    assert found.returncode != 0
    assert "[graphql] max_depth: needs a package, pip install apigw[graphql]" in found.stdout + found.stderr
    plain = config[: config.index("[jwt]")] + "[graphql]\nservice = graph\n"
    with Gateway(tmp_path, plain, environ=environ, listeners=2) as gateway:
        port = gateway.ports["public"]
        assert ask(port, "{ me { salary } }") == {"data": {"me": {"salary": 1007}}}
        assert post(port, b"x", Content_Type="multipart/form-data; boundary=x").status == 415


def test_a_reload_reads_the_documents_again(there: Scripted, tmp_path: Path) -> None:
    file = tmp_path / "documents.json"
    file.write_text(json.dumps({"a": "{ hello }"}), "utf-8")
    config = f"""\
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:graph]
urls = http://127.0.0.1:{there.port}
[graphql]
service = graph
persisted = only:{file}
"""
    with Gateway(tmp_path, config) as gateway:
        assert json.loads(post(gateway.port, {"id": "a"}).body) == {"data": {"hello": "hello you"}}
        file.write_text(json.dumps({"b": "{ me { id } }"}), "utf-8")
        gateway.signal(SIGHUP)
        gateway.wait(lambda: any("reloaded" in line for line in gateway.output))
        assert json.loads(post(gateway.port, {"id": "b"}).body) == {"data": {"me": {"id": "7"}}}
        assert code(post(gateway.port, {"id": "a"})) == "graphql-persisted"
        file.write_text("{}", "utf-8")
        gateway.signal(SIGHUP)
        gateway.wait(lambda: any("has no document" in line for line in gateway.output))
        assert json.loads(post(gateway.port, {"id": "b"}).body) == {"data": {"me": {"id": "7"}}}
