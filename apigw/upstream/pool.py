"""The connections to one peer: kept ones are reused last in, first out; new ones are made up to a cap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConnector, IDelayedCall, IProtocol, IReactorTime
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure

from apigw.errors import ClientDisconnected, ConnectFailed, ConnectTimeout
from apigw.upstream.connection import PeerConnection
from apigw.upstream.failures import mapped


@frozen
class PoolSettings:
    """
    :ivar max_connections: open at once, idle ones included.
    :ivar connect_timeout: seconds, the TLS handshake included.
    :ivar idle_timeout: seconds an unused connection is kept. Below the 5 s of many Node and Python servers' own
        limit would be safest, 60 s is nginx's; a request that meets a closed one is retried where that is safe.
    :ivar max_age: seconds after which a connection is not used again, so that a changed address or balance shows.
    :ivar max_requests: requests after which a connection is not used again (nginx: keepalive_requests 1000).
    :ivar timer_period: the shortest timeout of a request, see :class:`~apigw.deadline.Deadline`.
    """

    max_connections: int = 100
    connect_timeout: float = 2.0
    idle_timeout: float = 60.0
    max_age: float = 3600.0
    max_requests: int = 10000
    timer_period: float = 15.0


class Dial(Protocol):
    """Starts a connection; what it makes is told to the factory. A wrapper for TLS is part of it."""

    def __call__(self, factory: Any, timeout: float) -> IConnector: ...


def _nobody() -> None:
    """Nobody wants to know."""


class Pool:
    """
    :param dial: opens a connection to the peer.
    :param tls: connections are ready after a handshake.
    :param freed: called when a connection or a place for one has become free.

    :ivar idle: connections without a request, the last used at the end.
    :ivar size: connections open or being made.
    """

    def __init__(
        self,
        dial: Dial,
        clock: IReactorTime,
        seconds: Callable[[], float],
        settings: PoolSettings,
        *,
        tls: bool = False,
        freed: Callable[[], object] | None = None,
    ) -> None:
        self._dial = dial
        self._clock = clock
        self.seconds = seconds
        self._settings = settings
        self._tls = tls
        self._freed: Callable[[], object] = freed or _nobody
        self._all: set[PeerConnection] = set()
        self._dials: dict[IProtocol, _Dialling] = {}
        self.idle: list[PeerConnection] = []
        self.size = 0
        self.closed = False

    @property
    def busy(self) -> int:
        """Connections that carry a request or are being made for one."""
        return self.size - len(self.idle)

    @property
    def full(self) -> bool:
        """No connection is to be had now."""
        return not self.idle and self.size >= self._settings.max_connections

    def take(self, now: float) -> PeerConnection | None:
        """A kept connection, or None."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            if connection.served < self._settings.max_requests and now - connection.made < self._settings.max_age:
                return connection
            connection.close()
        return None

    def connect(self) -> Deferred[PeerConnection]:
        """
        A new connection; to be called when not :attr:`full`.

        :return: fails with :class:`ConnectFailed`, :class:`ConnectTimeout`, :class:`TlsFailed`; may be cancelled.
        """
        self.size += 1
        dialling = _Dialling(self)
        done: Deferred[PeerConnection] = Deferred(dialling.cancel)
        dialling.start(done, self._dial, self._clock, self._settings.connect_timeout)
        return done

    def build(self, dialling: _Dialling) -> PeerConnection:
        """For the dialling factory."""
        settings = self._settings
        connection = PeerConnection(
            self, self._clock, self.seconds, settings.idle_timeout, settings.timer_period, self._tls
        )
        self._dials[connection] = dialling
        self._all.add(connection)
        return connection

    def abandoned(self) -> None:
        """A connection could not be made."""
        self.size -= 1
        self._freed()

    def close(self) -> None:
        """Close what is idle now and what is in use once it has done its work."""
        self.closed = True
        for connection in self.idle[:]:
            connection.close()

    def abort(self) -> None:
        """Close everything at once."""
        self.closed = True
        for connection in list(self._all):
            if connection.transport is not None:
                connection.transport.abortConnection()

    # -- told by connections ----------------------------------------------------------------------------------

    def ready(self, connection: PeerConnection) -> None:
        dialling = self._dials.pop(connection, None)
        if dialling is not None:
            dialling.succeeded(connection)

    def released(self, connection: PeerConnection) -> None:
        if self.closed:
            connection.close()
            return
        self.idle.append(connection)
        self._freed()

    def lost(self, connection: PeerConnection, reason: Failure) -> None:
        self._all.discard(connection)
        dialling = self._dials.pop(connection, None)
        if dialling is not None:
            # Counted as abandoned by the dialling itself.
            dialling.failed(reason)
            return
        if connection in self.idle:
            self.idle.remove(connection)
        self.size -= 1
        self._freed()


class _Dialling(ClientFactory):
    """
    One connection on its way: its timer, its cancelling, its outcome. When it is over it leads to none of them, for
    they lead to it.
    """

    noisy = False

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connector: IConnector | None = None
        self._timer: IDelayedCall | None = None
        self._over = False
        self._connection: PeerConnection | None = None
        self._done: Deferred[PeerConnection] | None = None

    def start(self, done: Deferred[PeerConnection], dial: Dial, clock: IReactorTime, timeout: float) -> None:
        self._done = done
        self._timer = clock.callLater(timeout, self._timed_out)
        connector = dial(self, timeout)
        if not self._over:
            self._connector = connector

    def buildProtocol(self, addr: Any) -> PeerConnection:
        self._connection = self._pool.build(self)
        return self._connection

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self.failed(reason)

    def succeeded(self, connection: PeerConnection) -> None:
        done = self._end()
        self._connector = self._connection = None
        done.callback(connection)

    def failed(self, reason: Failure) -> None:
        if not self._over:
            self._give_up(Failure(mapped(reason, ConnectFailed())))

    def _timed_out(self) -> None:
        self._give_up(Failure(ConnectTimeout("The service could not be connected to in time.")))

    def cancel(self, _: Deferred[PeerConnection]) -> None:
        """For the Deferred."""
        self._give_up(Failure(ClientDisconnected()))

    def _give_up(self, reason: Failure) -> None:
        done = self._end()
        connection, self._connection = self._connection, None
        connector, self._connector = self._connector, None
        if connection is not None and connection.transport is not None:
            connection.transport.abortConnection()
        elif connector is not None:
            connector.disconnect()
        self._pool.abandoned()
        done.errback(reason)

    def _end(self) -> Deferred[PeerConnection]:
        self._over = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        done, self._done = self._done, None
        assert done is not None
        return done
