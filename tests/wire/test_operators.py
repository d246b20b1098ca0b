"""What operators do to a real gateway, what it explains to them, and that all of it is as described."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.wire.gateway import BOUND, Gateway, environment
from tests.wire.server import Server
from tests.wire.sockets import Message, connect

TOKEN = "0123456789abcdef-operators"
SECRET = "s" * 40

INI = """\
[gateway]
access_log = off
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
token_env = THE_TOKEN
[jwt]
secret_env = THE_SECRET
[identity]
[limits]
user = 3/m
[service:user]
urls = http://127.0.0.1:{one}, http://127.0.0.1:{two}
authorization = drop
balance = round_robin
[service:rest]
urls = http://127.0.0.1:{one}
[route:user]
path = /users/{{id}}
service = user
auth = required
roles = reader
rewrite = /v2/people/{{id}}
[route:post]
path = /users/{{id}}
methods = POST
service = rest
[route:rest]
path = /
service = rest
"""

ENVIRON = {"THE_TOKEN": TOKEN, "THE_SECRET": SECRET}


@pytest.fixture(scope="module")
def services() -> Iterator[tuple[Server, Server]]:
    both = Server(), Server()
    for number, one in enumerate(both):
        one.body = b"%d" % number
    yield both
    for one in both:
        one.close()


@pytest.fixture
def gateway(services: tuple[Server, Server], tmp_path: Path) -> Iterator[Gateway]:
    ini = INI.format(one=services[0].port, two=services[1].port)
    with Gateway(tmp_path, ini, environ=ENVIRON, listeners=2) as gateway:
        yield gateway


def call(gateway: Gateway, path: str, body: object = None, fields: str = "") -> Message:
    wire = connect(gateway.ports["admin"])
    head = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n{fields}"
    if body is None:
        wire.send(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
    else:
        data = json.dumps(body)
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        wire.send(f"POST {path} HTTP/1.1\r\n{head}\r\n{data}".encode())
    answer = wire.answer()
    wire.close()
    return answer


def value(answer: Message) -> Any:
    return json.loads(answer.body)


def get(gateway: Gateway, path: str, token: str = "") -> Message:
    wire = connect(gateway.port)
    field = f"Authorization: Bearer {token}\r\n" if token else ""
    wire.send(f"GET {path} HTTP/1.1\r\nHost: api.example.test\r\n{field}\r\n".encode())
    answer = wire.answer()
    wire.close()
    return answer


def companion(gateway: Gateway, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "apigw", *arguments, "--admin", f"http://127.0.0.1:{gateway.ports['admin']}"]
    return subprocess.run(
        command,
        cwd=gateway.directory,
        env=environment({"APIGW_ADMIN_TOKEN": TOKEN}),
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


def user_token(*roles: str) -> str:
    return jwt.encode({"sub": "7", "roles": list(roles), "exp": 4e9}, SECRET, "HS256")


def test_a_drained_peer_gets_nothing_until_it_is_restored(gateway: Gateway, services: tuple[Server, Server]) -> None:
    one = f"127.0.0.1:{services[0].port}"
    assert {get(gateway, "/users/1", user_token("reader")).body for _ in range(2)} == {b"0", b"1"}
    assert value(call(gateway, "/api/peers", {"service": "rest", "peer": one, "action": "drain"}))["drained"] is True
    assert get(gateway, "/x").status == 503
    assert companion(gateway, "drain", "user", one).stdout.startswith(f"{one}: drained")
    assert companion(gateway, "services").stdout.splitlines()[1].split()[:3] == ["user", one, "drained"]
    limited = get(gateway, "/users/1", user_token("reader"))
    assert (limited.status, limited.body) == (200, b"1")
    assert companion(gateway, "restore", "rest", one).returncode == 0
    assert get(gateway, "/x").body == b"0"
    told = [line for line in gateway.output if "/api/peers" in line and "action=" in line]
    assert len(told) == 3
    assert "service='user'" in told[1]
    assert told[1].endswith("by 127.0.0.1")


def test_breakers_are_held_and_reset(gateway: Gateway, services: tuple[Server, Server]) -> None:
    about = {"service": "rest", "peer": f"127.0.0.1:{services[0].port}"}
    assert value(call(gateway, "/api/breakers", {**about, "action": "open"}))["breaker"] == "forced_open"
    refused = get(gateway, "/x")
    assert (refused.status, json.loads(refused.body)["code"]) == (503, "circuit-open")
    states = {(one["service"], one["state"]) for one in value(call(gateway, "/api/breakers"))["breakers"]}
    assert states == {("user", "closed"), ("rest", "forced_open")}
    assert value(call(gateway, "/api/breakers", {**about, "action": "reset"}))["breaker"] == "closed"
    assert get(gateway, "/x").status == 200
    missing = call(gateway, "/api/breakers", {**about, "peer": "nowhere:1", "action": "reset"})
    assert (missing.status, value(missing)["detail"]) == (404, "The service rest has no peer 'nowhere:1'.")


def test_maintenance_holds_through_a_reload_and_ends(gateway: Gateway) -> None:
    assert companion(gateway, "maintenance", "on", "--for", "2m").stdout == "closed: the gateway for 120 s\n"
    closed = get(gateway, "/x")
    assert (closed.status, closed.text("Retry-After")) == (503, "120")
    assert companion(gateway, "reload").stdout == "reloaded\n"
    assert get(gateway, "/x").status == 503
    assert companion(gateway, "maintenance", "off").stdout == "open\n"
    assert companion(gateway, "maintenance", "on", "--service", "rest").returncode == 0
    assert (get(gateway, "/x").status, get(gateway, "/users/1").status) == (503, 401)
    assert value(call(gateway, "/api/maintenance"))["services"] == {"rest": 300.0}


def test_the_log_tells_less_but_always_what_operators_do(gateway: Gateway, services: tuple[Server, Server]) -> None:
    about = {"service": "rest", "peer": f"127.0.0.1:{services[0].port}", "action": "drain"}
    assert companion(gateway, "log-level", "error").stdout == "error\n"
    before = len(gateway.output)
    call(gateway, "/api/peers", about)
    gateway.wait(lambda: any("POST /api/peers" in line for line in gateway.output[before:]))
    assert not [line for line in gateway.output[before:] if "is drained" in line]
    assert value(call(gateway, "/api/log-level", {"level": "debug", "namespace": "apigw.upstream"}))["namespaces"]
    call(gateway, "/api/peers", {**about, "action": "restore"})
    gateway.wait(lambda: any("is restored" in line for line in gateway.output[before:]))


def test_a_page_of_another_site_changes_nothing(gateway: Gateway) -> None:
    for field in ("Origin: https://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n"):
        assert call(gateway, "/api/maintenance", {"on": True}, field).status == 403
        assert call(gateway, "/api/maintenance", fields=field).status == 200
    assert call(gateway, "/api/maintenance", {"on": False}, "Sec-Fetch-Site: same-origin\r\n").status == 200


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("/api/peers", {"service": "user", "peer": "x"}, "action is missing."),
        ("/api/peers", {"service": "user", "peer": 1, "action": "drain"}, "peer must be text."),
        ("/api/peers", {"service": "user", "peer": "x", "action": "kill"}, "action must be one of drain, restore."),
        ("/api/maintenance", {"on": 1}, "on must be true or false."),
        ("/api/maintenance", {"on": True, "for": "soon"}, "for must be a duration, such as 10m."),
        ("/api/maintenance", {"on": True, "until": 1}, "'until' is not known; there are on, service, route, for."),
        ("/api/log-level", {"level": "info", "namespace": "apigw.admin"}, "apigw.admin is always told."),
        ("/api/explain", {"url": "/x"}, "The URL must be like https://api.example.com/path."),
        ("/api/explain", {"url": "http://h/", "headers": [["a"]]}, "Each of headers is a list of a name and a value."),
        (
            "/api/explain",
            {"url": "http://h/", "headers": [["a", "b\r\n\r\nGET / HTTP/1.1"]]},
            "Method, URL and fields may not have line ends in them.",
        ),
    ],
)
def test_what_is_wrong_is_told(gateway: Gateway, path: str, body: object, detail: str) -> None:
    answer = call(gateway, path, body)
    assert (answer.status, value(answer)["detail"]) == (400, detail)


def test_explain_tells_what_a_request_then_meets(gateway: Gateway, services: tuple[Server, Server]) -> None:
    token = user_token("reader")
    url = "https://api.example.test/users/7?x=1"
    headers = [["Authorization", f"Bearer {token}"], ["Accept", "*/*"]]
    told = value(call(gateway, "/api/explain", {"url": url, "headers": headers}))
    assert told["verdict"] == "forward"
    assert (told["route"]["name"], told["route"]["parameters"]) == ("user", {"id": "7"})
    others = {one["name"]: one["why"] for one in told["others"]}
    assert others["post"] == "the method is not POST"
    assert others["rest"] == "another route is more specific"
    stages = {one["stage"]: one for one in told["stages"]}
    assert stages["Jwt"]["facts"]["user"] == "7"
    assert stages["Limits"]["facts"]["user"]["remaining"] == 3
    forward = told["forward"]
    assert forward["target"] == "/v2/people/7?x=1"
    fields = {name.lower(): text for name, text in forward["fields"]}
    assert (fields["x-user-id"], fields["host"]) == ("7", "api.example.test")
    assert "authorization" not in fields
    assert forward["timeouts"]["total"] == 30.0
    # The request itself gets just there, and what was explained has counted nowhere.
    before = [len(one.asked) for one in services]
    answer = get(gateway, "/users/7?x=1", token)
    assert '"user";r=2' in answer.text("RateLimit")
    asked = [len(one.asked) - count for one, count in zip(services, before, strict=True)]
    assert forward["peer"] == f"127.0.0.1:{services[asked.index(1)].port}"
    assert value(call(gateway, "/api/explain", {"url": url, "headers": headers}))["forward"]["peer"] != forward["peer"]


def test_explain_tells_refusals_with_their_numbers(gateway: Gateway) -> None:
    guest = companion(gateway, "explain", "GET", "https://api.example.test/users/7")
    assert guest.returncode == 1
    assert guest.stdout.splitlines()[-1].startswith("it would be refused: 401 token-missing")
    wrong_role = companion(
        gateway, "explain", "https://api.example.test/users/7", "-H", f"Authorization: Bearer {user_token()}", "--json"
    )
    told = json.loads(wrong_role.stdout)
    assert (told["status"], told["stages"][-1]["stage"]) == (403, "Jwt")
    for _ in range(3):
        get(gateway, "/users/7", user_token("reader"))
    spent = companion(
        gateway, "explain", "https://api.example.test/users/7", "-H", f"Authorization: Bearer {user_token('reader')}"
    )
    assert "user (remaining 0, burst 3, per_second 0.05" in spent.stdout
    assert "429 rate-limited" in spent.stdout.splitlines()[-1]
    nowhere = companion(gateway, "explain", "TRACE", "https://api.example.test/users/7")
    assert "405" in nowhere.stdout.splitlines()[-1]


def test_plan_compares_with_the_last_requests(gateway: Gateway, services: tuple[Server, Server]) -> None:
    for _ in range(3):
        assert get(gateway, "/users/7?secret=1", user_token("reader")).status == 200
    assert get(gateway, "/other").status == 200
    ini = INI.format(one=services[0].port, two=services[1].port)
    new = gateway.directory / "new.ini"
    new.write_text(ini)
    assert companion(gateway, "plan", "new.ini").stdout == "4 requests looked at, 0 would be treated otherwise\n"
    new.write_text(ini.replace("user = 3/m", "user = 1/m").replace("path = /\n", "path = /elsewhere\n"))
    told = json.loads(companion(gateway, "plan", "new.ini", "--json").stdout)
    assert (told["requests"], told["changed"], told["unknown"]) == (4, 3, 0)
    changes = {one["path"]: one for one in told["changes"]}
    limited, unrouted = changes["/users/7"], changes["/other"]
    assert (limited["requests"], limited["user"], limited["after"]["refused"]) == (2, "7", "rate-limited")
    assert (unrouted["before"]["route"], unrouted["after"]) == (
        "rest",
        {"route": "-", "service": "", "refused": "route-not-found"},
    )
    new.write_text(ini.replace("roles = reader", "roles = writer"))
    told = json.loads(companion(gateway, "plan", "new.ini", "--json").stdout)
    assert {(one["path"], one["after"]["refused"]) for one in told["changes"]} == {("/users/7", "forbidden")}
    new.write_text(ini.replace("user = 3/m", "user = 3/fortnight"))
    refused = companion(gateway, "plan", "new.ini")
    assert (refused.returncode, "[limits] user: '3/fortnight' is not a rate" in refused.stderr) == (1, True)
    assert get(gateway, "/other").status == 200


def test_a_token_made_here_opens_a_route(gateway: Gateway) -> None:
    command = [sys.executable, "-m", "apigw", "token", "7", "--roles", "reader", "--config", "gw.ini"]
    done = subprocess.run(
        command,
        cwd=gateway.directory,
        env=environment(ENVIRON),
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert get(gateway, "/users/7", done.stdout.strip()).status == 200


def test_the_last_requests_are_kept_without_secrets(gateway: Gateway) -> None:
    get(gateway, "/users/7?password=hunter2", user_token("reader"))
    get(gateway, "/users/8?password=hunter2")
    answer = call(gateway, "/api/requests?status=4xx")
    assert b"hunter2" not in answer.body
    [refused] = value(answer)["requests"]
    assert (refused["path"], refused["status"], refused["error"], refused["tries"]) == (
        "/users/8?password=*",
        401,
        "token-missing",
        [],
    )
    [served] = value(call(gateway, "/api/requests?user=7&most=1"))["requests"]
    assert (served["route"], served["status"], len(served["tries"])) == ("user", 200, 1)
    assert served["tries"][0]["status"] == 200
    assert call(gateway, "/api/requests?most=0").status == 400


def test_the_api_is_as_described(gateway: Gateway, tmp_path: Path) -> None:
    """By schemathesis: no request that fits the description, or doesn't, gets what it doesn't tell of."""
    checks = (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
    )
    command = [
        str(Path(sys.executable).with_name("st")),
        "run",
        f"http://127.0.0.1:{gateway.ports['admin']}/api/openapi.json",
        *("--header", f"Authorization: Bearer {TOKEN}"),
        *("--exclude-path", "/api/live"),  # has no end
        *("--phases", "coverage,fuzzing"),
        *("--checks", ",".join(checks)),
        *("--max-examples", "15"),
        "--generation-deterministic",
        "--no-color",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout[:3000] + done.stderr[-1000:]
    assert "Tested: " in done.stdout
