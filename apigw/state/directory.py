"""Directories in memory, each for as long as the process runs that has made it, however that ends."""

from __future__ import annotations

import os
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir, mkdtemp

MEMORY = "/dev/shm"
"""Where files are no disk's."""

PREFIX = "apigw-"

_LOCK = "lock"


def make(root: str = "") -> tuple[str, int]:
    """
    A new directory; those of processes that are gone are removed.

    :param root: :data:`MEMORY`, or where there is none the system's place for temporary files.
    :return: its path, and a descriptor that has to stay open as long as it is in use.
    :raises OSError: it can't be made.
    """
    root = root or (MEMORY if Path(MEMORY).is_dir() else gettempdir())
    for other in Path(root).glob(f"{PREFIX}*"):
        with suppress(OSError):
            _remove_if_left(other)
    directory = mkdtemp(prefix=PREFIX, dir=root)
    lock = os.open(str(Path(directory) / _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    flock(lock, LOCK_EX | LOCK_NB)
    return directory, lock


def _remove_if_left(directory: Path) -> None:
    """:raises OSError: somebody uses it, it is another user's, or none of ours."""
    if directory.stat().st_uid != os.geteuid():
        return
    lock = os.open(str(directory / _LOCK), os.O_RDWR | os.O_CLOEXEC)
    try:
        flock(lock, LOCK_EX | LOCK_NB)
        rmtree(directory, ignore_errors=True)
    finally:
        os.close(lock)
