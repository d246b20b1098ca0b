"""The body of an answer on its way to a client, of which a copy is kept where it isn't too large."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from zope.interface import implementer

from apigw.messages import DeliverableBody
from apigw.policy.cache.store import Store


@implementer(IProtocol)
class CopiedBody:
    """
    Stands between the service's body and whoever sends it on; for that one it is the producer, too.

    A client that is slow, or that goes away, doesn't hold up those who wait for the copy: it is completed without it.

    :param store: whose bytes for answers on their way it uses.
    :param largest: bytes; of what is larger there is no copy.
    :param ended: gets the copy, or None where there is none; called once.
    """

    def __init__(
        self, body: DeliverableBody, store: Store, largest: int, ended: Callable[[bytes | None], object]
    ) -> None:
        self._body = body
        self._store = store
        self._largest = largest
        self._ended: Callable[[bytes | None], object] | None = ended
        self._copy = bytearray()
        self._protocol: Any = None
        self._producer: Any = None
        self._paused = False

    def deliverBody(self, protocol: IProtocol) -> None:
        """As :class:`~apigw.messages.DeliverableBody` has it."""
        self._protocol = protocol
        self._body.deliverBody(self)

    # -- from the service: IProtocol -----------------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        self._producer = transport
        self._protocol.makeConnection(self)

    def connectionMade(self) -> None:
        """Part of IProtocol."""

    def dataReceived(self, data: bytes) -> None:
        if self._ended is not None:
            self._copy += data
            self._store.collecting += len(data)
            full = self._store.collecting > self._store.capacity
            if full or len(self._copy) > self._largest:
                self._end(None)
                if self._protocol is None:
                    self._producer.stopProducing()
                elif self._paused:
                    self._producer.pauseProducing()
        if self._protocol is not None:
            self._protocol.dataReceived(data)

    def connectionLost(self, reason: Failure) -> None:
        complete = isinstance(reason.value, ResponseDone)
        self._end(bytes(self._copy) if complete else None)
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connectionLost(reason)

    def _end(self, copy: bytes | None) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            self._store.collecting -= len(self._copy)
            self._copy = bytearray()
            ended(copy)

    # -- from the client: IPushProducer --------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """What the client doesn't take yet is at most as large as the copy may be."""
        self._paused = True
        if self._ended is None:
            self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        if self._ended is None:
            self._producer.resumeProducing()

    def stopProducing(self) -> None:
        self._protocol = None
        if self._ended is None:
            self._producer.stopProducing()


class Nobody:
    """Takes a body that only its copy is wanted of."""

    def makeConnection(self, transport: Any) -> None:
        """There is nothing to stop it by."""

    def dataReceived(self, data: bytes) -> None:
        """It is in the copy."""

    def connectionLost(self, reason: Failure) -> None:
        """Whoever gets the copy hears of it."""
