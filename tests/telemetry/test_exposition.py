import math
import subprocess
from time import monotonic, perf_counter

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Info
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock

from apigw.messages import Attempt, ClientAddress, Exchange, Request, Response
from apigw.pipeline import Route
from apigw.telemetry.exposition import LOOK, SLICE, lines, slices
from apigw.telemetry.metrics import GatewayMetrics
from apigw.telemetry.upstreams import PeerState, ServiceState

PEER = PeerState("10.0.0.1:80", 1, False, True, "", False, "closed", 0, 0, 1, 2)


def exchange(route: str, status: int) -> Exchange:
    """One that has ended."""
    request = Request(b"GET", b"/", b"/", b"", b"h", [], (), b"1.1", ClientAddress("192.0.2.7", 1, b"http"), {})
    made = Exchange(request, None, monotonic())  # type: ignore[arg-type]
    made.route = Route(route, "user", (), lambda exchange: Response(200, b"OK", []))
    made.response = Response(status, b"", [])
    attempt = Attempt(monotonic())
    attempt.peer, attempt.status, attempt.first_byte = PEER.name, status, monotonic()
    made.attempts.append(attempt)
    return made


def metrics(routes: int) -> CollectorRegistry:
    """Of a gateway that had a request on each route, by each of three statuses."""
    clock = Clock()
    made = GatewayMetrics(CollectorRegistry(), "1.2.3", lambda: [ServiceState("user", 0, [PEER])], clock, monotonic)
    made.lag.start()
    clock.advance(0.25)
    for number in range(routes):
        for status in (200, 404, 503):
            passing = exchange(f"route-{number}", status)
            made.requests.begun(passing)
            made.requests.ended(passing)
    return made.registry


@given(st.text(), st.floats())
def test_what_is_written_is_read_back(text, value):
    registry = CollectorRegistry()
    Gauge("g", "A gauge.", ["l"], registry=registry).labels(text).set(value)
    [family] = text_string_to_metric_families("".join(lines(registry)))
    [sample] = family.samples
    assert sample.labels == {"l": text}
    assert sample.value == value or (math.isnan(sample.value) and math.isnan(value))


def test_names_and_types_of_the_old_format():
    registry = CollectorRegistry()
    Counter("c", "A\nb\\c.", registry=registry).inc()
    Info("i", "I.", registry=registry).info({"a": "b"})
    assert "".join(lines(registry)) == (
        "# HELP c_total A\\nb\\\\c.\n# TYPE c_total counter\nc_total 1\n"
        '# HELP i_info I.\n# TYPE i_info gauge\ni_info{a="b"} 1\n'
    )


def test_slices_are_the_text():
    registry = metrics(100)

    def settled(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith(("process_", "python_"))]

    assert settled(b"".join(slices(registry, monotonic)).decode()) == settled("".join(lines(registry)))


def test_work_rests_when_its_time_is_over():
    clock = Clock()

    def seconds() -> float:
        clock.advance(SLICE)
        return clock.seconds()

    parts = list(slices(metrics(20), seconds))
    assert len(parts) > 20
    assert all(len(part.splitlines()) <= 2 * LOOK for part in parts)


def test_a_thousand_routes_do_not_block():
    registry = metrics(1000)
    took = []
    parts = slices(registry, monotonic)
    begun = perf_counter()
    for _ in parts:
        took.append(perf_counter() - begun)
        begun = perf_counter()
    took.sort()
    assert len(took) > 10
    assert took[len(took) // 2] < 0.01  # the median, for a busy machine may stop any one of them for longer


def test_promtool_finds_no_fault():
    text = "".join(lines(metrics(2)))
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_all_have_help_and_a_unit():
    for family in text_string_to_metric_families("".join(lines(metrics(2)))):
        assert family.documentation
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_bytes"))
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)
