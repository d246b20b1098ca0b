"""Watches the resident memory of a process tree while something else goes on."""

import threading
import time

from benchmarks import procfs
from benchmarks.upstream import KIB

EVERY = 0.02  # seconds between two looks
STILL = 256 * KIB  # a change of less than this is none


class MemoryWatch:
    """The growth of a tree's resident bytes since the start of the block, looked at all the while."""

    def __init__(self, root: int) -> None:
        self._pids = procfs.tree(root)
        self._before = procfs.resident_bytes(self._pids)
        self._most = self._before
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    @property
    def growth(self) -> int:
        """The most that there was beyond the first look, in bytes."""
        return self._most - self._before

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._done.set()
        self._thread.join()

    def wait_until_still(self, quiet: float, limit: float) -> None:
        """Return once nothing has grown for ``quiet`` seconds, or after ``limit`` seconds."""
        deadline = time.monotonic() + limit
        last, since = self._most, time.monotonic()
        while time.monotonic() < min(deadline, since + quiet):
            time.sleep(EVERY)
            if self._most > last + STILL:
                last, since = self._most, time.monotonic()

    def _look(self) -> None:
        while not self._done.wait(EVERY):
            self._most = max(self._most, procfs.resident_bytes(self._pids))
