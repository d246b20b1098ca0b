"""
twistd that notes every long turn of its event loop: from one wait for events to the next.

``python -m benchmarks.turns FILE OPTIONS...`` writes them into FILE when it ends.
"""

import atexit
import json
import select
import sys
import time
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

NOTED = 0.001  # seconds from which on a turn is noted


@frozen
class Turn:
    """When it began, by the monotonic clock that all processes share, what it took, and the CPU time of that."""

    begun: float
    seconds: float
    cpu: float


def read(path: Path) -> list[Turn]:
    """The turns in a file that was written here."""
    return [Turn(**each) for each in json.loads(path.read_text())]


class _Watched:
    """An epoll object that looks at the clock before and after each wait."""

    def __init__(self, poller: Any, turns: list[Turn]) -> None:
        self._poller = poller
        self._turns = turns
        self._begun, self._cpu = time.monotonic(), time.thread_time()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)

    def poll(self, *arguments: Any) -> Any:
        seconds = time.monotonic() - self._begun
        if seconds >= NOTED:
            self._turns.append(Turn(self._begun, seconds, time.thread_time() - self._cpu))
        ready = self._poller.poll(*arguments)
        self._begun, self._cpu = time.monotonic(), time.thread_time()
        return ready


def main() -> None:
    path = Path(sys.argv.pop(1)).absolute()
    turns: list[Turn] = []
    epoll: Any = select.epoll
    vars(select)["epoll"] = lambda *arguments: _Watched(epoll(*arguments), turns)
    atexit.register(lambda: path.write_text(json.dumps([asdict(turn) for turn in turns])))
    from twisted.scripts.twistd import run  # only now: it brings the reactor, which takes epoll from select

    run()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
