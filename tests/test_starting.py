"""A start that fails ends the process; what it says then is seen in tests/wire/test_start_stop.py too."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """\
import os
import sys
from twisted.application.service import Service
from twisted.internet import reactor
from twisted.logger import globalLogBeginner, textFileLogObserver
from apigw.starting import Start, when_running, when_stopping

globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)

def fails():
    raise OSError(28, "No space left on device")

{do}
reactor.run()
sys.stdout.write("unflushed")
"""


@pytest.mark.parametrize(
    ("do", "status", "left"),
    [
        ("when_running(reactor, fails)", 1, "unflushed"),
        ("when_running(reactor, reactor.stop)", 0, "unflushed"),
        ("one = Service(); one.startService = fails; one.setServiceParent(Start()); one.parent.startService()", 1, ""),
    ],
)
def test_it_ends_with_a_reason(do: str, status: int, left: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(do=do)], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == status
    assert ("can't start: OSError: [Errno 28] No space left on device" in done.stdout) is (status != 0)
    assert done.stdout.endswith(left)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_that_comes_before_the_reactor_runs_is_one_in_order(number: signal.Signals) -> None:
    do = f"when_stopping(reactor, lambda _: reactor.stop()); os.kill(os.getpid(), {int(number)})"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(do=do)], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0
    assert done.stdout.endswith("unflushed")
