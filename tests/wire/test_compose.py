"""compose.yaml: by the published schema, by our own rules, and run with processes instead of containers."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from apigw.config.loader import loads
from tests.examples import ini_examples
from tests.redis.server import RedisServer
from tests.wire.gateway import Gateway
from tests.wire.sockets import connect

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text("utf-8")
SCHEMA = json.loads((ROOT / "tests/schemas/compose-spec.json").read_text("utf-8"))
COMPOSE: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", TEXT))
SERVICES: dict[str, Any] = COMPOSE["services"]
OWN = {name: service for name, service in SERVICES.items() if service["image"] == "apigw"}


def test_it_is_what_the_schema_says() -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(COMPOSE)


@pytest.mark.parametrize(("there", "instead"), [("ports:", "port:"), ("restart: unless-stopped", "restart: [no]")])
def test_the_schema_finds_a_fault(there: str, instead: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SCHEMA).validate(yaml.safe_load(TEXT.replace(there, instead, 1)))


def test_there_are_a_gateway_redis_three_services_prometheus_and_grafana() -> None:
    assert set(SERVICES) == {"gateway", "user", "ai", "music", "redis", "prometheus", "grafana"}
    assert set(OWN) == {"gateway", "user", "ai", "music"}


@pytest.mark.parametrize("name", sorted(OWN))
def test_what_is_ours_can_write_nothing_and_has_no_privilege(name: str) -> None:
    service = OWN[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in service  # the image has one
    assert not any(volume.endswith(":rw") or not volume.endswith(":ro") for volume in service["volumes"])


def test_images_of_others_have_a_version() -> None:
    for service in SERVICES.values():
        if service["image"] != "apigw":
            assert re.fullmatch(r"[\w/]+:v?\d[\w.-]*", service["image"])


def test_only_the_gateways_listener_is_reached_from_elsewhere() -> None:
    open_ports = {
        (name, port) for name, one in SERVICES.items() for port in one.get("ports", []) if "127.0.0.1" not in port
    }
    assert open_ports == {("gateway", "8080:8080")}


def test_what_it_mounts_and_names_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists()
            else:
                assert source in COMPOSE["volumes"]
        assert {one["source"] for one in service.get("configs", [])} <= set(COMPOSE["configs"])
    for config in COMPOSE["configs"].values():
        assert isinstance(yaml.safe_load(config["content"]), dict)


def test_prometheus_asks_the_gateway_with_its_token() -> None:
    [job] = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["gateway:9900"]}]
    assert job["authorization"] == {"credentials": SERVICES["gateway"]["environment"]["APIGW_ADMIN_TOKEN"]}


def test_prometheus_and_grafana_find_what_they_are_told_to() -> None:
    def seen(service: str, path: str) -> Path:
        """What stands at ``path`` in a container, in this repository."""
        for volume in SERVICES[service]["volumes"]:
            source, target, *_ = volume.split(":")
            if path.startswith(target):
                return ROOT / source / path.removeprefix(target).lstrip("/")
        raise AssertionError(path)

    [rules] = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])["rule_files"]
    assert list(seen("prometheus", rules).parent.glob(Path(rules).name)) == [ROOT / "etc/prometheus/alerts.yml"]
    path = seen("grafana", SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    board = json.loads(path.read_text("utf-8"))
    assert board["panels"]
    chosen = {one["name"]: one for one in board["templating"]["list"]}
    [source] = yaml.safe_load(COMPOSE["configs"]["datasource"]["content"])["datasources"]
    assert source["isDefault"]  # so that it is the one that is chosen
    assert source["type"] == chosen["datasource"]["query"]
    [job] = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])["scrape_configs"]
    assert job["job_name"] == chosen["job"]["current"]["value"]


def config(name: str, ports: dict[str, int]) -> str:
    """The configuration of one of ours, with free ports, and the others where they are."""
    [volume] = OWN[name]["volumes"]
    source, target, _ = volume.split(":")
    assert OWN[name]["command"] == ["--config", target]
    text = (ROOT / source).read_text("utf-8")
    text = re.sub(r"(?m)^endpoint = tcp:\d+$", "endpoint = tcp:0:interface=127.0.0.1", text)
    return re.sub(r"http://(\w+):8080", lambda found: f"http://127.0.0.1:{ports[found[1]]}", text)


def test_it_works_together(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path)
    with ExitStack() as stack:
        redis.start()
        stack.callback(redis.kill)
        ports: dict[str, int] = {}
        for name in ("user", "ai", "music"):
            (tmp_path / name).mkdir()
            service = Gateway(tmp_path / name, config(name, ports), environ=OWN[name]["environment"])
            ports[name] = stack.enter_context(service).port
        environ = OWN["gateway"]["environment"]
        assert environ["REDIS_URL"] == "redis://redis:6379/0"
        (tmp_path / "gateway").mkdir()
        environ = {**environ, "REDIS_URL": f"redis://127.0.0.1:{redis.port}/0"}
        ini = config("gateway", ports)
        gateway = stack.enter_context(Gateway(tmp_path / "gateway", ini, environ=environ, listeners=2))
        gateway.wait(lambda: any("answers" in line for line in gateway.output))
        wire = connect(gateway.ports["public"])
        for path, said in ((b"/users", b"Ada"), (b"/ai/status/201", b"201"), (b"/music/tracks", b"Canon in D")):
            wire.send(b"GET /api/v1%b HTTP/1.1\r\nHost: h\r\n\r\n" % path)
            assert said in wire.answer().body
        wire.close()
        assert redis.ask("DBSIZE") != b":0\r\n"  # the limits are there
        admin = connect(gateway.ports["admin"])
        token = environ["APIGW_ADMIN_TOKEN"].encode()
        for field, status in ((b"", 401), (b"Authorization: Bearer %b\r\n" % token, 200)):
            admin.send(b"GET /metrics HTTP/1.1\r\nHost: h\r\n%b\r\n" % field)
            assert admin.answer().status == status
        admin.close()


def test_the_documented_configuration_is_one() -> None:
    [text] = ini_examples("operations/docker.md")
    loads(text, "gw.ini", {"APIGW_ADMIN_TOKEN": "0123456789abcdef"})
