"""The admin listener of a real gateway, and the command line that asks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from apigw.__main__ import main
from tests.wire.gateway import BOUND, Gateway, environment, run
from tests.wire.sockets import Message, Service, connect

TOKEN = "0123456789abcdef-wire"

INI = """\
[gateway]
access_log = off
ready_needs = user
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
token_env = THE_TOKEN
[service:user]
urls = http://127.0.0.1:{port}
[route:users]
path = /users
service = user
headers = X-Key: ${{THE_SECRET}}
"""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.fixture(scope="module")
def there() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture(scope="module")
def gateway(there: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    environ = {"THE_TOKEN": TOKEN, "THE_SECRET": "hunter2"}
    ini = INI.format(port=there.port)
    with Gateway(tmp_path_factory.mktemp("admin"), ini, environ=environ, listeners=2) as gateway:
        yield gateway


def get(port: int, path: str, token: str = "", method: str = "GET") -> Message:
    wire = connect(port)
    field = f"Authorization: Bearer {token}\r\n" if token else ""
    wire.send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n".encode())
    answer = wire.answer(method.encode())
    wire.close()
    return answer


def companion(gateway: Gateway, *arguments: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "apigw", *arguments, "--admin", f"http://127.0.0.1:{gateway.ports['admin']}"]
    return subprocess.run(
        command,
        cwd=gateway.directory,
        env=environment({"APIGW_ADMIN_TOKEN": token, "http_proxy": "http://127.0.0.1:9"}),
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


def test_metrics_of_a_request(gateway: Gateway, there: Service) -> None:
    wire = connect(gateway.port)
    wire.send(b"GET /users/7 HTTP/1.1\r\nHost: h\r\nX-Key: hunter2\r\n\r\n")
    service = there.accept()
    service.request()
    service.send(OK)
    assert wire.answer().status == 200
    wire.close()
    answer = get(gateway.ports["admin"], "/metrics", TOKEN)
    assert answer.text("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
    counts = {
        (sample.labels["http_route"], sample.labels["http_response_status_code"]): sample.value
        for sample in families["http_server_request_duration_seconds"].samples
        if sample.name.endswith("_count")
    }
    assert counts["users", "200"] == 1
    assert families["process_resident_memory_bytes"].samples[0].value > 1e6
    [build] = families["apigw_build_info"].samples
    assert build.labels["python"].startswith("3.")
    assert "hunter2" not in answer.body.decode()
    service.close()


@pytest.mark.parametrize("path", ["/metrics", "/api/routes", "/api/config", "/health", "/health/detailed", "/version"])
def test_nothing_without_the_token(gateway: Gateway, path: str) -> None:
    for token in ("", TOKEN[:-1], TOKEN + "x"):
        assert get(gateway.ports["admin"], path, token).status == 401
    assert get(gateway.ports["admin"], path, TOKEN).status == 200


@pytest.mark.parametrize("path", ["/metrics", "/api/routes"])
def test_it_is_not_on_the_public_listener(gateway: Gateway, path: str) -> None:
    assert get(gateway.port, path, TOKEN).status == 404


def test_no_secret_is_shown(gateway: Gateway) -> None:
    for path in ("/api/config", "/api/routes", "/api/services", "/health/detailed"):
        body = get(gateway.ports["admin"], path, TOKEN).body.decode()
        assert "hunter2" not in body
        assert TOKEN not in body
    config = json.loads(get(gateway.ports["admin"], "/api/config", TOKEN).body)["sections"]
    assert config["route:users"]["headers"] == {"value": "***", "origin": "gw.ini:14"}
    assert config["admin"]["token_env"] == {"value": "THE_TOKEN", "origin": "gw.ini:8"}


def test_what_is_no_look_is_logged(gateway: Gateway) -> None:
    assert get(gateway.ports["admin"], "/api/routes", TOKEN, "DELETE").status == 405
    gateway.wait(lambda: any("admin: DELETE /api/routes from 127.0.0.1: 405" in line for line in gateway.output))


def test_health_of_services_on_the_public_listener(gateway: Gateway) -> None:
    assert json.loads(get(gateway.port, "/health/services/user").body)["status"] == "up"
    assert get(gateway.port, "/health/ready").status == 200
    assert get(gateway.port, "/health/services/none").status == 404


def test_the_command_line(gateway: Gateway, there: Service) -> None:
    status = companion(gateway, "status")
    assert (status.returncode, status.stderr) == (0, "")
    assert status.stdout.startswith("status   ok\n")
    assert "user     up      1/1\n" in status.stdout
    routes = companion(gateway, "routes")
    assert routes.stdout.splitlines()[1].split() == ["users", "any", "any", "/users", "user"]
    services = companion(gateway, "services", "--json")
    [service] = json.loads(services.stdout)["services"]
    assert service["peers"][0]["name"] == f"127.0.0.1:{there.port}"
    table = companion(gateway, "services").stdout.splitlines()
    assert table[1].split()[:4] == ["user", f"127.0.0.1:{there.port}", "-", "closed"]


def test_the_command_line_says_what_is_wrong(
    gateway: Gateway, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = companion(gateway, "status", token="wrong")
    assert refused.returncode == 1
    assert "401 Unauthorized: set APIGW_ADMIN_TOKEN or give --token-file" in refused.stderr
    given = directory / "token"
    given.write_text(f"{TOKEN}\n")
    assert companion(gateway, "status", "--token-file", str(given), token="wrong").returncode == 0
    missing = companion(gateway, "status", "--token-file", str(directory / "none"))
    assert (missing.returncode, "none: " in missing.stderr) == (1, True)
    nobody = main(["status", "--admin", "http://127.0.0.1:9"])
    assert (nobody, capsys.readouterr().err) == (1, "http://127.0.0.1:9: [Errno 111] Connection refused\n")


@pytest.mark.parametrize("as_json", [False, True])
def test_check_of_a_file(directory: Path, as_json: bool) -> None:
    (directory / "gw.ini").write_text("[admin]\nendpoint = tcp:9900\n")
    command = [sys.executable, "-m", "apigw", "check", "gw.ini", *(["--json"] if as_json else [])]
    done = subprocess.run(
        command, cwd=directory, env=environment(), capture_output=True, text=True, timeout=BOUND, check=False
    )
    assert done.returncode == 1
    error = json.loads(done.stdout)["errors"][0] if as_json else done.stderr
    assert error.startswith("gw.ini:2: [admin] endpoint: ")


def test_a_taken_address_is_told_by_its_section(gateway: Gateway, directory: Path) -> None:
    port = gateway.ports["admin"]
    (directory / "gw.ini").write_text(
        f"[listener:public]\nendpoint = tcp:0:interface=127.0.0.1\n[admin]\nendpoint = tcp:{port}:interface=127.0.0.1\n"
    )
    done = run("-n", "--pidfile=", "apigw", "--config", "gw.ini", cwd=directory)
    assert done.returncode == 1
    assert f"[admin] endpoint: tcp:{port}:interface=127.0.0.1: {os.strerror(98)}" in done.stderr
