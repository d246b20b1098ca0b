"""A service for load: it answers whatever it is asked."""

from __future__ import annotations

import socket
from threading import Thread

from tests.wire.sockets import Cut, Wire


class Shop:
    """
    Answers with 8000 bytes and what it was sent, and keeps its connections.

    :ivar port: on loopback.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._socket.getsockname()[1]
        self._wires: list[Wire] = []
        self._threads = [Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                self._wires.append(Wire(self._socket.accept()[0]))
            except OSError:
                return
            self._threads.append(Thread(target=self._serve, args=[self._wires[-1]], daemon=True))
            self._threads[-1].start()

    def _serve(self, wire: Wire) -> None:
        wire.socket.settimeout(None)
        try:
            while True:
                body = b"sold" * 2000 + wire.request().body
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except (Cut, OSError):
            wire.close()

    def close(self) -> None:
        """Wait until the gateway has closed all connections."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._threads[0].join()
        for thread in self._threads[1:]:
            thread.join()
