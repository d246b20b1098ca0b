"""A body that is all in memory, for several clients at once."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

PIECE = 65536
"""Bytes that are copied for a client at a time."""


class Pieces:
    """
    Delivers ``data`` at the pace of who takes it, so that a client that is slow holds a piece of its own and not all.

    :param held: kept as long as ``data`` is.
    """

    def __init__(self, data: bytes, held: object) -> None:
        self._data = data
        self._held: object = held
        self._at = 0
        self._protocol: Any = None
        self._paused = self._busy = False

    def deliverBody(self, protocol: IProtocol) -> None:
        """As :class:`~apigw.messages.DeliverableBody` has it."""
        self._protocol = protocol
        self._protocol.makeConnection(self)
        self.resumeProducing()

    def discard(self) -> None:
        """Nobody wants it."""
        self.stopProducing()

    # -- from the client: IPushProducer --------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        if self._busy:
            return
        self._busy = True
        while self._protocol is not None and not self._paused:
            if self._at >= len(self._data):
                protocol = self._protocol
                self.stopProducing()
                protocol.connectionLost(Failure(ResponseDone()))
            else:
                begin, self._at = self._at, self._at + PIECE
                self._protocol.dataReceived(self._data[begin : self._at])
        self._busy = False

    def stopProducing(self) -> None:
        self._protocol = self._held = None
        self._data = b""
