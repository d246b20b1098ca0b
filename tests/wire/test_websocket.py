"""WebSocket through a real gateway, with the websockets package as client and as service."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGHUP, SIGTERM
from threading import Thread
from time import time
from typing import Any

import pytest
from websockets.asyncio import client as asyncio_client
from websockets.asyncio import server as asyncio_server
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket
from websockets.sync.server import ServerConnection, serve

from tests.authority import Authority, write
from tests.browser import browser
from tests.tokens import SECRET, signed
from tests.wire.gateway import BOUND, Gateway
from tests.wire.server import Server
from tests.wire.sockets import Service, connect

INI = """\
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:chat]
urls = http://127.0.0.1:{port}
max_connections = 2
[route:chat]
path = /chat
service = chat
upgrade = websocket
{more}
[route:plain]
path = /plain
service = chat
"""


class Chat:
    """A service that sends each message back; ``/chat/who`` sends the request's fields first."""

    def __init__(self) -> None:
        self.closed: list[int] = []
        self._server = serve(self._talk, "127.0.0.1", 0, max_size=None)
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _talk(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        if socket.request.path.startswith("/chat/who"):
            socket.send(str(socket.request.headers))
        try:
            while True:
                socket.send(socket.recv())
        except ConnectionClosed as closed:
            self.closed.append(closed.rcvd.code if closed.rcvd is not None else 0)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()


@pytest.fixture
def chat() -> Iterator[Chat]:
    service = Chat()
    yield service
    service.close()


@contextmanager
def running(chat: Chat, directory: Path, more: str = "", rest: str = "", **options: Any) -> Iterator[Gateway]:
    text = INI.format(port=chat.port, more=more) + rest
    with Gateway(directory, text, **options) as gateway:
        yield gateway
        assert gateway.troubles() == []


def socket(gateway: Gateway, path: str = "/chat", **options: Any) -> ClientConnection:
    client: ClientConnection = open_socket(
        f"ws://127.0.0.1:{gateway.ports['public']}{path}", max_size=None, open_timeout=BOUND, **options
    )
    return client


def refusal(gateway: Gateway, path: str = "/chat", **options: Any) -> int:
    """The status of an answer that isn't a 101."""
    with pytest.raises(InvalidStatus) as refused, socket(gateway, path, **options):
        pass
    return int(refused.value.response.status_code)


def closing(client: ClientConnection) -> int | None:
    """Wait for the Close frame. :return: its code."""
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(BOUND)
    return None if closed.value.rcvd is None else closed.value.rcvd.code


def test_messages_of_all_sizes_and_compression_pass_both_ways(chat: Chat, tmp_path: Path) -> None:
    big = random.Random(1).randbytes(8 * 1024**2)
    with running(chat, tmp_path) as gateway:
        with socket(gateway, "/chat/who?a=b") as client:
            assert client.response is not None
            assert client.response.headers["Sec-WebSocket-Extensions"].startswith("permessage-deflate")
            request_id = client.response.headers["x-request-id"]
            seen = client.recv(BOUND)
            assert isinstance(seen, str)
            assert f"x-request-id: {request_id}" in seen.lower()
            for message in ("", "x", "a" * 125, "b" * 126, "c" * 65536, b"", b"\0" * 10**6, big):
                client.send(message)
                assert client.recv(BOUND) == message
            assert client.ping().wait(BOUND)
        line = gateway.line(request_id)
        assert (line["status"], line["error"], line["path"]) == (101, None, "/chat/who?a=*")
        assert line["bytes_in"] > len(big)
        assert line["bytes_out"] > len(big)
    assert chat.closed == [1000]


def test_messages_without_compression(chat: Chat, tmp_path: Path) -> None:
    big = "x" * 3_000_000
    with running(chat, tmp_path) as gateway, socket(gateway, compression=None) as client:
        client.send(big)
        assert client.recv(BOUND) == big
        client.send(iter(["frag", "men", "ts"]))
        assert client.recv(BOUND) == "fragments"


def test_a_drain_says_goodbye(chat: Chat, tmp_path: Path) -> None:
    with running(chat, tmp_path) as gateway, socket(gateway) as client:
        client.send("hi")
        assert client.recv(BOUND) == "hi"
        gateway.signal(SIGTERM)
        assert closing(client) == 1001
        assert gateway.ends() == 0
        [line] = gateway.logged
        assert (line["status"], line["error"]) == (101, "shutting-down")
    assert chat.closed == [1001]


def test_a_reload_leaves_open_what_is_open_and_what_is_counted(chat: Chat, tmp_path: Path) -> None:
    with running(chat, tmp_path, "tunnel.user = 2") as gateway, socket(gateway) as client:
        text = INI.format(port=chat.port, more="tunnel.user = 2\ntunnel.idle = 1h")
        (tmp_path / "gw.ini").write_text(text + "[cors]\norigins = https://app.example\n", encoding="utf-8")
        gateway.signal(SIGHUP)
        gateway.wait(lambda: any("reloaded in" in line for line in gateway.output))
        client.send("still")
        assert client.recv(BOUND) == "still"
        with socket(gateway) as other:
            assert refusal(gateway) == 429
            gateway.signal(SIGTERM)
            assert closing(client) == closing(other) == 1001
        assert gateway.ends() == 0


TOKENS = """
[jwt]
algorithms = HS256
secret_env = JWT_SECRET
token.query = access_token
"""


def token(**claims: Any) -> str:
    return signed({"sub": "ann", **claims}).decode()


def test_tokens_are_needed_and_end_what_they_let_in(chat: Chat, tmp_path: Path) -> None:
    admin = "[admin]\nendpoint = tcp:0:interface=127.0.0.1\n"
    with running(
        chat, tmp_path, "auth = required", TOKENS + admin, environ={"JWT_SECRET": SECRET.decode()}, listeners=2
    ) as gateway:
        assert refusal(gateway) == 401
        header = {"Authorization": f"Bearer {token(exp=time() + 2.0)}"}
        with socket(gateway, "/chat/who", additional_headers=header) as client:
            assert "x-user-id: ann" in str(client.recv(BOUND)).lower()
            assert closing(client) == 4001
        with (
            socket(gateway, f"/chat?access_token={token(jti='one')}") as client,
            socket(gateway, f"/chat?access_token={token(jti='two')}") as other,
        ):
            wire = connect(gateway.ports["admin"])
            body = b'{"jti": "one"}'
            wire.send(b"POST /api/revocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
            wire.send(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            assert wire.answer().status == 201
            assert closing(client) == 4001
            other.send("still here")
            assert other.recv(BOUND) == "still here"
            wire.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            told = wire.answer().body
            assert b'apigw_streams_active{kind="websocket",http_route="chat"} 1\n' in told
            assert b'apigw_streams_opened_total{kind="websocket",http_route="chat"} 3\n' in told
            assert b'apigw_errors_total{http_route="chat",error_type="token-expired"} 1\n' in told
            wire.close()
    assert chat.closed == [4001, 4001, 1000]


def test_tunnels_are_bounded_and_take_no_connections_from_requests(chat: Chat, tmp_path: Path) -> None:
    more = "tunnel.user = 3\ntunnel.route = 10"
    with running(chat, tmp_path, more) as gateway, socket(gateway), socket(gateway):
        with socket(gateway):
            assert refusal(gateway) == 429
        gateway.wait(lambda: any(line["status"] == 101 for line in gateway.logged))
        with socket(gateway) as again:
            again.send("in")
            assert again.recv(BOUND) == "in"


def test_idle_tunnels_end(chat: Chat, tmp_path: Path) -> None:
    with running(chat, tmp_path, "tunnel.idle = 200ms") as gateway, socket(gateway, ping_interval=None) as client:
        assert closing(client) == 1001
        gateway.wait(lambda: gateway.logged)
        assert gateway.logged[0]["error"] == "tunnel-idle-timeout"


def test_pages_of_other_origins_get_no_websocket(chat: Chat, tmp_path: Path) -> None:
    with running(chat, tmp_path, rest="[cors]\norigins = https://app.example\n") as gateway:
        with socket(gateway, origin="https://app.example") as client:
            client.send("x")
            assert client.recv(BOUND) == "x"
        with socket(gateway, origin=f"http://127.0.0.1:{gateway.port}"):
            pass
        assert refusal(gateway, origin="https://evil.example") == 403


def test_without_leave_the_field_goes_no_further(chat: Chat, tmp_path: Path) -> None:
    with running(chat, tmp_path) as gateway:
        assert refusal(gateway, "/plain") == 426


def test_tls_on_both_sides(tmp_path: Path) -> None:
    authority = Authority("root")
    pem = write(tmp_path / "both.pem", authority.issue("localhost"))
    write(tmp_path / "root.pem", authority.pem)
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=tmp_path / "root.pem")
    theirs.load_cert_chain(pem)
    asyncio.run(both_sides(tmp_path, theirs, ours))


async def both_sides(tmp_path: Path, theirs: ssl.SSLContext, ours: ssl.SSLContext) -> None:
    """By asyncio, for Python's TLS sockets aren't made for threads: one that reads loses what another one writes."""
    closed: list[int] = []

    async def talk(socket: asyncio_server.ServerConnection) -> None:
        try:
            while True:
                await socket.send(await socket.recv())
        except ConnectionClosed as over:
            closed.append(over.rcvd.code if over.rcvd is not None else 0)

    big = random.Random(2).randbytes(3_000_000)
    async with asyncio_server.serve(talk, "127.0.0.1", 0, max_size=None, ssl=theirs) as service:
        port = service.sockets[0].getsockname()[1]
        text = INI.format(port=port, more="tunnel.idle = 3s").replace("http://", "https://")
        text = text.replace("max_connections", "tls.server_name = localhost\ntls.ca = root.pem\nmax_connections")
        text = text.replace("interface=127.0.0.1", "interface=127.0.0.1\ntls = yes\ncertificates = both.pem", 1)
        with Gateway(tmp_path, text) as gateway:
            there = asyncio_client.connect(
                f"wss://localhost:{gateway.port}/chat", ssl=ours, max_size=None, open_timeout=BOUND
            )
            async with there as client:
                await client.send(big)
                assert await asyncio.wait_for(client.recv(), BOUND) == big
            await asyncio.to_thread(gateway.wait, lambda: gateway.logged)
            async with there as client:
                await client.send("x")
                assert await asyncio.wait_for(client.recv(), BOUND) == "x"
                gateway.signal(SIGTERM)
                with pytest.raises(ConnectionClosed) as over:
                    await asyncio.wait_for(client.recv(), BOUND)
                assert over.value.rcvd is not None
                assert over.value.rcvd.code == 1001
            assert await asyncio.to_thread(gateway.ends) == 0
            assert [line["error"] for line in gateway.logged] == [None, "shutting-down"]
            assert gateway.troubles() == []
    assert closed == [1000, 1001]


PAGE = """
new Promise(done => {
    const socket = new WebSocket("ws://%s/chat"), got = [];
    socket.onopen = () => { socket.send("a"); socket.send("b".repeat(100000)); };
    socket.onmessage = event => { got.push(event.data.length); if (got.length == 2) socket.close(4321, "enough"); };
    socket.onclose = event => done([event.code, socket.extensions, ...got]);
})
"""


def test_a_page_in_a_browser(chat: Chat, tmp_path: Path) -> None:
    pages = Server()
    pages.body = b"<!doctype html><title>page</title>"
    rest = f"[cors]\norigins = http://app.example.test:{pages.port}\n"
    try:
        with running(chat, tmp_path, rest=rest) as gateway, browser(hosts={"*.test": "127.0.0.1"}) as chromium:
            script = PAGE % f"api.example.test:{gateway.port}"
            page = chromium.page(f"http://app.example.test:{pages.port}/")
            code, extensions, *sizes = page.run(script)
            assert (code, sizes) == (4321, [1, 100000])
            assert extensions.startswith("permessage-deflate")
            evil = chromium.page(f"http://evil.test:{pages.port}/")
            assert evil.run(script) == [1006, ""]
            gateway.wait(lambda: len(gateway.logged) == 2)
            assert [line["status"] for line in gateway.logged] == [101, 403]
    finally:
        pages.close()
    assert chat.closed == [4321]


@pytest.mark.parametrize("upwards", [True, False])
def test_a_side_that_does_not_read_stops_the_other(tmp_path: Path, upwards: bool) -> None:
    service = Service()
    text = INI.format(port=service.port, more="").replace("upgrade = websocket", "upgrade = tcp")
    block = bytes(range(256)) * 256
    with Gateway(tmp_path, text) as gateway:
        client = connect(gateway.port)
        client.send(b"GET /chat HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        there = service.accept()
        there.request()
        there.send(b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n")
        client.head()
        sender, reader = (client, there) if upwards else (there, client)
        before = gateway.resident()
        gateway.forget_peak()
        sender.socket.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 256 * 1024**2:
                sent += sender.socket.send(block[sent % len(block) :])
        assert gateway.peak() - before < 8 * 1024**2
        sender.finish()
        got = 0
        while data := reader.some():
            assert data == (block * (len(data) // len(block) + 2))[got % len(block) :][: len(data)]
            got += len(data)
        assert got == sent
        reader.close()
        client.close()
        gateway.wait(lambda: gateway.logged)
        [line] = gateway.logged
        assert (line["bytes_in"], line["bytes_out"]) == ((sent, 0) if upwards else (0, sent))
        assert gateway.troubles() == []
    service.close()
