"""Peers that die, stop, fail and reset under load: the example is run, and what it says is held."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "failing_peers.py"


@pytest.mark.timeout(120)
def test_no_get_fails_and_no_post_is_done_twice_while_peers_fail_in_turn() -> None:
    ran = subprocess.run(
        [sys.executable, EXAMPLE, "--json", "--rate", "100", "--seconds", "2"],
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    outcome = json.loads(ran.stdout)
    assert outcome["gets_failed"] == {}
    assert outcome["posts_done_twice"] == 0
    assert outcome["posts"] > 100
    assert set(outcome["gets_cut_in_their_body"]) <= {"reset"}
    assert all(seconds is not None for seconds in outcome["seconds_until_back"].values())
