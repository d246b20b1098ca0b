"""The suite of faults finds nothing in two of them, and would say so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.faults.__main__ import page
from benchmarks.faults.scene import Row

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(60)
def test_two_faults_cost_no_request(tmp_path: Path) -> None:
    written = tmp_path / "faults.md"
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", "--seconds", "1", "--markdown", written, "service-killed", "none"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    [killed, none] = [
        line.split(" | ") for line in written.read_text().splitlines() if line[:6] in ("| serv", "| none")
    ]
    assert int(killed[1]) > 100 and int(none[1]) > 100
    assert killed[2] == none[2] == "0"


@pytest.mark.timeout(60)
def test_the_time_of_day_may_jump() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", "--seconds", "1", "clock-jumps"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "-3600 s: what waited was ended after" in ran.stdout


def test_a_row_with_a_problem_says_so() -> None:
    row = Row(
        "none", "nothing", 9, 1, 0, 0.5, 0.02, (1, 2), (1 << 20, 2 << 20), 0.1, ("lost: cut x 1",), ("1 requests lost",)
    )
    text = page([row], 2.0)
    assert "1 of 1 rows were not within it" in text
    assert "- `none`: nothing; lost: cut x 1; **1 requests lost**." in text
    assert "| none | 9 | 1 | 0 | 500 | 20 | 1 / 2 | 1 / 2 | 0.1 |" in text
