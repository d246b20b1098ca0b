"""What a supervisor gives a worker to begin with: variables, and descriptors that they name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from attrs import asdict, frozen

PASSED = "APIGW_WORKER"


@frozen
class Start:
    """
    :ivar number: of the worker, from 0.
    :ivar control: descriptor of the connection to the supervisor.
    :ivar text: descriptor of a file with the text of the configuration.
    :ivar shares: descriptor of the memory with what each worker has to do.
    :ivar admin: path of the socket on which the supervisor asks; empty without an admin listener.
    """

    number: int
    control: int
    text: int
    shares: int
    admin: str = ""

    def environment(self) -> dict[str, str]:
        return {PASSED: json.dumps(asdict(self))}


def started(environ: Mapping[str, str]) -> Start | None:
    """How this process was started as a worker; None where it is none."""
    text = environ.get(PASSED)
    if not text:
        return None
    start = Start(**json.loads(text))
    for descriptor in (start.control, start.text, start.shares):
        os.set_inheritable(descriptor, False)
    return start


def text_of(descriptor: int) -> str:
    """What a file holds, from its beginning, whoever has read of it before."""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()


def file_of(text: str) -> int:
    """A file in memory; :return: its descriptor."""
    descriptor = os.memfd_create("apigw.ini")
    os.write(descriptor, text.encode())
    return descriptor
