"""What is counted of GraphQL operations."""

from __future__ import annotations

from apigw.policy.graphql.rules import Judged
from apigw.telemetry.graphql import NAMES, OTHER, GraphqlMetrics
from tests.kit import asking


def costs(metrics: GraphqlMetrics) -> dict[tuple[str, str], float]:
    families = {family.name: family for family in metrics.collect()}
    return {
        (sample.labels["graphql_operation_type"], sample.labels["graphql_operation_name"]): sample.value
        for sample in families["apigw_graphql_operation_cost"].samples
    }


def test_operations_are_counted_by_type_and_name() -> None:
    metrics = GraphqlMetrics(lambda: 2.0)
    assert list(metrics.collect()) == []
    for judged in (Judged("A", "query", 3), Judged("A", "query", 4), Judged("", "mutation", 1)):
        metrics.asked(judged)
        metrics.ended(asking(), judged)
    assert costs(metrics) == {("query", "A"): 7, ("mutation", ""): 1}
    [total] = [family for family in metrics.collect() if family.name.endswith("operations")]
    assert [sample.value for sample in total.samples] == [2, 1]
    [duration] = [family for family in metrics.collect() if family.name.endswith("seconds")]
    sums = [sample.value for sample in duration.samples if sample.name.endswith("_sum")]
    assert sums == [4.0, 2.0]


def test_names_are_bounded() -> None:
    metrics = GraphqlMetrics(lambda: 0.0)
    metrics.asked(Judged("x" * 65, "query", 1))
    for number in range(NAMES + 50):
        metrics.asked(Judged(f"N{number}", "query", 1))
    found = costs(metrics)
    assert len(found) == NAMES
    assert found["query", OTHER] == 1 + 51
    assert sum(found.values()) == NAMES + 51
