"""etc/kubernetes: held to the published schemas, and to what the gateway is and needs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from apigw.config import GatewayConfig
from apigw.config.loader import loads
from tests.examples import ini_examples
from tests.redis.server import RedisServer
from tests.test_dockerfile import FINAL
from tests.wire.gateway import Gateway
from tests.wire.sockets import connect

ROOT = Path(__file__).parents[1]
TREE = ROOT / "etc/kubernetes"
MONITOR = json.loads((ROOT / "tests/schemas/servicemonitor-v1.json").read_text("utf-8"))
VERSIONS = ("1.30", "1.34", kubernetes_validate.latest_version())
"""The oldest one that knows what the manifests use, one between, and the newest that has a schema."""

FOLDERS = ["base", "overlays/trial", "overlays/production"]
OVERLAYS = FOLDERS[1:]
ENVIRON = {"APIGW_ADMIN_TOKEN": "for-this-cluster-alone", "REDIS_URL": "redis://redis:6379/0", "POD_NAMESPACE": "shop"}

Resource = dict[str, Any]


def resources(text: str) -> list[Resource]:
    return [one for one in yaml.safe_load_all(text) if one]


def check(one: Resource, version: str) -> None:
    """:raises jsonschema.ValidationError: it isn't what the API server takes."""
    if one["kind"] == "ServiceMonitor":
        jsonschema.Draft7Validator(MONITOR).validate(one)
    else:
        kubernetes_validate.validate(one, version, strict=True)


def kustomization(folder: str) -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((TREE / folder / "kustomization.yaml").read_text("utf-8"))
    return made


@cache
def kubectl() -> str:
    """A version that has Kustomize 4; empty where there is none."""
    program = shutil.which("kubectl")
    if program is None:
        return ""
    told = subprocess.run(
        [program, "version", "--client", "--output=json"], capture_output=True, timeout=25, check=True
    )
    return program if int(re.sub("[^0-9]", "", json.loads(told.stdout)["clientVersion"]["minor"])) >= 21 else ""


