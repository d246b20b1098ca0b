"""The command line: which faults, for how long, and where the table goes."""

from __future__ import annotations

import argparse
import math
import os
import platform
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.children import children
from benchmarks.faults.scene import Row, Scene, SceneError
from benchmarks.faults.table import FAULTS
from benchmarks.report import Table

PAGE = """\
# Faults

What becomes of requests while something else goes wrong, as `python -m benchmarks.faults` found it; this page is
written by that command (`--markdown`) and not by hand. In each row a gateway of its own has about 100 requests a
second for healthy routes, most of them on connections that are kept, while the fault lasts for {seconds:g} s.

- **lost** counts requests that a healthy peer could have served and that got no good answer. It must be 0.
- **again** counts those that clients sent once more, because a kept connection ended; browsers and libraries do that
  with GET.
- **p99** is of the requests for a service that has no part in the fault, while it lasts.
- **turn** is the longest turn of the gateway's event loop meanwhile (of the supervisor's, where there are workers), by
  its CPU time: for so long it served nobody else by its own doing. What **p99** has beyond that is the wait for a CPU,
  for the clients of the fault need some, too.
- **files** and **MiB** are descriptors and resident memory of all processes of the gateway, before and after.
- **normal** is how many seconds after the end of the fault all was as before.

Each row has a bound: none lost, no descriptors left open, at most 64 MiB of memory kept, normal within 20 s, nothing
unexpected in the log. {verdict}

{table}

{notes}

{machine}
"""


def table(rows: list[Row]) -> Table:
    header = ("fault", "sent", "lost", "again", "p99, ms", "turn, ms", "files", "MiB", "normal, s")
    return Table("", header, tuple(map(_cells, rows)))


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        str(row.sent),
        str(row.lost),
        str(row.again),
        "" if math.isnan(row.p99) else f"{row.p99 * 1000:.0f}",
        "" if math.isnan(row.turn) else f"{row.turn * 1000:.0f}",
        "{} / {}".format(*row.files),
        f"{row.memory[0] / 2**20:.0f} / {row.memory[1] / 2**20:.0f}",
        "" if math.isnan(row.normal) else f"{row.normal:.1f}",
    )


def page(rows: list[Row], seconds: float) -> str:
    """The page for operators."""
    wrong = [row for row in rows if row.problems]
    notes = []
    for row in rows:
        seen = "".join(f"; {one}" for one in row.seen)
        problems = "".join(f"; **{one.splitlines()[0]}**" for one in row.problems)
        notes.append(f"- `{row.name}`: {row.done}{seen}{problems}.")
    return PAGE.format(
        seconds=seconds,
        verdict=f"{len(wrong)} of {len(rows)} rows were not within it." if wrong else "All rows were within it.",
        table=table(rows).markdown(),
        notes="\n".join(notes),
        machine=f"Measured on {time.strftime('%Y-%m-%d')}: {os.cpu_count()} CPUs, load {os.getloadavg()[1]:.1f}, "
        f"Python {platform.python_version()}.",
    )


def main() -> int:
    """Exit status: 0; 1 if a row is not within its bounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=(__doc__ or ""))
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="only these: " + ", ".join(FAULTS))
    add("--seconds", type=float, default=2.0, help="for which a fault lasts; default: %(default)s")
    add("--long", action="store_true", help="the larger numbers of clients, keys and routes")
    add("--limit", type=int, default=3600, help="seconds after which all is ended; default: %(default)s")
    add("--markdown", type=Path, metavar="FILE", help="write the page for operators, too")
    options = parser.parse_args()
    if unknown := set(options.names) - set(FAULTS):
        parser.error(f"no fault {', '.join(sorted(unknown))}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.alarm(options.limit)
    rows = []
    for name in options.names or FAULTS:
        begun = time.monotonic()
        row = bring(name, options.seconds, options.long)
        rows.append(row)
        print(" ".join(cell.ljust(10) for cell in (row.name.ljust(24), *_cells(row)[1:])), end="")
        print(f" [{time.monotonic() - begun:.0f} s] {'; '.join(row.seen)}", flush=True)
        for problem in row.problems:
            print(f"  {problem}", flush=True)
    print("\n" + table(rows).text())
    if options.markdown:
        options.markdown.write_text(page(rows, options.seconds), "utf-8")
    return 1 if any(row.problems for row in rows) else 0


def bring(name: str, seconds: float, long: bool) -> Row:
    """One fault on a scene of its own."""
    fault = FAULTS[name]
    with tempfile.TemporaryDirectory() as directory, children() as started:
        try:
            return fault.bring(Scene(started, Path(directory), seconds, long)).row(name, fault.done)
        except SceneError as error:
            return Row(name, fault.done, 0, 0, 0, math.nan, math.nan, (0, 0), (0, 0), math.nan, (), (str(error),))


if __name__ == "__main__":
    sys.exit(main())
