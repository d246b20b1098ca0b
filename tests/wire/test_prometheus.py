"""The dashboard and the alerts that come with the gateway, on what a real Prometheus scrapes from a real one."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from apigw.config.loader import loads
from tests.authority import Authority, write
from tests.examples import DOCS, ini_examples
from tests.redis.server import RedisServer
from tests.tokens import SECRET, signed
from tests.wire.gateway import Gateway
from tests.wire.prometheus import HERE, Prometheus, installed, program, prometheus
from tests.wire.scripted import Question, Reply, fetch, scripted

APIGW = HERE.parent.parent / "apigw"
TOKEN = "who-may-look-0123456789"

INI = """\
[gateway]
workers = 2
access_log = off
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[listener:secure]
endpoint = tcp:0:interface=127.0.0.1
tls = yes
certificates = gw.pem
[admin]
endpoint = tcp:0:interface=127.0.0.1
token_env = ADMIN
[service:a]
urls = http://localhost:{port}
health.path = /health
retry.backoff = 1ms..2ms
breaker.volume = 1000000
[route:users]
path = /users
service = a
auth = optional
[route:kept]
path = /kept
service = a
cache = 60s
[route:mine]
path = /mine
service = a
auth = required
[cache]
size = 1MiB
[jwt]
algorithms = HS256
secret_env = JWT_SECRET
[limits]
ip = 1000/s
store = redis
redis_url_env = REDIS_URL
[tracing]
otlp_endpoint = http://127.0.0.1:{port}/v1/traces
sample = 100%
"""

SELECTOR = re.compile(r"\b(up|(?:apigw|http_server|process|python)_[a-z0-9_]+)(?:\{([^}]*)\})?")
LABEL = re.compile(r'([a-z_]+)(?:=~|!=|=)"([^"]*)"')

DASHBOARD = json.loads((HERE.parent / "grafana/apigw.json").read_text("utf-8"))
EXPRESSIONS = [(panel["title"], one["expr"]) for panel in DASHBOARD["panels"] for one in panel.get("targets", ())]


def say(asked: Question) -> Reply:
    if "fails" in asked.target:
        return Reply(503)
    return Reply(200, b"data: 1\n\n", {"Content-Type": "text/event-stream"} if "events" in asked.target else {})


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, str]]:
    """A Prometheus that has seen traffic of all kinds, and the text of one scrape."""
    directory = tmp_path_factory.mktemp("prometheus")
    write(directory / "gw.pem", Authority("root").issue("localhost"))
    redis = RedisServer(directory)
    redis.start()
    try:
        with scripted(say) as service:
            environ = {
                "ADMIN": TOKEN,
                "JWT_SECRET": SECRET.decode(),
                "REDIS_URL": f"redis://127.0.0.1:{redis.port}",
            }
            with Gateway(directory, INI.format(port=service.port), environ=environ, listeners=3) as gateway:
                public, admin = gateway.ports["public"], gateway.ports["admin"]
                traffic(public)
                with prometheus(directory, admin, TOKEN) as made:
                    made.wait('up{job="apigw"} == 1')
                    traffic(public)
                    made.wait('apigw_trace_spans_total{outcome="sent"} > 0')
                    made.wait(
                        'rate(http_server_request_duration_seconds_count{http_response_status_code="503"}[1m]) > 0'
                    )
                    made.wait("apigw_upstream_peer_healthy == 1")
                    answer = fetch(admin, "/metrics", Authorization=f"Bearer {TOKEN}")
                    assert answer.status == 200
                    yield made, answer.body.decode()
    finally:
        redis.kill()


def traffic(port: int) -> None:
    for _ in range(4):
        fetch(port, "/users", "POST", b"hello")
        fetch(port, "/users/events")
        fetch(port, "/kept")
        fetch(port, "/mine")
    for _ in range(40):
        fetch(port, "/users/fails")
    fetch(port, "/users", Authorization=f"Bearer {signed()}")
    fetch(port, "/users", Authorization="Bearer nonsense")


def test_promtool_finds_no_fault_with_a_scrape(scraped: tuple[Prometheus, str]) -> None:
    _, text = scraped
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_each_metric_is_described(scraped: tuple[Prometheus, str]) -> None:
    page = (DOCS / "stages/metrics.md").read_text("utf-8")
    families = set(re.findall(r"^# TYPE (apigw_\S+|http_\S+)", scraped[1], re.MULTILINE))
    assert len(families) > 40
    assert not {name for name in families if f"`{name}`" not in page}


def test_each_panel_shows_something(scraped: tuple[Prometheus, str]) -> None:
    values = {"$__rate_interval": "1m", "$job": "apigw", "$instance": ".*", "$route": ".*", "$service": ".*"}
    empty = []
    for title, expression in EXPRESSIONS:
        for name, value in values.items():
            expression = expression.replace(name, value)
        assert "$" not in expression
        if not scraped[0].query(expression):
            empty.append((title, expression))
    assert not empty


def test_variables_of_the_dashboard_have_values(scraped: tuple[Prometheus, str]) -> None:
    asked = [one["definition"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    assert len(asked) == 4
    for one in asked:
        selector, label = one.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
        found = scraped[0].query(selector.replace("$job", "apigw"))
        assert found
        assert all(label in sample["metric"] for sample in found)


def test_each_metric_of_the_alerts_is_there_with_its_labels(scraped: tuple[Prometheus, str]) -> None:
    rules = scraped[0].ask("rules")["groups"][0]["rules"]
    assert len(rules) > 15
    for rule in rules:
        assert rule["health"] == "ok", rule.get("lastError")
        selectors = SELECTOR.findall(rule["query"])
        assert selectors, rule["name"]
        for name, labels in selectors:
            there = ", ".join(f'{label}!=""' for label, _ in LABEL.findall(labels))
            assert scraped[0].query(f"{name}{{{there}}}"), f"{rule['name']}: {name}{{{there}}}"


def test_alerts_are_silent_while_all_is_well(scraped: tuple[Prometheus, str]) -> None:
    # Half of what is asked for fails, on purpose, and its retries take more than they may.
    names = {one["labels"]["alertname"] for one in scraped[0].ask("alerts")["alerts"]}
    assert names <= {"ApigwErrors", "ApigwRetryBudgetSpent"}


def test_values_that_are_asked_for_are_there() -> None:
    known = {
        code for file in APIGW.rglob("*.py") for code in re.findall(r'code = "([a-z-]+)"', file.read_text("utf-8"))
    }
    texts = [expression for _, expression in EXPRESSIONS] + [(HERE / "alerts.yml").read_text("utf-8")]
    asked = {value for text in texts for label, value in LABEL.findall(text) if label == "error_type"}
    assert asked
    for values in asked:
        for value in values.split("|"):
            assert any(re.fullmatch(value, code) for code in known), value


def test_promtool_takes_rules_and_configuration(tmp_path: Path) -> None:
    file = installed(tmp_path, TOKEN)
    for arguments in (["check", "rules", str(tmp_path / "alerts.yml")], ["check", "config", str(file)]):
        checked = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        assert "SUCCESS" in checked.stdout


def test_alerts_come_when_they_should() -> None:
    file = Path(__file__).parent / "alerts.yml"
    checked = subprocess.run(
        [program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_page_has_an_example_that_loads() -> None:
    [example] = ini_examples("operations/prometheus.md")
    assert loads(example, "f", {"APIGW_ADMIN_TOKEN": TOKEN}).admin is not None
