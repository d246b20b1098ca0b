"""One question to name servers: UDP, TCP where the answer doesn't fit, the next server where one fails."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import randbelow
from socket import AF_INET, AF_INET6, SOCK_DGRAM, socket
from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import connectionDone
from twisted.names import dns
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from apigw.upstream.discovery.resolv_conf import ResolverSettings
from apigw.upstream.discovery.source import Malformed, SourceFailed

ANSWER, TRUNCATED = 0x80, 0x02
"""In the third byte of a message, RFC 1035 section 4.1.1."""

CODES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
"""RFC 1035 section 4.1.1."""


@frozen
class Records:
    """
    The answer to a question.

    :ivar exists: False where there is no such name at all (NXDOMAIN).
    :ivar answers: resource records, aliases among them.
    :ivar additional: what else the server thought of use.
    """

    exists: bool
    answers: Sequence[Any] = ()
    additional: Sequence[Any] = ()


async def ask(reactor: Any, settings: ResolverSettings, name: str, kind: int) -> Records:
    """
    Ask the servers one after the other, until one knows.

    :param kind: such as ``dns.A``.
    :raises SourceFailed: none answered, or all refused; names all reasons.
    """
    if len(name) > 253 or not all(0 < len(label) < 64 for label in name.split(".")):
        raise Malformed(f"{name} is no name for the DNS")  # RFC 1035 section 2.3.4; twisted.names would send it
    reasons: dict[str, None] = {}
    for _ in range(settings.attempts):
        for server in settings.servers:
            try:
                message = await _ask_server(reactor, server, _Question(name, kind), settings.timeout)
            except CancelledError:
                raise
            except Exception as error:
                why = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            else:
                if message.rCode in (dns.OK, dns.ENAME):
                    return Records(message.rCode == dns.OK, message.answers, message.additional)
                why = CODES.get(message.rCode, f"code {message.rCode}")
            reasons[f"{server[0]}:{server[1]}: {why}"] = None
    raise SourceFailed(f"{name} can't be looked up: {', '.join(reasons)}")


class _Question:
    """A message, and which answers are its own."""

    def __init__(self, name: str, kind: int) -> None:
        self._message = dns.Message(id=randbelow(65536), recDes=1)
        self._message.addQuery(name.encode("ascii"), kind, dns.IN)
        self.wire: bytes = self._message.toStr()

    def answer(self, data: bytes) -> Any | None:
        """
        :return: None where it isn't the answer; it may be forged, late or garbage.

        Source: RFC 5452 section 9.1: id and question have to be those asked; address and port are the socket's affair.
        """
        message = dns.Message()
        if len(data) >= 12 and data[:2] == self.wire[:2] and data[2] & ANSWER and data[2] & TRUNCATED:
            message.trunc = 1
            return message  # what there is of it may end anywhere
        try:
            message.fromStr(data)
        except Exception:  # twisted.names raises whatever comes up in malformed messages
            return None
        if message.id != self._message.id or not message.answer or len(message.queries) != 1:
            return None
        asked, echoed = self._message.queries[0], message.queries[0]
        same = echoed.name.name.lower() == asked.name.name.lower() and echoed.type == asked.type
        return message if same else None


async def _ask_server(reactor: Any, server: tuple[str, int], question: _Question, timeout: float) -> Any:
    """:raises Exception: no answer, whatever the reason."""
    datagram = _Datagram(reactor, question)
    try:
        datagram.send(server)
        message = await datagram.done.addTimeout(timeout, reactor)
    finally:
        datagram.close()
    if message.trunc:
        return await _ask_by_tcp(reactor, server, question, timeout)
    return message


async def _ask_by_tcp(reactor: Any, server: tuple[str, int], question: _Question, timeout: float) -> Any:
    family = TCP6ClientEndpoint if ":" in server[0] else TCP4ClientEndpoint
    stream = await connectProtocol(family(reactor, *server, timeout=timeout), _Stream(question))
    try:
        return await stream.done.addTimeout(timeout, reactor)
    finally:
        stream.transport.abortConnection()


@implementer(IReadDescriptor)
class _Datagram:
    """
    A connected socket on a port of the kernel's choice: the kernel drops what others send, and tells where nobody
    listens. Twisted's own port would write a line to the log for each question.
    """

    def __init__(self, reactor: Any, question: _Question) -> None:
        self._reactor = reactor
        self._question = question
        self._socket: socket | None = None
        self.done: Deferred[Any] = Deferred()

    def send(self, server: tuple[str, int]) -> None:
        """:raises OSError: there is no way to the server."""
        self._socket = socket(AF_INET6 if ":" in server[0] else AF_INET, SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(server)
        self._socket.send(self._question.wire)
        self._reactor.addReader(self)

    def close(self) -> None:
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def doRead(self) -> None:
        assert self._socket is not None
        try:
            message = self._question.answer(self._socket.recv(65535))
        except BlockingIOError:
            return
        except OSError as error:
            self.connectionLost(Failure(error))
            return
        if message is not None and not self.done.called:
            self.done.callback(message)

    def connectionLost(self, reason: Failure) -> None:
        """Also where the reactor has seen an error before there was anything to read."""
        if not self.done.called:
            self.done.errback(SourceFailed("nobody listens"))

    def logPrefix(self) -> str:
        return "DNS"


class _Stream(Int16StringReceiver):
    def __init__(self, question: _Question) -> None:
        self._question = question
        self.done: Deferred[Any] = Deferred()

    def connectionMade(self) -> None:
        self.sendString(self._question.wire)

    def stringReceived(self, data: bytes) -> None:
        message = self._question.answer(data)
        if message is not None and not self.done.called:
            self.done.callback(message)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.done.called:
            self.done.errback(SourceFailed("the connection was lost"))
