"""Hands the memory that workers share from the process that makes it to those that use it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from attrs import frozen

from apigw.state.inflight import SharedInFlight, in_flight_size
from apigw.state.segment import Segment, create
from apigw.state.zone import Zone, zone_size

PASSED = "APIGW_SHARED"
"""Variable that says what was passed on to a worker: descriptors and sizes, how many workers there are, and which."""


@frozen
class SharedMemory:
    """
    What a supervisor makes once, and each of its workers opens.

    :ivar quotas: descriptor, to be passed on by the same number when a worker is started.
    :ivar in_flight: the same.
    :ivar quotas_size: bytes.
    :ivar worker: number of this one, from 0 on; no two that run have the same.
    """

    quotas: int
    in_flight: int
    quotas_size: int
    workers: int
    worker: int = 0

    @classmethod
    def create(cls, keys: int, workers: int) -> SharedMemory:
        """:param keys: for how many there shall be room, as ``[limits] keys`` has it."""
        size = zone_size(keys)
        return cls(create(size), create(in_flight_size(workers)), size, workers)

    @classmethod
    def passed(cls, environ: Mapping[str, str]) -> SharedMemory | None:
        """What was passed on to this process; None for nothing. Processes that it starts don't get it."""
        text = environ.get(PASSED)
        if not text:
            return None
        passed = cls(*map(int, text.split(":")))
        for descriptor in passed.descriptors:
            os.set_inheritable(descriptor, False)
        return passed

    @property
    def descriptors(self) -> tuple[int, int]:
        """What a worker must get."""
        return self.quotas, self.in_flight

    def environment(self, worker: int) -> dict[str, str]:
        """Variables of the worker that gets them."""
        return {PASSED: f"{self.quotas}:{self.in_flight}:{self.quotas_size}:{self.workers}:{worker}"}

    def open_quotas(self) -> Zone:
        """
        Open them in this process. The descriptor stays as it is.

        :raises ValueError: it is not what :meth:`create` has made.
        """
        return Zone(Segment(os.dup(self.quotas), self.quotas_size))

    def open_in_flight(self) -> SharedInFlight:
        """The same for what is under way."""
        segment = Segment(os.dup(self.in_flight), in_flight_size(self.workers))
        return SharedInFlight(segment, self.workers, self.worker)

    def close(self) -> None:
        """Close the descriptors; what was opened stays so."""
        for descriptor in self.descriptors:
            os.close(descriptor)
