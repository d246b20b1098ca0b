"""The processes that a run starts: each in its own group, none outlives the run."""

import atexit
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1  # linux/prctl.h
GRACE = 3.0  # seconds from SIGTERM to SIGKILL

_libc = ctypes.CDLL(None, use_errno=True)


class Children:
    """Starts processes and ends them all, with whatever they started, in :meth:`close`."""

    def __init__(self) -> None:
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def spawn(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cpus: frozenset[int] = frozenset(),
    ) -> int:
        """
        Start ``argv`` with stdout and stderr going to ``log``; give its process id.

        :param env: variables added to our own environment.
        :param cpus: the CPUs it may run on; empty for any.
        """

        def before_exec() -> None:
            # SIGTERM and not SIGKILL: an nginx master must have the time to end its workers.
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if cpus:
                os.sched_setaffinity(0, cpus)

        with log.open("ab") as output:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
                cwd=log.parent,
                start_new_session=True,
                preexec_fn=before_exec,
            )
        self._running[process.pid] = process
        return process.pid

    def has_ended(self, pid: int) -> bool:
        """Whether a process that was started here is no more."""
        return pid not in self._running or self._running[pid].poll() is not None

    def wait(self, pid: int, seconds: float) -> bool:
        """Whether a process that was started here ended by itself within ``seconds``; if not, end it."""
        try:
            self._running[pid].wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        finally:
            self.end(pid)
        return True

    def end(self, pid: int) -> None:
        """End one process and its group: SIGTERM, then SIGKILL after ``GRACE`` seconds."""
        process = self._running[pid]
        _signal_group(pid, signal.SIGTERM)
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _signal_group(pid, signal.SIGKILL)
            process.wait()
            del self._running[pid]

    def close(self) -> None:
        """End all of them."""
        for pid in self._running:
            _signal_group(pid, signal.SIGTERM)
        for pid in list(self._running):
            self.end(pid)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


@contextlib.contextmanager
def children() -> Iterator[Children]:
    """Children that end with the block, also on a signal to stop, an alarm and the interpreter's exit."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, leave)
    started = Children()
    atexit.register(started.close)
    try:
        yield started
    finally:
        started.close()
        atexit.unregister(started.close)
