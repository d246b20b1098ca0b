"""What the metrics tell of requests that were made."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.error import ConnectionRefusedError

from apigw.admin.scrape import Scrape
from apigw.admin.states import service_state
from apigw.stages.metrics import Metrics
from apigw.telemetry.exposition import lines
from apigw.telemetry.metrics import GatewayMetrics
from apigw.upstream.pool import PoolSettings
from tests.kit import Memory, Pipe

GET = b"GET /a/very/own/path?q HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Measured(Memory):
    """A gateway whose metrics can be read."""

    def __init__(self, **options: Any) -> None:
        self.registry = CollectorRegistry()
        self.metrics = GatewayMetrics(
            self.registry,
            "1.2.3",
            lambda: [service_state(self.upstream, self.counts, ())],
            self_clock := _Clock(),
            self_clock.seconds,
        )
        super().__init__(stages=(Metrics(self.metrics.requests),), **options)
        self_clock.of = self.clock

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def total(self, name: str) -> float:
        """Over all labels."""
        return sum(s.value for metric in self.registry.collect() for s in metric.samples if s.name == name)

    def serve(self, client: Pipe, request: bytes = GET, answer: bytes = OK) -> None:
        client.feed(request)
        self.dials[-1].feed(answer)
        assert client.take().startswith(b"HTTP/1.1")


class _Clock:
    """The gateway's clock, which is made after the metrics."""

    of: Any = None

    def seconds(self) -> float:
        return self.of.seconds()

    def callLater(self, *arguments: Any) -> Any:
        return self.of.callLater(*arguments)


REQUESTS = "http_server_request_duration_seconds"
LABELS = {"http_route": "memory", "http_request_method": "GET", "http_response_status_code": "200"}


def test_a_request():
    memory = Measured()
    client = memory.client()
    client.feed(GET)
    assert memory.value("http_server_active_requests") == 1
    assert memory.value("apigw_upstream_connections", **name(memory), state="busy") == 1
    memory.clock.advance(0.03)
    memory.dials[0].feed(OK)
    assert memory.value("http_server_active_requests") == 0
    assert memory.value(f"{REQUESTS}_count", **LABELS) == 1
    assert memory.value(f"{REQUESTS}_sum", **LABELS) == 0.03
    assert memory.value(f"{REQUESTS}_bucket", **LABELS, le="0.025") == 0
    assert memory.value(f"{REQUESTS}_bucket", **LABELS, le="0.05") == 1
    assert memory.value(f"{REQUESTS}_bucket", **LABELS, le="+Inf") == 1
    assert memory.value("http_server_response_body_size_bytes_sum", **LABELS) == 2
    assert memory.value("http_server_request_body_size_bytes_count", **LABELS) is None
    assert memory.value("apigw_upstream_attempts_total", **name(memory), outcome="2xx") == 1
    assert memory.value("apigw_upstream_attempt_duration_seconds_sum", **name(memory), outcome="2xx") == 0.03
    assert memory.value("apigw_upstream_connections", **name(memory), state="idle") == 1
    assert memory.total("apigw_errors_total") == 0


def name(memory: Memory) -> dict[str, str]:
    return {"service": "memory", "peer": memory.peers[0].label}


def test_a_body_is_measured():
    memory = Measured()
    memory.serve(memory.client(), b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
    labels = LABELS | {"http_request_method": "POST"}
    assert memory.value("http_server_request_body_size_bytes_sum", **labels) == 5
    assert memory.value("http_server_request_body_size_bytes_count", **labels) == 1


def test_methods_have_a_bound_and_paths_never_show():
    memory = Measured()
    client = memory.client()
    for method in (b"BREW", b"PROPFIND", b"get", b"X" * 20):
        memory.serve(client, method + GET[3:])
    assert memory.value(f"{REQUESTS}_count", **LABELS | {"http_request_method": "_OTHER"}) == 4
    text = "".join(lines(memory.registry))
    assert "BREW" not in text
    assert "/very" not in text


def test_refused_requests_are_counted():
    memory = Measured()
    memory.client().feed(b"no request\r\n\r\n")
    assert memory.total(f"{REQUESTS}_count") == 1
    assert memory.total("apigw_errors_total") == 1
    assert memory.value("http_server_active_requests") == 0


def test_failed_attempts():
    memory = Measured()
    memory.refuse_dials = ConnectionRefusedError()
    memory.client().feed(GET)
    assert memory.value("apigw_upstream_attempts_total", **name(memory), outcome="upstream-connect-failed") == 1
    assert memory.value("apigw_errors_total", http_route="memory", error_type="upstream-connect-failed") == 1
    assert memory.total("apigw_upstream_attempt_duration_seconds_count") == 0


def test_a_client_that_hangs_up():
    memory = Measured()
    client = memory.client()
    client.feed(GET)
    client.reset()
    assert memory.value("http_server_active_requests") == 0
    assert memory.value(f"{REQUESTS}_count", **LABELS | {"http_response_status_code": "499"}) == 1
    assert memory.value("apigw_errors_total", http_route="memory", error_type="client-disconnected") == 1


def test_the_queue():
    memory = Measured(pool=PoolSettings(max_connections=1))
    memory.client().feed(GET)
    memory.client().feed(GET)
    assert memory.value("apigw_upstream_queue_length", service="memory") == 1
    assert memory.value("apigw_upstream_active_requests", **name(memory)) == 1


def test_peers_that_are_gone_are_forgotten():
    memory = Measured()
    memory.serve(memory.client())
    assert memory.total("apigw_upstream_attempts_total") == 1
    memory.upstream.replace([])
    assert memory.total("apigw_upstream_attempts_total") == 0
    assert memory.value("apigw_upstream_up", service="memory") == 0
    assert memory.value(f"{REQUESTS}_count", **LABELS) == 1


def test_the_text_says_what_prometheus_own_writer_says():
    memory = Measured()
    memory.clock.advance(1)
    memory.serve(memory.client())
    memory.metrics.lag.start()
    memory.clock.advance(0.25)
    memory.metrics.lag.stop()
    ours, theirs = (
        {
            (family.name, family.type, s.name, frozenset(s.labels.items())): s.value
            for family in text_string_to_metric_families(text)
            for s in family.samples
            if not s.name.startswith(("process_", "python_")) and not s.name.endswith("_created")
        }
        for text in ("".join(lines(memory.registry)), generate_latest(memory.registry).decode())
    )
    assert ours == theirs
    assert len(ours) > 70


def test_a_scrape_comes_in_parts():
    memory = Measured()
    scrape = Scrape(memory.registry, memory.clock, memory.clock.seconds, memory.date)
    shown = Memory(across=scrape)
    memory.serve(memory.client())
    client = shown.client()
    client.feed(b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in client.take()
    memory.clock.advance(0)
    text = client.take()
    assert b"http_server_active_requests 0\n" in text
    assert text.endswith(b"\r\n0\r\n\r\n")
    client.feed(b"POST /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    assert client.take().startswith(b"HTTP/1.1 405 ")


def test_a_scrape_that_its_client_leaves_is_given_up():
    memory = Measured()
    shown = Memory(across=Scrape(memory.registry, memory.clock, memory.clock.seconds, memory.date))
    client = shown.client()
    client.feed(b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n")
    assert memory.clock.getDelayedCalls()
    client.reset()
    assert not memory.clock.getDelayedCalls()
