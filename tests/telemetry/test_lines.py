"""Lines on their way to where they are kept."""

from __future__ import annotations

import os
import subprocess
import sys

WRITER = """\
import os, sys
from apigw.telemetry.lines import target
sys.__stdout__ = os.fdopen(int(sys.argv[1]), "w")
lines = (sys.argv[2] * 99 + "\\n").encode() * 1000
print(flush=True)
sys.stdin.readline()
for _ in range(20):
    target("-", shared=True).write(lines)
"""


def test_lines_of_several_processes_in_a_pipe_stay_whole() -> None:
    read, write = os.pipe()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(write), letter],
            pass_fds=[write],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for letter in ("a", "b")
    ]
    os.close(write)
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"\n"
    with os.fdopen(read, "rb") as stream:
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write(b"\n")
            writer.stdin.flush()
        lines = stream.read().splitlines()
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(lines) == 40_000
    assert set(lines) == {b"a" * 99, b"b" * 99}
