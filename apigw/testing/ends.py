"""The two ends of a connection in memory: what one side writes the other is given on the next turn of the clock."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IConsumer, IPushProducer, ITCPTransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(ITCPTransport, IConsumer, IPushProducer)
class End:
    """
    The transport of a protocol of the gateway's.

    :param peer: the address of the far side.
    :ivar far: gets ``received(data)`` and ``ended()``, on a later turn.
    :ivar paused: the gateway reads nothing at the moment.
    :ivar over: closed, by whichever side.
    """

    disconnecting = False

    def __init__(self, clock: Clock, protocol: Any, far: Any, peer: str) -> None:
        self._clock = clock
        self._protocol = protocol
        self._peer = peer
        self._waiting: list[bytes] = []
        self.far = far
        self.paused = False
        self.over = False
        self.producer: Any = None
        protocol.makeConnection(self)

    # -- the far side ----------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """The gateway gets it, as soon as it reads."""
        if not self.over and data:
            self._waiting.append(data)
            self._clock.callLater(0, self._deliver)

    def end(self, reason: type[Exception] = ConnectionDone) -> None:
        """The far side closes, after what it has sent."""
        self._clock.callLater(0, self._over, reason)

    def _deliver(self) -> None:
        while self._waiting and not self.paused and not self.over:
            self._protocol.dataReceived(self._waiting.pop(0))

    def _over(self, reason: type[Exception]) -> None:
        if not self.over:
            self._deliver()
            self.over = True
            self._protocol.connectionLost(Failure(reason()))

    # -- the gateway's side ----------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if not self.over and data:
            self._clock.callLater(0, self.far.received, bytes(data))

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if not self.over:
            self._clock.callLater(0, self.far.ended)
            self._clock.callLater(0, self._over, ConnectionDone)

    def abortConnection(self) -> None:
        self._waiting.clear()
        if not self.over:
            self._clock.callLater(0, self.far.ended)
            self._clock.callLater(0, self._over, ConnectionAborted)

    def loseWriteConnection(self) -> None:
        """The far side has no use for half of a connection."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        self._clock.callLater(0, self._deliver)

    def stopProducing(self) -> None:
        self.loseConnection()

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", self._peer, 40000)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 80)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed."""

    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nothing dies by itself."""

    def getTcpKeepAlive(self) -> bool:
        return False
