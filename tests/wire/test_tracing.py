"""Traces through a real gateway, to what takes them as OpenTelemetry's own schema reads them."""

from __future__ import annotations

import json
import re
import signal
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Condition
from time import monotonic, time

import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from apigw.config.loader import loads
from tests.examples import ini_examples
from tests.wire.gateway import BOUND, Gateway
from tests.wire.scripted import Question, Reply, Scripted, fetch, scripted
from tests.wire.sockets import connect

INI = """\
[gateway]
workers = {workers}
access_log = -
{trusted}
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[service:a]
urls = http://127.0.0.1:{port}
retry.backoff = 1ms..2ms
[route:users]
path = /users
service = a
[tracing]
otlp_endpoint = http://127.0.0.1:{collector}/v1/traces
sample = {sample}
service_name = edge
authorization_env = COLLECTOR
"""

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


_IDS = re.compile(r'"(traceId|spanId|parentSpanId)":"([0-9a-f]*)"').sub


def _as_protobuf(match: re.Match[str]) -> str:
    """OTLP has ids in hexadecimal, where JSON of Protobuf would have base64."""
    return f'"{match[1]}":"{b64encode(bytes.fromhex(match[2])).decode()}"'


class Collected:
    """
    What a collector got.

    :ivar status: that it answers.
    """

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[tuple[Question, ExportTraceServiceRequest]] = []
        self._changed = Condition()

    def __call__(self, asked: Question) -> Reply:
        """Where it isn't OTLP, the test fails for want of spans."""
        if self.status == 200:
            value = Parse(_IDS(_as_protobuf, asked.body.decode()), ExportTraceServiceRequest())
            with self._changed:
                self.requests.append((asked, value))
                self._changed.notify_all()
        return Reply(self.status, b"{}", {"Content-Type": "application/json"})

    def spans(self) -> list:
        return [
            span
            for _, value in self.requests
            for resource in value.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait(self, until: Callable[[], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(until, BOUND)


@pytest.fixture
def collected() -> Collected:
    return Collected()


@pytest.fixture
def collector(collected: Collected) -> Iterator[Scripted]:
    with scripted(collected) as made:
        yield made


@pytest.fixture
def service() -> Iterator[Scripted]:
    with scripted(lambda asked: Reply(503 if "fails" in asked.target else 200)) as made:
        yield made


def gateway(directory: Path, service: Scripted, collector: int, sample: str = "100%", workers: int = 1) -> Gateway:
    ini = INI.format(port=service.port, collector=collector, sample=sample, workers=workers, trusted="")
    return Gateway(directory, ini, environ={"COLLECTOR": "Bearer let-me-in"}, listeners=2)


def attributes(of) -> dict[str, object]:
    return {one.key: one.value.string_value or one.value.int_value for one in of.attributes}


def test_a_request_and_its_attempts_are_spans(
    tmp_path: Path, service: Scripted, collector: Scripted, collected: Collected
) -> None:
    with gateway(tmp_path, service, collector.port) as running:
        port = running.ports["public"]
        begun = time()
        answer = fetch(port, "/users/7?token=secret", traceparent=PARENT, tracestate="a=1", User_Agent="probe")
        assert answer.status == 200
        collected.wait(lambda: len(collected.spans()) >= 2)
        [(asked, value)] = collected.requests
        assert asked.fields["authorization"] == "Bearer let-me-in"
        told = attributes(value.resource_spans[0].resource)
        assert told["service.name"] == "edge"
        request, attempt = collected.spans()

        assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, SPAN)
        assert (request.name, request.kind, request.trace_state) == ("GET users", 2, "a=1")
        assert begun - 1 < request.start_time_unix_nano / 1e9 <= request.end_time_unix_nano / 1e9 < time() + 1
        known = attributes(request)
        assert known["http.request.method"] == "GET"
        assert known["http.response.status_code"] == 200
        assert known["url.path"] == "/users/7"
        assert known["user_agent.original"] == "probe"
        assert known["client.address"] == "127.0.0.1"
        assert "secret" not in asked.body.decode()

        assert (attempt.parent_span_id, attempt.kind) == (request.span_id, 3)
        assert attributes(attempt)["server.port"] == service.port
        sent = service.asked[0].fields
        assert sent["traceparent"] == f"00-{TRACE}-{attempt.span_id.hex()}-01"
        assert sent["tracestate"] == "a=1"
        assert running.line(answer.text("X-Request-Id"))["trace_id"] == TRACE

        # Two attempts, each with an error of its own, below one request.
        assert fetch(port, "/users/fails").status == 503
        collected.wait(lambda: len(collected.spans()) >= 5)
        request, *attempts = collected.spans()[2:]
        assert request.status.code == 2
        assert len(attempts) >= 2
        assert {attributes(one)["error.type"] for one in attempts} == {"503"}
        seen = [asked.fields["traceparent"].split("-")[2] for asked in service.asked if "fails" in asked.target]
        assert seen == [one.span_id.hex() for one in attempts]
        assert request.trace_id.hex() == service.asked[-1].fields["traceparent"].split("-")[1]


def test_what_is_not_sampled_goes_on_untold(
    tmp_path: Path, service: Scripted, collector: Scripted, collected: Collected
) -> None:
    with gateway(tmp_path, service, collector.port, "0%") as running:
        port = running.ports["public"]
        # A client that nobody trusts can't have itself sampled.
        fetch(port, "/users", traceparent=PARENT)
        assert service.asked[-1].fields["traceparent"].startswith(f"00-{TRACE}-")
        assert service.asked[-1].fields["traceparent"].endswith("-00")
        assert SPAN not in service.asked[-1].fields["traceparent"]
        # What is no parent is not passed on, nor is a state without one.
        fetch(port, "/users", traceparent="00-nonsense", tracestate="a=1")
        assert "nonsense" not in service.asked[-1].fields["traceparent"]
        assert "tracestate" not in service.asked[-1].fields
    assert not collected.requests


def test_trusted_proxies_decide(tmp_path: Path, service: Scripted, collector: Scripted, collected: Collected) -> None:
    trusted = "trusted_proxies = 127.0.0.1"
    ini = INI.format(port=service.port, collector=collector.port, sample="0%", workers=1, trusted=trusted)
    with Gateway(tmp_path, ini, environ={"COLLECTOR": "x"}, listeners=2) as running:
        fetch(running.ports["public"], "/users", traceparent=PARENT)
        fetch(running.ports["public"], "/users", traceparent=PARENT[:-1] + "0")
    # The end of the gateway has sent what was left.
    assert len(collected.spans()) == 2
    assert collected.spans()[0].trace_id.hex() == TRACE


def test_a_collector_that_fails_costs_nothing(
    tmp_path: Path, service: Scripted, collector: Scripted, collected: Collected
) -> None:
    collected.status = 503
    with gateway(tmp_path, service, collector.port) as running:
        for _ in range(20):
            assert fetch(running.ports["public"], "/users").status == 200
        running.wait(lambda: any("spans can't be sent" in line and "503" in line for line in running.output))
        collected.status = 200
        collected.wait(lambda: len(collected.spans()) == 40)
        end = monotonic() + BOUND
        while True:  # it counts them when it has read the collector's answer
            metrics = fetch(running.ports["admin"], "/metrics", Host="localhost").body.decode()
            if 'apigw_trace_spans_total{outcome="sent"} 40' in metrics:
                break
            assert monotonic() < end
        assert 'apigw_trace_spans_total{outcome="dropped"} 0' in metrics


def test_a_collector_that_is_away_does_not_hold_up_the_end(tmp_path: Path, service: Scripted) -> None:
    with gateway(tmp_path, service, 1, workers=2) as running:
        assert [fetch(running.ports["public"], "/users").status for _ in range(8)] == [200] * 8


def test_a_collector_that_is_silent_holds_up_neither_requests_nor_the_end(tmp_path: Path, service: Scripted) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with gateway(tmp_path, service, silent.getsockname()[1]) as running:
            assert [fetch(running.ports["public"], "/users").status for _ in range(300)] == [200] * 300
            begun = monotonic()
            running.stop()
        assert monotonic() - begun < 5.0  # half a second for connections, one for spans


def test_spans_of_all_workers_come(
    tmp_path: Path, service: Scripted, collector: Scripted, collected: Collected
) -> None:
    with gateway(tmp_path, service, collector.port, workers=2) as running:
        running.wait(lambda: sum(" is ready" in line for line in running.output) == 2)
        wires = [connect(running.ports["public"]) for _ in range(12)]  # at a time, so that both workers have some
        for wire in wires:
            wire.send(b"GET /users HTTP/1.1\r\nHost: h\r\n\r\n")
        assert [wire.answer().status for wire in wires] == [200] * 12
        for wire in wires:
            wire.close()
    assert len(collected.spans()) == 24
    assert len({span.span_id for span in collected.spans()}) == 24
    told = [attributes(resource.resource) for _, value in collected.requests for resource in value.resource_spans]
    assert len({one["service.instance.id"] for one in told}) == 2
    assert {one["service.name"] for one in told} == {"edge"}


def test_a_reload_changes_what_is_told_of_queries(
    tmp_path: Path, service: Scripted, collector: Scripted, collected: Collected
) -> None:
    with gateway(tmp_path, service, collector.port) as running:
        file = tmp_path / "gw.ini"
        file.write_text(file.read_text("utf-8").replace("[gateway]", "[gateway]\nlog_query = full"), "utf-8")
        running.signal(signal.SIGHUP)
        running.wait(lambda: any("reload" in line for line in running.output))
        fetch(running.ports["public"], "/users?page=7")
        collected.wait(collected.spans)
        assert attributes(collected.spans()[0])["url.query"] == "page=7"


def test_the_page_has_examples_that_load() -> None:
    for example in ini_examples("operations/tracing.md"):
        assert loads(example, "f", {"OTLP_AUTHORIZATION": "x"}).tracing is not None


def test_the_founding_variable() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"}
    tracing = loads("", "f", environ).tracing
    assert tracing is not None
    assert tracing.otlp_endpoint == "http://collector:4318/v1/traces"
    assert json.dumps(tracing.sample) == "0.1"
