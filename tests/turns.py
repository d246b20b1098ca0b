"""A turn of the lean loop in which several things are ready."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.epollreactor import EPollReactor

from apigw.loop import lean


class _Ready:
    """A descriptor that can be read."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._near, self._far = socket.socketpair()
        self._far.send(b"x")

    def fileno(self) -> int:
        return self._near.fileno()

    def doRead(self) -> None:
        self._near.recv(1)
        self._call()

    def logPrefix(self) -> str:
        return "ready"

    def connectionLost(self, reason: Any) -> None:
        self._near.close()
        self._far.close()


def in_one_turn(*calls: Callable[[], None]) -> None:
    """Make each call from an event of its own, all of one turn."""
    reactor = EPollReactor()
    lean(reactor)
    ready = [_Ready(call) for call in calls]
    try:
        for reader in ready:
            reactor.addReader(reader)
        reactor.doIteration(0)
    finally:
        for reader in [*ready, *reactor._internalReaders]:
            reactor.removeReader(reader)
            reader.connectionLost(None)
        reactor._poller.close()