def rendered(folder: str) -> list[Resource]:
    """What would be applied, by Kustomize itself."""
    program = kubectl()
    if not program:
        pytest.skip("kubectl 1.21 or later is not installed")
    done = subprocess.run(
        [program, "kustomize", TREE / folder], capture_output=True, text=True, timeout=25, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return resources(done.stdout)


def only(of: list[Resource], kind: str, name: str = "apigw") -> Resource:
    [found] = [
        one for one in of if one["kind"] == kind and re.fullmatch(rf"{name}(-[0-9a-z]{{10}})?", one["metadata"]["name"])
    ]
    return found


def pod(deployment: Resource) -> dict[str, Any]:
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return found


def config(folder: str) -> GatewayConfig:
    return loads((TREE / folder / "gw.ini").read_text("utf-8"), "gw.ini", ENVIRON)


# -- by the schemas ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_the_base_is_what_the_schemas_say(version: str) -> None:
    for name in kustomization("base")["resources"]:
        for one in resources((TREE / "base" / name).read_text("utf-8")):
            if one["kind"] == "Deployment":  # Kustomize gives it its labels
                labels = {"app.kubernetes.io/name": "apigw"}
                one["spec"] |= {"selector": {"matchLabels": labels}}
            check(one, version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", OVERLAYS)
def test_what_is_applied_is_what_the_schemas_say(folder: str, version: str) -> None:
    for one in rendered(folder):
        check(one, version)


@pytest.mark.parametrize(
    ("file", "there", "instead"),
    [
        ("deployment.yaml", "readOnlyRootFilesystem", "readonlyRootFilesystem"),
        ("deployment.yaml", "failureThreshold: 60", "failureThreshold: sixty"),
        ("autoscaler.yaml", "averageValue", "averagevalue"),
        ("availability.yaml", "maxUnavailable", "maxUnavailables"),
        ("network.yaml", "namespaceSelector", "nameSpaceSelector"),
        ("monitor.yaml", "endpoints:", "endpoint:"),
        ("monitor.yaml", "interval: 15s", "interval: 15 seconds"),
    ],
)
def test_the_schemas_find_a_fault(file: str, there: str, instead: str) -> None:
    text = (TREE / "base" / file).read_text("utf-8")
    assert there in text
    faulty = (one for one in resources(text.replace(there, instead)))
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        for one in faulty:
            check(one, VERSIONS[-1])


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_is_used(folder: str) -> None:
    file = kustomization(folder)
    named = {name for name in file["resources"] if not name.startswith("..")}
    named |= {patch["path"] for patch in file.get("patches", []) if "path" in patch}
    named |= {name for one in file.get("configMapGenerator", []) for name in one["files"]}
    assert named | {"kustomization.yaml"} == {path.name for path in (TREE / folder).iterdir()}


# -- by what the gateway is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["base", "overlays/trial"])
def test_the_configuration_passes_the_check(folder: str) -> None:
    command = [sys.executable, "-m", "apigw", "check", TREE / folder / "gw.ini"]
    done = subprocess.run(
        command, env={**os.environ, **ENVIRON}, capture_output=True, text=True, timeout=25, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_configmap_has_the_configuration_that_is_run(folder: str) -> None:
    of = rendered(folder)
    map_ = only(of, "ConfigMap")
    assert loads(map_["data"]["gw.ini"], "gw.ini", ENVIRON).listeners
    spec = pod(only(of, "Deployment"))
    [container] = spec["containers"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    places = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    assert container["args"] == ["--config", "/etc/apigw/gw.ini"]
    assert places["/etc/apigw"]["configMap"]["name"] == map_["metadata"]["name"]
    assert "emptyDir" in places["/dev/shm"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_selectors_and_ports_meet_the_pod(folder: str) -> None:
    of = rendered(folder)
    template = only(of, "Deployment")["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    [container] = template["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8080, "admin": 9900}
    for name in ("apigw", "apigw-admin"):
        service = only(of, "Service", name)
        assert service["spec"]["selector"].items() <= labels
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports)
    assert "admin" not in {port["name"] for port in only(of, "Service")["spec"]["ports"]}
    for kind, key in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        selector = only(of, kind)["spec"][key]["matchLabels"]
        assert selector  # an empty one is all pods of the namespace
        assert selector.items() <= labels
    assert only(of, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "apigw"
    assert "replicas" not in only(of, "Deployment")["spec"]
    [subject] = only(of, "RoleBinding")["subjects"]
    assert subject["namespace"] == only(of, "ServiceAccount")["metadata"]["namespace"]


def test_prometheus_finds_the_admin_service() -> None:
    of = rendered("overlays/production")
    monitor = only(of, "ServiceMonitor")["spec"]
    service = only(of, "Service", "apigw-admin")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    [endpoint] = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert only(of, "Service")["metadata"]["labels"].get("app.kubernetes.io/component") != "admin"


def test_the_trials_secret_has_what_the_pod_asks_for() -> None:
    of = rendered("overlays/trial")
    secret = only(of, "Secret")
    [container] = pod(only(of, "Deployment"))["containers"]
    asked = [one["valueFrom"]["secretKeyRef"] for one in container["env"] if "secretKeyRef" in one["valueFrom"]]
    assert {one["key"] for one in asked} == set(secret["data"])
    assert {one["name"] for one in asked} == {secret["metadata"]["name"]}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_pods_keep_the_restricted_standard(folder: str) -> None:
    deployments = [one for one in rendered(folder) if one["kind"] == "Deployment"]
    assert deployments
    for deployment in deployments:
        spec = pod(deployment)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_images_have_a_tag(folder: str) -> None:
    """Without one the newest is pulled at each start, and which one runs is anybody's guess."""
    images = [pod(one)["containers"][0]["image"] for one in rendered(folder) if one["kind"] == "Deployment"]
    assert images
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]+", image) for image in images)


def test_the_user_is_the_images() -> None:
    [deployment] = resources((TREE / "base/deployment.yaml").read_text("utf-8"))
    context = pod(deployment)["securityContext"]
    assert FINAL["USER"].rest == f"{context['runAsUser']}:{context['runAsGroup']}"


@pytest.mark.parametrize("folder", ["base", "overlays/trial"])
def test_a_stop_has_the_time_that_it_takes(folder: str) -> None:
    [deployment] = resources((TREE / "base/deployment.yaml").read_text("utf-8"))
    spec = pod(deployment)
    wait = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] >= wait + config(folder).gateway.drain_timeout + 10


def test_the_probes_and_the_autoscaler_ask_for_what_there_is(tmp_path: Path) -> None:
    [deployment] = resources((TREE / "base/deployment.yaml").read_text("utf-8"))
    [container] = pod(deployment)["containers"]
    [scaler] = resources((TREE / "base/autoscaler.yaml").read_text("utf-8"))
    names = [one["pods"]["metric"]["name"] for one in scaler["spec"]["metrics"] if one["type"] == "Pods"]
    assert names
    redis = RedisServer(tmp_path)
    redis.start()
    ini = re.sub(
        r"(?m)^endpoint = tcp:\d+$",
        "endpoint = tcp:0:interface=127.0.0.1",
        (TREE / "overlays/trial/gw.ini").read_text("utf-8"),
    )
    environ = {**ENVIRON, "REDIS_URL": f"redis://127.0.0.1:{redis.port}"}
    with Gateway(tmp_path, ini, environ=environ, listeners=2) as gateway:
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container[kind]["httpGet"]
            assert probe["port"] == "http"
            wire = connect(gateway.ports["public"])
            wire.send(
                f"GET {probe['path']} HTTP/1.1\r\nHost: 10.0.0.1:8080\r\nUser-Agent: kube-probe/1.34\r\n\r\n".encode()
            )
            assert wire.answer().status == 200
            wire.close()
        wire = connect(gateway.ports["admin"])
        wire.send(
            f"GET /metrics HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {ENVIRON['APIGW_ADMIN_TOKEN']}\r\n\r\n".encode()
        )
        metrics = wire.answer().body.decode()
        wire.close()
        for name in names:
            assert re.search(rf"(?m)^{name} [0-9]", metrics)
    redis.kill()


def test_the_documented_examples_load() -> None:
    for text in ini_examples("operations/kubernetes.md"):
        loads(text, "gw.ini", ENVIRON)
