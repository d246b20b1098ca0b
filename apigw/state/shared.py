"""Hands the memory that workers share from the process that makes it to those that use it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from attrs import frozen

from apigw.state.segment import Segment, create
from apigw.state.zone import Zone, zone_size

PASSED = "APIGW_ZONE"
"""Variable that says what was passed on: descriptor and bytes."""


@frozen
class SharedMemory:
    """
    What a supervisor makes once, and each of its workers opens.

    :ivar descriptor: to be passed on when a worker is started, by the same number.
    :ivar size: bytes.
    """

    descriptor: int
    size: int

    @classmethod
    def create(cls, keys: int) -> SharedMemory:
        """:param keys: for how many there shall be room, as ``[limits] keys`` has it."""
        size = zone_size(keys)
        return cls(create(size), size)

    @classmethod
    def passed(cls, environ: Mapping[str, str]) -> SharedMemory | None:
        """What was passed on to this process; None for nothing. Processes that it starts don't get it."""
        text = environ.get(PASSED)
        if not text:
            return None
        descriptor, size = map(int, text.split(":"))
        os.set_inheritable(descriptor, False)
        return cls(descriptor, size)

    def environment(self) -> dict[str, str]:
        """Variables of a process that gets the descriptor."""
        return {PASSED: f"{self.descriptor}:{self.size}"}

    def zone(self) -> Zone:
        """
        Open it in this process. The descriptor stays as it is.

        :raises ValueError: it is not what :meth:`create` has made.
        """
        return Zone(Segment(os.dup(self.descriptor), self.size))
