"""
Who of several workers takes the next connection: whoever has the fewest, and any other if that one has no time.

All wait at the same socket. Without this the one that wakes first takes nearly all: with 16 connections the CPU times
of two workers were as 1 to 11. SO_REUSEPORT would spread connections by chance, and leave those of a worker that dies
waiting in a queue of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from mmap import mmap

NOBODY = 2**63
"""Connections of a worker that isn't there."""

WIDTH = 8
"""Bytes of a count: they are written in one go."""


class Shares:
    """
    The counts of all workers, in memory that they share; each writes its own.

    :param descriptor: of a file made by :func:`create`; it stays as it is.
    """

    def __init__(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        self._counts = memoryview(mmap(descriptor, size)).cast("Q")

    def gone(self, number: int) -> None:
        """It takes no more."""
        self._counts[number] = NOBODY

    def yields(self, number: int, connections: int) -> bool:
        """Whether a worker that has so many leaves the next one to another."""
        self._counts[number] = connections
        least = min(self._counts)
        return connections > least + least // 16


def create(workers: int) -> int:
    """:return: descriptor of the memory for so many."""
    descriptor = os.memfd_create("apigw.shares")
    os.write(descriptor, NOBODY.to_bytes(WIDTH, sys.byteorder) * workers)
    return descriptor


class Share:
    """
    What one worker's ports ask.

    :ivar connections: tells how many it has now.
    """

    def __init__(self, shares: Shares, number: int) -> None:
        self._shares = shares
        self._number = number
        self.connections: Callable[[], int] = lambda: 0

    def __call__(self) -> bool:
        return self._shares.yields(self._number, self.connections())
