"""Services that fail as a whole: the example is run, and what it says is held."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "failing_services.py"


@pytest.fixture(scope="module")
def outcome() -> Any:
    ran = subprocess.run(
        [sys.executable, EXAMPLE, "--json", "--rate", "150", "--seconds", "2"],
        capture_output=True,
        text=True,
        timeout=55,
        check=True,
    )
    return json.loads(ran.stdout)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("way", ["refused", "cut"])
def test_retries_stay_within_the_budget_and_use_it(outcome: Any, way: str) -> None:
    """Those that are cut are counted by the service."""
    seen = outcome[way]
    extra = seen["attempts"] - seen["requests"]
    assert seen["requests"] == 300
    assert 0.2 * seen["requests"] * 0.8 <= extra <= seen["retries_allowed"]
    assert seen["retries_that_the_gateway_counts"] == extra


@pytest.mark.timeout(60)
def test_a_breaker_lets_through_its_probes_and_no_more(outcome: Any) -> None:
    seen = outcome["half_open"]
    assert seen["probes_at_once"] == seen["probes_allowed"] == 3
    assert seen["of_them_at_the_service"] <= seen["allowed"] < seen["requests_while_it_failed"] / 5
    assert seen["seconds_until_back"] < 3.0


@pytest.mark.timeout(60)
def test_the_others_are_as_fast_as_before_while_one_hangs(outcome: Any) -> None:
    """What waited behind the one that hangs would wait for a second, its timeout."""
    seen = outcome["neighbours"]
    assert seen["answered_by_the_one_that_hangs"] == 0
    assert seen["failed_of_the_others"] == 0
    assert seen["p99_ms_while_one_hangs"] < 2 * seen["p99_ms_before"] + 100.0
