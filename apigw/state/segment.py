"""Memory of a fixed size that several processes share, with locks that the kernel takes from whoever dies."""

from __future__ import annotations

import mmap
import os
import tempfile
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
from pathlib import Path
from time import monotonic

PATIENCE = 0.01
"""Seconds to wait for a lock: it is held for some microseconds, or by a process that was stopped while it had it."""


class Segment:
    """
    Opens what :func:`create` or a path has; each process opens its own. The memory lives as long as somebody has it.

    :param descriptor: kept, and closed by :meth:`close`.
    :raises ValueError: it has another size than ``size``.

    :ivar memory: all of it; aligned stores of 8 bytes are whole or not there, whenever a process is killed.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        found = os.fstat(descriptor).st_size
        if found != size:
            raise ValueError(f"the shared memory has {found} bytes, not {size}: it was made for another configuration")
        self.descriptor = descriptor
        self.memory = mmap.mmap(descriptor, size)

    def lock(self, place: int) -> None:
        """
        Keep other processes from ``place``, a number from 0 on. Who needs several takes them in ascending order.

        A holder that doesn't go on, for it was stopped or the machine is choking, is waited for no longer than
        :data:`PATIENCE`: better one request miscounted than a gateway that hangs.
        """
        try:
            lockf(self.descriptor, LOCK_EX | LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            self._insist(place)

    def _insist(self, place: int) -> None:
        until = monotonic() + PATIENCE
        while monotonic() < until:
            os.sched_yield()
            try:
                lockf(self.descriptor, LOCK_EX | LOCK_NB, 1, place)
            except (BlockingIOError, PermissionError):
                continue
            return

    def unlock(self) -> None:
        """Let go of all places."""
        lockf(self.descriptor, LOCK_UN)

    def close(self) -> None:
        """No view of the memory may be left."""
        self.memory.close()
        os.close(self.descriptor)


def create(size: int) -> int:
    """
    :param size: bytes, all zero at first.
    :return: a descriptor of memory without a name, not inheritable.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("apigw")
    else:
        descriptor, path = tempfile.mkstemp(prefix="apigw-")
        Path(path).unlink()
    os.ftruncate(descriptor, size)
    return descriptor


def open_file(path: str, size: int) -> int:
    """
    A file that has a name, made where there is none; others than its owner can't read it.

    :return: a descriptor.
    :raises OSError: it can't be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if not os.fstat(descriptor).st_size:
        os.ftruncate(descriptor, size)
    return descriptor
