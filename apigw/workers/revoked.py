"""Which tokens count no more, as workers tell their supervisor, and as it tells those that start later."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from math import inf
from typing import Any
from urllib.parse import unquote

from twisted.internet.interfaces import IDelayedCall

from apigw.admin.revocations import PATH, all_lines, take
from apigw.policy.revocations import KINDS, Revocation, Revocations, packed, removed

MOST = 50_000
"""Bytes told at once; AMP takes 64 KiB, and one entry has 13 KiB at most."""


class Known:
    """What a supervisor knows of revocations."""

    def __init__(self, now: Callable[[], float], size: int) -> None:
        self._revocations = Revocations(now, size)

    def resize(self, size: int) -> None:
        self._revocations.size = size

    def text(self) -> str:
        """All of them, for :func:`take`."""
        return all_lines(self._revocations)

    def told(self, lines: str) -> None:
        """By a worker."""
        take(lines, self._revocations)

    def answered(self, method: bytes, path: bytes, body: bytes) -> bool:
        """
        Take down what an operator has had the workers do.

        :param body: of their answer.
        :return: whether that was about revocations.
        """
        at = path.decode("latin-1")
        if at != PATH and not at.startswith(f"{PATH}/"):
            return False
        if method == b"POST":
            value = json.loads(body)
            [kind] = [kind for kind in KINDS if kind in value]
            entry = Revocation(kind, value[kind], value["expires"], value.get("issued_before", inf))
            take(packed(entry), self._revocations)
        elif method == b"DELETE":
            kind, _, raw = at.removeprefix(f"{PATH}/").partition("/")
            self._revocations.drop(kind, unquote(raw))
        return True


class Telling:
    """
    Tells a supervisor of what comes into a worker's revocations and goes from there.

    :param tell: takes lines.
    """

    def __init__(self, revocations: Revocations, tell: Callable[[str], object], reactor: Any) -> None:
        self._revocations = revocations
        self._tell = tell
        self._reactor = reactor
        self._untold: list[str] = []
        self._soon: IDelayedCall | None = None
        self._heard = False
        revocations.on_add(lambda entry: self._add(packed(entry)))
        revocations.on_drop(lambda kind, value: self._add(removed(kind, value)))

    def know(self, lines: str) -> None:
        """By the supervisor, which need not be told the same."""
        self._heard = True
        take(lines, self._revocations)
        self._heard = False

    def _add(self, line: str) -> None:
        if not self._heard:
            self._untold.append(line)
            if self._soon is None:
                self._soon = self._reactor.callLater(0.0, self._flush)

    def _flush(self) -> None:
        self._soon = None
        untold, self._untold = self._untold, []
        for part in _parts(untold):
            self._tell(part)


def _parts(lines: list[str]) -> Iterator[str]:
    part: list[str] = []
    size = 0
    for line in lines:
        if size + len(line) >= MOST:
            yield "\n".join(part)
            part, size = [], 0
        part.append(line)
        size += len(line) + 1
    if part:
        yield "\n".join(part)
