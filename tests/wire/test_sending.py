"""Hedges, sticky cookies and the adaptive limit of a running gateway, with real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.wire.gateway import Gateway
from tests.wire.sockets import BOUND, Message, connect

CONFIG = """\
[listener:main]
endpoint = tcp:0:interface=127.0.0.1
[service:two]
urls = http://127.0.0.1:{0}, http://127.0.0.1:{1}
balance = round_robin
hedge.after = 50%
hedge.samples = 4
hedge.shortest = 1s
[service:sticky]
urls = http://127.0.0.1:{0}, http://127.0.0.1:{1}
balance = round_robin
sticky.cookie = peer
sticky.secret_env = STICKY
[service:limited]
urls = http://127.0.0.1:{0}
adaptive.limit = 4
[route:two]
path = /two
service = two
[route:sticky]
path = /sticky
service = sticky
[route:limited]
path = /limited
service = limited
[route:low]
path = /low
service = limited
priority = low
"""


class Peer:
    """
    A service that says its name, and waits with that while it is told to.

    :ivar asked: request ids, in order.
    :ivar answering: cleared while it shall wait.
    """

    def __init__(self, name: bytes) -> None:
        self.asked: list[str] = []
        self.answering = Event()
        self.answering.set()
        outer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.headers["X-Request-Id"])
                outer.answering.wait(BOUND)
                self.send_response(200)
                self.send_header("Content-Length", str(len(name)))
                self.end_headers()
                self.wfile.write(name)

            def log_message(self, format: str, *args: object) -> None:
                """Tests have no use for it."""

        class Listening(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """The gateway cancels requests: their connections are reset."""

        self._server = Listening(("127.0.0.1", 0), Answers)
        self.port = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Setting:
    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.peers = [Peer(b"first"), Peer(b"second")]
        for peer in self.peers:
            stack.callback(peer.close)
        config = CONFIG.format(*(peer.port for peer in self.peers))
        self.gateway = stack.enter_context(Gateway(directory, config, environ={"STICKY": "0123456789abcdef"}))

    def ask(self, path: str, more: str = "") -> Message:
        client = connect(self.gateway.port)
        try:
            client.send(f"GET {path} HTTP/1.1\r\nHost: h\r\n{more}Connection: close\r\n\r\n".encode())
            return client.answer()
        finally:
            client.close()


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    with ExitStack() as stack:
        yield Setting(tmp_path, stack)


def test_a_copy_overtakes_a_request_that_hangs(setting: Setting) -> None:
    for _ in range(8):
        assert setting.ask("/two").status == 200
    first, second = setting.peers
    first.answering.clear()
    names = [f"late-{number}" for number in range(2)]
    for name in names:  # a copy takes a turn as well, so the one that hangs has its turn once or twice
        assert setting.ask("/two", f"X-Request-Id: {name}\r\n").body == b"second"
    copied = [name for name in names if setting.gateway.line(name)["attempts"] == 2]
    assert copied
    assert [name for name in first.asked if name in names] == copied
    assert [name for name in second.asked if name in names] == names


def test_a_browser_stays_at_its_peer_until_that_is_gone(setting: Setting) -> None:
    answer = setting.ask("/sticky")
    cookie = answer.text("Set-Cookie").partition(";")[0]
    for _ in range(4):
        again = setting.ask("/sticky", f"Cookie: other=1; {cookie}\r\n")
        assert again.body == answer.body
        assert not again.all(b"Set-Cookie")
    assert {setting.ask("/sticky").body for _ in range(2)} == {b"first", b"second"}
    setting.peers[answer.body == b"second"].close()
    moved = setting.ask("/sticky", f"Cookie: {cookie}\r\n")
    assert moved.body != answer.body
    assert moved.text("Set-Cookie").partition(";")[0] != cookie


def test_a_service_that_stops_to_answer_has_no_more_under_way_than_its_limit(setting: Setting) -> None:
    peer = setting.peers[0]
    peer.answering.clear()
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(setting.ask, "/low" if number % 2 else "/limited") for number in range(12)]
        refused = list(islice(as_completed(asked), 8))  # who is refused is so at once
        peer.answering.set()
    assert {one.result().status for one in refused} == {503}
    assert all(b"upstream-overloaded" in one.result().body for one in refused)
    assert [one.result().status for one in asked].count(200) == len(peer.asked) <= 4
    assert setting.ask("/limited").status == 200
