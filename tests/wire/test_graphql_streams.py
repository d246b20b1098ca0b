"""Subscriptions through a real gateway: graphql-transport-ws over WebSocket, and event streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from graphql import ExecutionResult, build_schema, parse, subscribe
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.tokens import SECRET, signed
from tests.wire.gateway import Gateway
from tests.wire.sockets import Service, connect

PROTOCOL = Subprotocol("graphql-transport-ws")

SCHEMA = build_schema("type Query { hello: String } type Subscription { ticks(to: Int!): Int }")

INI = """\
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:graph]
urls = http://127.0.0.1:{port}
[jwt]
secret_env = JWT_SECRET
[graphql]
service = graph
auth = required
{more}
"""

ENVIRON = {"JWT_SECRET": SECRET.decode()}


class Root:
    async def ticks(self, _: object, to: int) -> AsyncIterator[dict[str, int]]:
        for number in range(to):
            yield {"ticks": number}


async def _results(payload: dict[str, Any]) -> list[Any]:
    found = subscribe(SCHEMA, parse(payload["query"]), Root(), variable_values=payload.get("variables"))
    if not isinstance(found, ExecutionResult | AsyncIterator):
        found = await found
    if isinstance(found, ExecutionResult):
        return [found.formatted]
    return [result.formatted async for result in found]


class Subscriptions:
    """
    A service of the protocol graphql-transport-ws.

    Source: enisdenjo/graphql-ws, PROTOCOL.md.

    :ivar heard: messages in order.
    """

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self._server = serve(self._talk, "127.0.0.1", 0, subprotocols=[PROTOCOL])
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _talk(self, socket: ServerConnection) -> None:
        for text in socket:
            message = json.loads(text)
            self.heard.append(message)
            if message["type"] == "connection_init":
                socket.send('{"type": "connection_ack"}')
            elif message["type"] == "subscribe":
                for result in asyncio.run(_results(message["payload"])):
                    socket.send(json.dumps({"id": message["id"], "type": "next", "payload": result}))
                socket.send(json.dumps({"id": message["id"], "type": "complete"}))

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()


@pytest.fixture
def there() -> Iterator[Subscriptions]:
    service = Subscriptions()
    yield service
    service.close()


def opened(port: int, query: str = "") -> ClientConnection:
    headers = {"Authorization": f"Bearer {signed().decode()}"}
    return open_socket(f"ws://127.0.0.1:{port}/graphql{query}", subprotocols=[PROTOCOL], additional_headers=headers)


@pytest.mark.parametrize("more", ["upgrade = websocket", "upgrade = websocket\nmax_depth = 3\ncost_unit = 100"])
def test_subscriptions_over_websocket(there: Subscriptions, tmp_path: Path, more: str) -> None:
    with Gateway(tmp_path, INI.format(port=there.port, more=more), environ=ENVIRON) as gateway:
        with opened(gateway.port) as socket:
            assert socket.subprotocol == PROTOCOL
            socket.send('{"type": "connection_init"}')
            assert json.loads(socket.recv()) == {"type": "connection_ack"}
            payload = {"query": "subscription($n: Int!) { ticks(to: $n) }", "variables": {"n": 3}}
            socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
            heard = [json.loads(socket.recv()) for _ in range(4)]
            assert [one["payload"]["data"]["ticks"] for one in heard[:3]] == [0, 1, 2]
            assert heard[3] == {"id": "1", "type": "complete"}
        with pytest.raises(InvalidStatus) as caught:
            open_socket(f"ws://127.0.0.1:{gateway.port}/graphql", subprotocols=[PROTOCOL])
        assert caught.value.response.status_code == 401
        gateway.wait(lambda: len(gateway.logged) == 2)
        tunnel = next(line for line in gateway.logged if line["status"] == 101)
        assert tunnel["route"] == "graphql"
        assert tunnel["bytes_out"] > 0


@pytest.mark.parametrize(
    ("query", "code", "error"),
    [
        ("subscription { ticks(to: 1) { a { b { c } } } }", 4400, "graphql-depth"),
        ("{ __schema { types { name } } }", 4400, "graphql-introspection"),
        ("subscription { secret }", 4403, "graphql-forbidden"),
    ],
)
def test_what_is_asked_for_in_a_tunnel_is_read(
    there: Subscriptions, tmp_path: Path, query: str, code: int, error: str
) -> None:
    config = INI.format(port=there.port, more="upgrade = websocket\nmax_depth = 3\nroles = *.secret: admin")
    with Gateway(tmp_path, config, environ=ENVIRON) as gateway:
        with opened(gateway.port) as socket:
            assert socket.response is not None
            assert "Sec-WebSocket-Extensions" not in socket.response.headers
            socket.send(['{"type": ', '"connection_init"}'])
            assert json.loads(socket.recv()) == {"type": "connection_ack"}
            assert socket.ping().wait(10)
            allowed = {"id": "1", "type": "subscribe", "payload": {"query": "subscription { ticks(to: 1) }"}}
            socket.send(json.dumps({**allowed, "more": "x" * 100_000}))
            assert json.loads(socket.recv())["payload"] == {"data": {"ticks": 0}}
            assert json.loads(socket.recv())["type"] == "complete"
            socket.send(json.dumps({"id": "2", "type": "subscribe", "payload": {"query": query}}))
            with pytest.raises(ConnectionClosed) as caught:
                socket.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == code
        gateway.wait(lambda: gateway.logged)
        assert gateway.logged[0]["error"] == error
    assert [message["type"] for message in there.heard] == ["connection_init", "subscribe"]


def test_what_is_asked_for_in_a_tunnel_counts_by_its_cost(there: Subscriptions, tmp_path: Path) -> None:
    """The handshake and two operations of 20 are worth 41 requests of 50."""
    more = "upgrade = websocket\ncost_unit = 1\nmax_cost = 40\n[limits]\nip = 1000/m\nuser = 50/m burst 50"
    with Gateway(tmp_path, INI.format(port=there.port, more=more), environ=ENVIRON) as gateway:
        with opened(gateway.port) as socket:
            query = "subscription { ticks(to: 0, first: 19) { a } }"
            ask = {"id": "1", "type": "subscribe", "payload": {"query": query}}
            for _ in range(2):
                socket.send(json.dumps(ask))
                assert json.loads(socket.recv())["type"] == "complete"
            socket.send(json.dumps(ask))
            with pytest.raises(ConnectionClosed) as caught:
                socket.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 4429
        gateway.wait(lambda: gateway.logged)
        assert gateway.logged[0]["error"] == "rate-limited"
    assert len(there.heard) == 2


@pytest.mark.parametrize(("more", "status"), [("", 426), ("firewall = yes", 400)])
def test_no_upgrade_where_it_is_not_allowed(there: Subscriptions, tmp_path: Path, more: str, status: int) -> None:
    """The service gets a plain GET, and the firewall one without a query."""
    with Gateway(tmp_path, INI.format(port=there.port, more=more), environ=ENVIRON) as gateway:
        with pytest.raises(InvalidStatus) as caught:
            opened(gateway.port)
        assert caught.value.response.status_code == status


def test_an_upgrade_asks_for_nothing_else(there: Subscriptions, tmp_path: Path) -> None:
    """A service that takes no WebSocket might answer it as a plain GET."""
    config = INI.format(port=there.port, more="upgrade = websocket\nfirewall = yes")
    with Gateway(tmp_path, config, environ=ENVIRON) as gateway:
        with pytest.raises(InvalidStatus) as caught:
            opened(gateway.port, "?query=%7B__schema%7Btypes%7Bname%7D%7D%7D")
        assert caught.value.response.status_code == 400
        with opened(gateway.port, "?tenant=1") as socket:
            assert socket.subprotocol == PROTOCOL


def test_subscriptions_as_event_streams(tmp_path: Path) -> None:
    service = Service()
    body = json.dumps({"query": "subscription { ticks(to: 2) }"}).encode()
    with Gateway(tmp_path, INI.format(port=service.port, more="firewall = yes"), environ=ENVIRON) as gateway:
        wire = connect(gateway.port)
        wire.send(
            b"POST /graphql HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b" % (signed(), len(body), body)
        )
        peer = service.accept()
        assert peer.request().body == body
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert wire.head().status == 200
        for number in range(2):
            event = b'event: next\ndata: {"data": {"ticks": %d}}\n\n' % number
            peer.send(b"%x\r\n%b\r\n" % (len(event), event))
            assert event in wire.until(b"}}\n\n\r\n")
        peer.send(b"0\r\n\r\n")
        wire.until(b"0\r\n\r\n")
        wire.close()
        peer.close()
    service.close()
