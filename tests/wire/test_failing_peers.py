"""Peers that die, stop, fail and reset under load: the example is run, and what it says is held."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "failing_peers.py"


FAULTS = {"killed", "stopped", "500", "reset"}


@pytest.mark.timeout(120)
def test_no_get_fails_and_no_post_is_done_twice_while_peers_fail_in_turn() -> None:
    ran = subprocess.run(
        [sys.executable, EXAMPLE, "--json", "--rate", "200", "--seconds", "2"],
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    outcome = json.loads(ran.stdout)
    assert outcome["gets_failed"] == {}
    assert outcome["posts_done_twice"] == 0
    assert outcome["posts"] > 400
    assert outcome["posts_done"] > 0.9 * outcome["posts"]
    assert all(outcome["gets"][fault] > 100 for fault in FAULTS)
    assert set(outcome["gets_cut_in_their_body"]) <= {"reset"}
    # Five failures in a row, or two checks with half a second between them that fail after 0.3 s, whichever is first.
    assert {fault for fault, seconds in outcome["seconds_until_out"].items() if seconds is not None} == FAULTS
    # An ejection of 1 s or 2 s, then two checks that pass, or a probe after 1 s; it has begun before the fault is over.
    assert all(seconds is not None and seconds < 5.0 for seconds in outcome["seconds_until_back"].values())
