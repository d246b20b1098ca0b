"""A small HTTP server that answers and remembers what it was asked: a service, or an issuer of keys."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Server:
    """
    :ivar body: what it answers; None for a status of 500.
    :ivar fields: of its answers, besides.
    :ivar asked: the fields of each request.
    """

    def __init__(self) -> None:
        self.body: bytes | None = None
        self.fields = [("Set-Cookie", "a=b")]
        self.asked: list[dict[str, str]] = []
        outer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(dict(self.headers.items()))
                self.send_response(200 if outer.body is not None else 500)
                for name, value in outer.fields:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(outer.body or b"")

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Tests have no use for it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.port = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
