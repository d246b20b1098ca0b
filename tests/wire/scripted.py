"""A service that answers as a function says, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from attrs import field, frozen

from tests.wire.sockets import Message, connect


@frozen
class Question:
    """:ivar fields: names in lower case."""

    method: str
    target: str
    fields: dict[str, str]
    body: bytes


@frozen
class Reply:
    status: int = 200
    body: bytes = b""
    fields: dict[str, str] = field(factory=dict)


class Scripted:
    """
    :param say: from a question to its reply; called in threads.

    :ivar asked: questions in order.
    """

    def __init__(self, say: Callable[[Question], Reply]) -> None:
        self.asked: list[Question] = []
        outer = self

        class Answers(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                fields = {name.lower(): value for name, value in self.headers.items()}
                question = Question(self.command, self.path, fields, self.rfile.read(size))
                outer.asked.append(question)
                reply = say(question)
                self.send_response(reply.status)
                for name, value in reply.fields.items():
                    self.send_header(name, value)
                if reply.status not in (204, 304):
                    self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                if self.command != "HEAD" and reply.status not in (204, 304):
                    self.wfile.write(reply.body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, format: str, *args: object) -> None:
                """Tests have no use for it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def scripted(say: Callable[[Question], Reply]) -> Iterator[Scripted]:
    service = Scripted(say)
    try:
        yield service
    finally:
        service.close()


def fetch(port: int, path: str, method: str = "GET", body: bytes = b"", **fields: str) -> Message:
    """Ask a gateway, on a connection of its own. :param fields: with ``_`` for ``-``."""
    wire = connect(port)
    lines = [f"{method} {path} HTTP/1.1", "Connection: close"]
    fields = {"Host": "h", **fields}
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    if body or method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(body)}")
    try:
        wire.send("\r\n".join([*lines, "", ""]).encode() + body)
        return wire.answer(method.encode())
    finally:
        wire.close()
