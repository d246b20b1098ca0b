"""Hands the memory that workers share from the process that makes it to those that use it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree
from time import monotonic

from attrs import field, frozen

from apigw.state.answers import FileAnswers
from apigw.state.directory import make
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
    :ivar directory: in memory too, for what isn't of a fixed size. :ivar lock: by which others see that it is in use.
    """

    quotas: int
    in_flight: int
    quotas_size: int
    workers: int
    directory: str
    worker: int = 0
    lock: int = field(default=-1, eq=False)

    @classmethod
    def create(cls, keys: int, workers: int) -> SharedMemory:
        """:param keys: for how many there shall be room, as ``[limits] keys`` has it."""
        size = zone_size(keys)
        directory, lock = make()
        return cls(create(size), create(in_flight_size(workers)), size, workers, directory, lock=lock)

    @classmethod
    def passed(cls, environ: Mapping[str, str]) -> SharedMemory | None:
        """What was passed on to this process; None for nothing. Processes that it starts don't get it."""
        text = environ.get(PASSED)
        if not text:
            return None
        *numbers, directory = text.split(":", 5)
        quotas, in_flight, size, workers, worker = map(int, numbers)
        passed = cls(quotas, in_flight, size, workers, directory, worker)
        for descriptor in passed.descriptors:
            os.set_inheritable(descriptor, False)
        return passed

    @property
    def descriptors(self) -> tuple[int, int]:
        """What a worker must get."""
        return self.quotas, self.in_flight

    def environment(self, worker: int) -> dict[str, str]:
        """Variables of the worker that gets them."""
        numbers = (self.quotas, self.in_flight, self.quotas_size, self.workers, worker)
        return {PASSED: f"{':'.join(map(str, numbers))}:{self.directory}"}

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

    def open_answers(self) -> FileAnswers:
        """The same for answers to idempotency keys."""
        return FileAnswers(str(Path(self.directory) / "answers"), monotonic)

    def close(self) -> None:
        """Close the descriptors, and remove the directory; what was opened stays so."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        rmtree(self.directory, ignore_errors=True)
        if self.lock >= 0:
            os.close(self.lock)
