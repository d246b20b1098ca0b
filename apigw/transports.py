"""
TCP and UNIX transports that write at once.

Twisted's ``FileDescriptor.write`` never sends: it arms the writer, goes round the loop, sends and disarms, which costs
two ``epoll_ctl`` calls a write and about 9 us. These try ``send`` first when nothing is waiting, and fall back to the
stock path for what the kernel doesn't take.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv6Address
from twisted.internet.interfaces import IConnector, IListeningPort
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python import log
from twisted.python.failure import Failure

_DONE = Failure(CONNECTION_DONE)
"""One object, for building a Failure takes as long as all the rest."""


class _WritesAtOnce:
    """Mixed in before a stock transport class."""

    _shouldShutdown = False
    """Before close it makes no difference where no other process has the socket."""

    def write(self: Any, data: bytes) -> None:
        """Send what the kernel takes now; the rest waits in the stock buffer, with its back-pressure."""
        if (
            self.dataBuffer
            or self._tempDataLen
            or not self.connected
            or self.disconnecting
            or self._writeDisconnected
            or self._aborting
        ):
            self.write_later(data)
            return
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            # The stock path meets the same error on its next turn and reports it from the reactor's loop,
            # not from inside the caller of write.
            sent = 0
        if sent != len(data):
            self.write_later(data[sent:] if sent else data)

    def doRead(self: Any) -> Any:
        """As in the stock class, in one call."""
        try:
            data = self.socket.recv(self.bufferSize)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self.protocol.dataReceived(data)
        return None

    def loseConnection(self: Any) -> None:
        """
        End now where nothing waits to be sent. The stock class does so on its next turn round the loop, for which it
        takes the connection out of the poll and puts it back: 10 us. Only for protocols that say ``ends_at_once``: they
        may be told of the end while they ask for it, which Twisted's TLS isn't made for.
        """
        if (
            self.connected  # or there is no protocol any more
            and getattr(self.protocol, "ends_at_once", False)
            and not (self.disconnecting or self.dataBuffer or self._tempDataLen)
            and self.producer is None
            and not self._writeDisconnected
        ):
            self.connectionLost(_DONE)
        else:
            super().loseConnection()  # type: ignore[misc]

    def write_later(self: Any, data: bytes) -> None:
        FileDescriptor.write(self, data)

    def writeSequence(self: Any, iovec: Iterable[bytes]) -> None:
        self.write(b"".join(iovec))


class PromptServer(_WritesAtOnce, tcp.Server):
    """
    An accepted TCP connection. Its name for the log, which hardly anybody asks for, is made when somebody does.

    :ivar peer: the other end, if it is known already.
    """

    peer: Any = None

    def __init__(self, accepted: Any, protocol: Any, client: Any, server: Any, sessionno: int, reactor: Any) -> None:
        tcp.Connection.__init__(self, accepted, protocol, reactor)
        if len(client) != 2:
            self._addressType = IPv6Address
        self.server = server
        self.client = client
        self.sessionno = sessionno
        self.hostname = client[0]
        self.startReading()
        self.connected = 1

    def getPeer(self) -> Any:
        return self.peer or super().getPeer()

    def logPrefix(self) -> str:
        return f"{self._getLogPrefix(self.protocol)},{self.sessionno},{self.hostname}"

    def __repr__(self) -> str:
        return f"<{type(self.protocol).__name__} #{self.sessionno} on {self.server._realPortNumber}>"


class PromptUnixServer(_WritesAtOnce, unix.Server):
    """An accepted UNIX connection."""


class _FailsWhole:
    """Mixed in before a client: one that couldn't connect would have methods of its own that lead back to it."""

    def doConnect(self: Any) -> None:
        if hasattr(self, "connector"):  # or it was given up meanwhile
            super().doConnect()  # type: ignore[misc]

    def failIfNotConnected(self: Any, reason: Exception) -> None:
        super().failIfNotConnected(reason)  # type: ignore[misc]
        if not hasattr(self, "connector"):
            self.doRead = self.doWrite = _nothing


def _nothing() -> None:
    """There is nothing to read or to write."""


class PromptClient(_FailsWhole, _WritesAtOnce, tcp.Client):
    """An outgoing TCP connection."""


class PromptUnixClient(_FailsWhole, _WritesAtOnce, unix.Client):
    """An outgoing UNIX connection."""


class _LetsGo:
    """Mixed in before a connector: its transport leads back to it, which would wait for the garbage collector."""

    transport: Any

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)  # type: ignore[misc]
        self.transport = None


class _Connector(_LetsGo, tcp.Connector):
    def _makeTransport(self) -> Any:
        return PromptClient(self.host, self.port, self.bindAddress, self, self.reactor)


class _UnixConnector(_LetsGo, unix.Connector):
    def _makeTransport(self) -> Any:
        return PromptUnixClient(self.address, self, self.reactor, self.checkPID)


def connect_tcp(reactor: Any, host: str, port: int, factory: Any, timeout: float) -> IConnector:
    """As ``IReactorTCP.connectTCP``."""
    connector = _Connector(host, port, factory, timeout, None, reactor)
    connector.connect()
    return connector


