from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from apigw.telemetry.cells import SECONDS, Cell, family


@given(st.lists(st.one_of(st.sampled_from(SECONDS), st.floats(0.0, 100.0)), min_size=1, max_size=30))
def test_a_cell_counts_as_prometheus_own_histogram_does(values):
    registry = CollectorRegistry()
    histogram = Histogram("h", "h", registry=registry, buckets=SECONDS)
    cell = Cell(SECONDS)
    for value in values:
        histogram.observe(value)
        cell.add(value)
    [theirs] = registry.collect()
    wanted = {(s.name, s.labels.get("le")): s.value for s in theirs.samples if s.name != "h_created"}
    assert {(s.name, s.labels.get("le")): s.value for s in cell.samples("h", {})} == wanted


def test_an_empty_cell_has_no_samples():
    assert Cell(SECONDS).samples("h", {"a": "b"}) == []


def test_a_family_makes_its_samples_anew_each_time():
    cell = Cell((1.0,))
    made = family("h", "histogram", "H.", lambda: cell.samples("h", {}))
    assert list(made.samples) == []
    cell.add(0.5)
    assert [(s.name, s.value) for s in made.samples] == [
        ("h_bucket", 1.0),
        ("h_bucket", 1.0),
        ("h_count", 1.0),
        ("h_sum", 0.5),
    ]
