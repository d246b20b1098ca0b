"""What operators have done to a gateway: for workers that start later, and for the process that follows this one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping

from attrs import frozen

from apigw.errors import GatewayError

PASSED = "APIGW_HANDED"
"""Variable with the descriptor of a file in memory that a process gives to the one that follows it."""

KEPT = 10_000
"""Requests of operators that are kept; of more the first are forgotten."""

EFFECTLESS = (b"/api/explain", b"/api/plan", b"/api/cache/purge")
"""Paths whose POST changes nothing that a new process has, or needs to be told."""

Asking = tuple[bytes, bytes, bytes | None, bytes]
"""Method, target, type of the body, body."""


class HandedOn(GatewayError):
    status = 503
    code = "upgrading"
    title = "Another process is about to follow this one"


class Done:
    """
    The requests that have changed something, in order; of equal ones the last counts.

    :param handed_on: whether they have been told to a process that follows, or is about to.
    """

    def __init__(self, before: Iterable[Asking] = (), handed_on: Callable[[], bool] = lambda: False) -> None:
        self._all = dict.fromkeys(before)
        self._handed_on = handed_on

    def check(self) -> None:
        """:raises HandedOn: what is done now would end with this process."""
        if self._handed_on():
            raise HandedOn("This would be forgotten; ask again in a moment.", retry_after=2.0)

    def __iter__(self) -> Iterator[Asking]:
        return iter(tuple(self._all))

    def note(self, asking: Asking) -> None:
        if asking[1] in EFFECTLESS:
            return
        self._all.pop(asking, None)
        self._all[asking] = None
        if len(self._all) > KEPT:
            del self._all[next(iter(self._all))]


@frozen
class Handed:
    """
    What a process tells the one that follows it.

    :ivar revocations: lines, as :func:`apigw.policy.revocations.packed` makes them.
    """

    done: tuple[Asking, ...] = ()
    revocations: str = ""

    def file(self) -> int:
        """:return: descriptor of a file in memory, for the other process to inherit."""
        done = [[None if part is None else part.decode("latin-1") for part in asking] for asking in self.done]
        made = os.memfd_create("apigw.handed")
        with os.fdopen(made, "wb", closefd=False) as file:
            file.write(json.dumps({"done": done, "revocations": self.revocations}).encode())
        return made


NOTHING = Handed()


def handed(environ: Mapping[str, str]) -> Handed:
    """What the process before has told; closes the file."""
    descriptor = environ.get(PASSED)
    if not descriptor:
        return NOTHING
    with os.fdopen(int(descriptor), "rb") as file:
        file.seek(0)
        value = json.load(file)
    done = tuple(
        (method.encode("latin-1"), target.encode("latin-1"), kind and kind.encode("latin-1"), body.encode("latin-1"))
        for method, target, kind, body in value["done"]
    )
    return Handed(done, value["revocations"])
