"""Latencies in few numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.telemetry.tallies import BOUNDS, HIGHEST, LOWEST, percentile


def counted(seconds: list[float]) -> Counter[int]:
    return Counter(bisect_left(BOUNDS, one) for one in seconds)


@given(st.lists(st.floats(LOWEST, HIGHEST), min_size=1), st.sampled_from([0.0, 0.5, 0.95, 0.99]))
def test_a_percentile_is_that_of_the_values_to_within_a_fortieth(seconds: list[float], share: float) -> None:
    exact = sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))]
    assert percentile(counted(seconds), share) == pytest.approx(exact, rel=0.025)


def test_what_is_outside_counts_as_at_the_edge() -> None:
    assert percentile({}, 0.5) == 0.0
    assert percentile(counted([0.0]), 0.5) == pytest.approx(LOWEST, rel=0.025)
    assert percentile(counted([1e9]), 0.5) == HIGHEST
