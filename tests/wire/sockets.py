"""Both ends of the wire in the hands of a test: raw sockets, blocking, each operation with a time limit."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from attrs import define, field

BOUND = 5.0
"""Seconds until a read, a write or an accept that should take no time has failed."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: to close is to reset."""


@define
class Message:
    """
    A request or an answer, as it was on the wire.

    :ivar first: its first line.
    :ivar fields: names as sent, and values, in order.
    :ivar body: with the chunked coding taken off.
    :ivar trailers: as ``fields``.
    """

    first: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(factory=list)

    @property
    def status(self) -> int:
        return int(self.first.split(b" ")[1])

    def all(self, name: bytes) -> list[bytes]:
        """Values of a field."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def one(self, name: bytes) -> bytes:
        """The value of a field that is there once."""
        [value] = self.all(name)
        return value

    def text(self, name: str) -> str:
        return self.one(name.encode()).decode()


def parse(head: bytes) -> Message:
    """:param head: with its empty line."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    return Message(first, _fields(lines))


def _fields(lines: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    return [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]


class Cut(Exception):
    """The other side ended or reset the connection before what was read was complete."""


class Wire:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        sock.settimeout(BOUND)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def finish(self) -> None:
        """Send no more, but read on."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.socket.close()

    def some(self) -> bytes:
        """What comes next, nothing at the end. :raises Cut: it was reset."""
        if self._read:
            data, self._read = self._read, b""
            return data
        try:
            return self.socket.recv(65536)
        except ConnectionError as error:
            raise Cut(error) from None

    def until(self, end: bytes) -> bytes:
        """All up to ``end``, that included."""
        data = b""
        while end not in data:
            data += self._more()
        at = data.index(end) + len(end)
        self._read = data[at:] + self._read
        return data[:at]

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self._more()
        self._read = data[size:] + self._read
        return data[:size]

    def _more(self) -> bytes:
        data = self.some()
        if not data:
            raise Cut("the end")
        return data

    def rest(self) -> bytes:
        """All up to the end. :raises Cut: it was reset."""
        data = b""
        while piece := self.some():
            data += piece
        return data

    def ended(self) -> bool:
        """Wait for the end. :return: it came in order, and nothing before it."""
        try:
            return self.some() == b""
        except Cut:
            return False

    def gone(self) -> None:
        """Wait until the other side has given up the connection, in whatever way; what it still sends is skipped."""
        try:
            while self.some():
                pass
        except Cut:
            pass

    # -- messages --------------------------------------------------------------------------------------------------

    def head(self) -> Message:
        return parse(self.until(b"\r\n\r\n"))

    def request(self) -> Message:
        """A whole request."""
        message = self.head()
        if message.all(b"transfer-encoding") or message.all(b"content-length"):
            self._body(message)
        return message

    def answer(self, method: bytes = b"GET") -> Message:
        """
        A whole answer, a 1xx included.

        :param method: of the request that it answers.
        """
        message = self.head()
        if method != b"HEAD" and message.status >= 200 and message.status not in (204, 304):
            self._body(message)
        return message

    def _body(self, message: Message) -> None:
        if message.all(b"transfer-encoding"):
            assert message.one(b"transfer-encoding") == b"chunked"
            assert not message.all(b"content-length")
            while size := int(self.until(b"\r\n"), 16):
                message.body += self.exactly(size)
                assert self.until(b"\r\n") == b"\r\n"
            while (line := self.until(b"\r\n")) != b"\r\n":
                message.trailers += _fields([line[:-2]])
        elif message.all(b"content-length"):
            message.body = self.exactly(int(message.one(b"content-length")))
        else:
            message.body = self.rest()


class Service:
    """
    What the gateway takes for a service; the test writes its answers.

    :ivar port: on loopback.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._wires: list[Wire] = []
        self.port: int = self._socket.getsockname()[1]

    def accept(self) -> Wire:
        """The next connection; waits for it."""
        self._socket.settimeout(BOUND)
        wire = Wire(self._socket.accept()[0])
        self._wires.append(wire)
        return wire

    def untouched(self) -> bool:
        """Nobody has connected since the last :meth:`accept`."""
        self._socket.settimeout(0.0)
        try:
            self._wires.append(Wire(self._socket.accept()[0]))
        except BlockingIOError:
            return True
        return False

    def received(self) -> bytes:
        """All that came on connections that were made since the last :meth:`accept`, each up to its end."""
        before = len(self._wires)
        while not self.untouched():
            pass
        data = b""
        for wire in self._wires[before:]:
            try:
                while piece := wire.some():
                    data += piece
            except Cut:
                pass
        return data

    def settle(self) -> None:
        """End all connections, and wait until the gateway has done so too: what comes next finds none that is kept."""
        while not self.untouched():
            pass
        for wire in self._wires:
            if wire.socket.fileno() >= 0:
                try:
                    wire.finish()
                    wire.gone()
                except OSError:
                    pass
                wire.close()
        self._wires.clear()

    def close(self) -> None:
        self.settle()
        self._socket.close()


def connect(port: int, *, receive_buffer: int | None = None, send_buffer: int | None = None) -> Wire:
    """
    A client's connection to the gateway.

    :param receive_buffer: bytes that the kernel takes in for a client that doesn't read.
    :param send_buffer: bytes that the kernel takes from a client while the gateway doesn't read.
    """
    sock = socket.socket()
    if send_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(BOUND)
    sock.connect(("127.0.0.1", port))
    return Wire(sock)
