"""Directories that outlive no process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from apigw.state.directory import make

CHILD = """
import sys
from apigw.state.directory import make
print(make(sys.argv[1])[0], flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_left_goes_when_the_next_begins(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        theirs = Path(child.stdout.readline().strip())
        (theirs / "socket").write_text("x")
        ours, lock = make(str(tmp_path))
        assert theirs.is_dir()  # it runs
        child.kill()
        child.wait()
        another, other = make(str(tmp_path))
        assert not theirs.exists()
        assert Path(ours).is_dir()  # this process uses it
        assert Path(another).is_dir()
    os.close(lock)
    os.close(other)


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "apigw-like").mkdir()
    (tmp_path / "apigw-file").write_text("x")
    (tmp_path / "other").mkdir()
    _, lock = make(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir() if "-" not in path.name or "like" in path.name) == [
        "apigw-like",
        "other",
    ]
    os.close(lock)
