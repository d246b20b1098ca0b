"""The least of an HTTP/1.1 client: a request as bytes, and where an answer ends."""

import functools
import re
import socket
import ssl

from benchmarks.contender import HOST, Headers

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
PATIENCE = 30.0  # seconds


class AnswerError(Exception):
    """An answer that isn't a whole 200."""


def request(method: str, path: str, headers: Headers, length: int = 0) -> bytes:
    """A request head with ``headers``; ``length`` is that of the body that the caller sends after it."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers)
    body = f"Content-Length: {length}\r\nContent-Type: application/octet-stream\r\n" if length else ""
    return f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{more}{body}\r\n".encode()


def answer_length(data: bytes | bytearray) -> int | None:
    """
    How long the answer at the start of ``data`` is, head and body; ``None`` while its head isn't all there.

    :raises AnswerError: it isn't 200, or has no Content-Length.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = CONTENT_LENGTH.search(data, 0, end + 2)
    if not data.startswith(b"HTTP/1.1 200") or length is None:
        raise AnswerError(bytes(data[:end]).decode("latin-1"))
    return end + 4 + int(length[1])


def connect(port: int, source: str = HOST, tls: bool = False) -> socket.socket:
    """A connection to ``port`` of the loopback address from the loopback address ``source``, perhaps with TLS."""
    connection = socket.create_connection((HOST, port), timeout=PATIENCE, source_address=(source, 0))
    return _context().wrap_socket(connection) if tls else connection


@functools.cache
def _context() -> ssl.SSLContext:
    """TLS with whomever it is: all are on this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def exchange(connection: socket.socket, head: bytes) -> None:
    """Send ``head`` and read the whole answer. :raises AnswerError: it isn't a whole 200."""
    connection.sendall(head)
    data = bytearray()
    while (length := answer_length(data)) is None or len(data) < length:
        received = connection.recv(65536)
        if not received:
            raise AnswerError("the connection ended before the answer did")
        data += received
