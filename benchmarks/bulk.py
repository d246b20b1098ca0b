"""Large bodies over plain sockets: a client that sends or reads them, and a service that swallows them."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable

from benchmarks import upstream, wire
from benchmarks.contender import HOST, Running

BLOCK = 256 * upstream.KIB
STALL_LIMIT = 60.0  # seconds
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

Pace = Callable[[socket.socket], int]
"""Reads some of a body in its own way and returns how many bytes; the rest is read as fast as it comes."""


def at_once(connection: socket.socket) -> int:
    """The pace of no pace."""
    return 0


def download(server: Running, path: str, pace: Pace = at_once) -> None:
    """GET ``path`` and read all of it. :raises AnswerError: the answer isn't a whole 200."""
    with wire.connect(server.port) as connection:
        connection.sendall(wire.request("GET", path, server.headers))
        data = bytearray()
        while (length := wire.answer_length(data)) is None:
            received = connection.recv(4096)
            if not received:
                raise wire.AnswerError("the connection ended in the head")
            data += received
        _swallow(connection, length - len(data), pace)


def upload(server: Running, size: int) -> None:
    """POST ``size`` bytes. :raises AnswerError: the answer isn't a whole 200. :raises OSError: it was cut."""
    block = bytes(BLOCK)
    with wire.connect(server.port) as connection:
        connection.settimeout(STALL_LIMIT)
        connection.sendall(wire.request("POST", upstream.POST, server.headers, size))
        for _ in range(size // BLOCK):
            connection.sendall(block)
        connection.sendall(block[: size % BLOCK])
        wire.exchange(connection, b"")


def _swallow(connection: socket.socket, size: int, pace: Pace) -> None:
    """Read ``size`` bytes of a body. :raises AnswerError: it ends early."""
    left = size - pace(connection)
    block = bytearray(BLOCK)
    view = memoryview(block)
    while left:
        count = connection.recv_into(view[: min(left, BLOCK)])
        if not count:
            raise wire.AnswerError(f"the body ended {left} bytes early")
        left -= count


class Sink:
    """
    A service in a thread of ours: it reads every body at :attr:`pace` and answers only then.

    ``running`` is where contenders find it.
    """

    def __init__(self) -> None:
        self.pace: Pace = at_once
        self._listener = socket.create_server((HOST, 0), backlog=64)
        self.running = Running(os.getpid(), self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """Answer request after request; a body that is cut short ends the connection without an answer."""
        with connection, contextlib.suppress(OSError, wire.AnswerError):
            data = bytearray()
            while received := connection.recv(4096):
                data += received
                end = data.find(b"\r\n\r\n") + 4
                if end < 4:
                    continue
                length = wire.CONTENT_LENGTH.search(data, 0, end)
                if length is not None and (body := int(length[1])):
                    _swallow(connection, body - (len(data) - end), self.pace)
                connection.sendall(ANSWER)
                data.clear()
