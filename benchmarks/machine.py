"""Where and with what a measurement was made."""

import datetime
import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.contender import Contender
from benchmarks.contenders import DIRECT


def measured(contenders: Iterable[Contender]) -> str:
    """One paragraph: date, CPU, cores, memory, kernel, versions, and the command."""
    cpu = _field(Path("/proc/cpuinfo"), "model name")
    memory = int(_field(Path("/proc/meminfo"), "MemTotal").split()[0]) / 1024**2
    versions = ", ".join(f"{each.name} {each.version()}" for each in contenders if each.name != DIRECT)
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    command = " ".join(["python -m benchmarks", *sys.argv[1:]])
    return (
        f"Measured {today} on {cpu}, {os.cpu_count()} CPUs, {memory:.0f} GiB, Linux {platform.release()}, "
        f"by `{command}`. Versions: {versions}."
    )


def _field(path: Path, name: str) -> str:
    for line in path.read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown"
