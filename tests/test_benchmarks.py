"""The benchmarks' own logic, and that they run: numbers are for people to judge."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import chart, h2load, targets, wrk
from benchmarks.contenders import table
from benchmarks.report import Picture, Section, Table, write_markdown
from benchmarks.scenarios import TABLE
from benchmarks.spread import Spread

ROOT = Path(__file__).parents[1]

H2LOAD = """\
Application protocol: h2

finished in 999.85ms, 30573.00 req/s, 3.27MB/s
requests: 30573 total, 30605 started, 30573 done, 30573 succeeded, 0 failed, 0 errored, 0 timeout
status codes: {good} 2xx, 0 3xx, 0 4xx, {bad} 5xx
traffic: 3.27MB (3424372) total, 1.40MB (1467504) headers (space savings 51.02%), 1.34MB ({data}) data
"""


def test_the_gateway_with_everything_on_answers() -> None:
    """Its configuration is made of options that get new names and rules with time."""
    name = "gateway-full-interpreted"
    argv = [sys.executable, "-m", "benchmarks", "latency", "-c", name, "--rounds=1", "--seconds=0.2"]
    path = f"{os.environ['PATH']}:/usr/sbin"
    ran = subprocess.run(
        argv, cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{name}  " in ran.stdout


def test_no_two_contenders_have_a_name() -> None:
    assert {"nginx", "gateway", "gateway-full", "express-full"} < set(table())
    assert next(iter(table())) == "nginx"


@pytest.mark.parametrize(
    ("good", "bad", "data", "problem"),
    [(30573, 0, 1406358, ""), (30570, 3, 1406358, "3 not 2xx"), (30573, 0, 30573, "answers of 1 bytes")],
)
def test_what_h2load_says_is_judged(good: int, bad: int, data: int, problem: str) -> None:
    found = h2load.result(H2LOAD.format(good=good, bad=bad, data=data), TABLE["h2"])
    assert (found.requests, round(found.seconds, 2), found.problem) == (30573, 1.0, problem)


def test_http1_instead_of_http2_does_not_count() -> None:
    output = H2LOAD.format(good=30573, bad=0, data=1406358).replace(": h2\n", ": http/1.1\n")
    assert h2load.result(output, TABLE["h2"]).problem == "30573 without HTTP/2"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("RESULT 1000 500000 193000 0 0 0 0 0", ""),
        ("RESULT 1000 500000 193000 0 2 0 7 0", "2 read, 7 not 2xx"),
        ("RESULT 0 500000 0 0 0 0 0 0", "no answer"),
        ("unable to connect", "unable to connect"),
    ],
)
def test_what_wrk_says_is_judged(line: str, problem: str) -> None:
    assert wrk.result(f"Running 1s test\n{line}" if "RESULT" in line else line, TABLE["small"]).problem == problem


def test_targets_are_told_of_what_was_measured_alone() -> None:
    costs = {
        ("small", "nginx"): [1.0, 2.0],
        ("small", "gateway"): [2.0, 5.0],
        ("small", "caddy"): [1.5, 5.0],
        ("tls", "gateway"): [],
    }
    found = targets.table(costs, {"small": "Small GET", "tls": "TLS"})
    assert found.rows == (
        ("pass-through, small GET, to bare nginx", "2.25 (2.00-2.50)", "2.20", "no"),
        ("pass-through, to bare Caddy: Small GET", "1.17 (1.00-1.33)", "1.00", "no"),
    )


def test_a_curve_is_drawn_where_its_numbers_are() -> None:
    points = [(10.0, Spread(40.0, 35.0, 45.0)), (1000.0, Spread(80.0, 70.0, 90.0))]
    drawn = ElementTree.fromstring(chart.svg("CPU & more", "routes", "us", [chart.Series("gateway", points)]))
    [line] = drawn.iter("{http://www.w3.org/2000/svg}polyline")
    [(left, high), (right, low)] = [map(float, point.split(",")) for point in line.attrib["points"].split()]
    assert (left, right) == (chart.LEFT, chart.WIDTH - chart.RIGHT)
    bottom = chart.HEIGHT - chart.BOTTOM
    assert bottom - low == pytest.approx(2 * (bottom - high), abs=0.2)
    assert "CPU & more" in "".join(drawn.itertext())


def test_sections_replace_their_like_and_leave_the_others(tmp_path: Path) -> None:
    path = tmp_path / "docs" / "performance.md"
    first = Section("One", "About one.", (Table("", ("a", "b"), (("x", "1"),), Picture("one.svg", "<svg/>")),))
    write_markdown(path, [first, Section("Two", "About two.", ())], "Measured here.")
    write_markdown(path, [Section("One", "Again.", ())], "Measured there.")
    text = path.read_text()
    assert text.index("## One") < text.index("Again.") < text.index("Measured there.") < text.index("## Two")
    assert "About one." not in text
    assert "About two." in text
    assert (path.parent / "pictures" / "one.svg").read_text() == "<svg/>"