def connect_unix(reactor: Any, path: str, factory: Any, timeout: float) -> IConnector:
    """As ``IReactorUNIX.connectUNIX``."""
    connector = _UnixConnector(path, factory, timeout, reactor, 0)
    connector.connect()
    return connector


LAST_CALL = 1024
"""Connections at most that are taken in at the end of a port."""


def _last_call(port: Any) -> None:
    """
    Let in the connections that the kernel has made already: to close the socket would reset them. Not where none was
    to be let in yet.
    """
    if port.held:
        return
    waiting = select.poll()
    waiting.register(port.fileno(), select.POLLIN)
    for _ in range(LAST_CALL):
        if not waiting.poll(0):
            return
        tcp.Port.doRead(port)


MOST_AT_ONCE = 64
"""Connections that are let in in a turn of the loop: some 3 ms."""


class _Port(tcp.Port):
    """
    For TCP.

    :ivar held: clients are to wait.
    """

    held = False

    def doRead(self) -> None:
        """
        As in the stock class, which asks the system three times more for each connection; it still sees to errors, such
        as too few descriptors.
        """
        listening: Any = self.socket
        accepted = 0
        most = min(self.numberAccepts, MOST_AT_ONCE)
        while accepted < most:
            try:
                handle, client = listening._accept()
            except BlockingIOError:
                break
            except OSError:
                super().doRead()
                return
            accepted += 1
            try:
                self._let_in(socket.socket(self.addressFamily, self.socketType, 0, handle), client)
            except Exception:
                log.err()
        self.numberAccepts = accepted + 20 if accepted == most else max(1, accepted)

    def _let_in(self, accepted: socket.socket, client: tuple[Any, ...]) -> None:
        if len(client) == 4 and client[3]:
            name, _ = socket.getnameinfo(client, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)  # with its scope
            client = (name, *client[1:])
        peer = self._buildAddr(client)
        protocol: Any = self.factory.buildProtocol(peer)  # type: ignore[union-attr]
        if protocol is None:
            accepted.close()
            return
        self.sessionno += 1
        transport: Any = self.transport(accepted, protocol, client, self, self.sessionno - 1, self.reactor)
        transport.peer = peer
        protocol.makeConnection(transport)

    def connectionLost(self, reason: Any) -> None:
        _last_call(self)
        super().connectionLost(reason)


class _AdoptedUnixPort(unix.Port):
    """A listening UNIX socket that was bound by somebody else, who also removes it."""

    held = False

    def startListening(self) -> None:
        tcp._reservedFD.reserve()
        assert self.factory is not None
        assert self._preexistingSocket is not None
        self.factory.doStart()
        self.socket, self._preexistingSocket = self._preexistingSocket, None
        self.connected = True
        self.fileno = self.socket.fileno  # type: ignore[method-assign]
        self.numberAccepts = 100
        self._shouldShutdown = False
        self.startReading()

    def connectionLost(self, reason: Any) -> None:
        _last_call(self)
        tcp.Port.connectionLost(self, reason)


YIELD = 0.002
"""Seconds for which a connection is left to others that are due to take it."""

Yields = Callable[[], bool]
"""Whether the next connection is to be left to another process."""


class _OneByOne:
    """Mixed in before a port whose socket other processes accept from, too: one connection a turn."""

    yields: Yields
    _waited = False

    @property
    def numberAccepts(self) -> int:
        return 1

    @numberAccepts.setter
    def numberAccepts(self, number: int) -> None:
        """It stays as it is."""

    def doRead(self: Any) -> None:
        if not self._waited and self.yields():
            self._waited = True
            self.stopReading()
            self.reactor.callLater(YIELD, self._again)
            return
        self._waited = False
        super().doRead()  # type: ignore[misc]
        self.yields()  # the count is told

    def _again(self: Any) -> None:
        if self.connected and not self.disconnecting:
            self.startReading()


class _SharedPort(_OneByOne, _Port):
    """For TCP."""


class _SharedUnixPort(_OneByOne, _AdoptedUnixPort):
    """For UNIX sockets."""


def listen(reactor: Any, listening: socket.socket, factory: Any, yields: Yields | None = None) -> IListeningPort:
    """
    Accept from a socket that listens and doesn't block; the port has a duplicate of it.

    :param yields: other processes accept from it too; None where none does.
    """
    port: Any
    kind: Any
    if listening.family == socket.AF_UNIX:
        kind = _AdoptedUnixPort if yields is None else _SharedUnixPort
        port = kind._fromListeningDescriptor(reactor, listening.fileno(), factory)
        port.transport = PromptUnixServer
    else:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is accepted has it from the listener
        kind = _Port if yields is None else _SharedPort
        port = kind._fromListeningDescriptor(reactor, listening.fileno(), listening.family, factory)
        port.transport = PromptServer
    if yields is not None:
        port.yields = yields
    port.startListening()
    return port  # type: ignore[no-any-return]
