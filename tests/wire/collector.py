"""
``twistd`` without a garbage collector: ``python -m tests.wire.collector OPTIONS...``

By SIGWINCH it writes a line that counts, by their types, the objects that nothing leads to and yet are there.
"""

from __future__ import annotations

import gc
import json
import os
import signal
from collections import Counter
from types import FrameType

SIGN = "left to the collector: "


def _tell(number: int, frame: FrameType | None) -> None:
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    found = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage)
    gc.set_debug(0)
    gc.garbage.clear()
    gc.collect()
    os.write(1, f"{SIGN}{json.dumps(found)}\n".encode())  # for what is printed goes to the log


def main() -> None:
    gc.disable()
    signal.signal(signal.SIGWINCH, _tell)
    from twisted.scripts.twistd import run

    run()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
