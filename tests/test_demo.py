"""The embedded demo services, over real connections."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import Agent

from apigw.demo import MAX_ECHO, MAX_USERS, DemoService, tour


class Wire(Protocol):
    """A bare connection: what came so far, and Deferreds for what is to come."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Deferred[None] = Deferred()
        self._awaited: tuple[bytes, Deferred[bytes]] | None = None

    def until(self, mark: bytes) -> Deferred[bytes]:
        """Fires with all that came, once ``mark`` is in it."""
        self._awaited = mark, Deferred()
        fires = self._awaited[1]
        self.dataReceived(b"")
        return fires

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if self._awaited is not None and self._awaited[0] in self.received:
            fires = self._awaited[1]
            self._awaited = None
            fires.callback(self.received)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.lost.callback(None)


class Demo:
    """A running service and a client for it."""

    def __init__(self, name: str) -> None:
        self.service = DemoService(reactor, name)
        self.port = self.service.listen()
        self.service.startService()
        self._client = HTTPClient(Agent(reactor))

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
        """Status, headers and the JSON of an answer."""
        response = await self._client.request(method, f"http://127.0.0.1:{self.port}{path}", **options)
        body = await response.content()
        return response.code, response.headers, await response.json() if body else None

    async def wire(self, data: bytes) -> Wire:
        """A bare connection on which ``data`` was sent."""
        wire = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port), Wire())
        wire.transport.write(data)
        return wire


async def _running(name: str) -> AsyncIterator[Demo]:
    demo = Demo(name)
    yield demo
    await demo.service.stopService()


@pytest_twisted.async_yield_fixture
async def user() -> AsyncIterator[Demo]:
    async for demo in _running("user"):
        yield demo


@pytest_twisted.async_yield_fixture
async def ai() -> AsyncIterator[Demo]:
    async for demo in _running("ai"):
        yield demo


@pytest_twisted.async_yield_fixture
async def music() -> AsyncIterator[Demo]:
    async for demo in _running("music"):
        yield demo


@pytest_twisted.ensureDeferred
async def test_users_are_listed_and_found(user: Demo) -> None:
    status, headers, answer = await user.ask("GET", "/users")
    assert status == 200
    assert headers.getRawHeaders("content-type") == ["application/json"]
    assert {"id": 7, "name": "Grace"} in answer["users"]
    assert (await user.ask("GET", "/users/7"))[::2] == (200, {"id": 7, "name": "Grace"})


@pytest_twisted.ensureDeferred
async def test_a_new_user_is_kept(user: Demo) -> None:
    status, headers, answer = await user.ask("POST", "/users", json={"name": "Hedy"})
    assert (status, answer) == (201, {"id": 8, "name": "Hedy"})
    assert headers.getRawHeaders("location") == ["users/8"]
    assert (await user.ask("GET", "/users/8"))[2] == answer


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"name": 3}', b'{"name": ""}', b"\xff"])
@pytest_twisted.ensureDeferred
async def test_a_wrong_new_user_is_refused(user: Demo, body: bytes) -> None:
    status, _, answer = await user.ask("POST", "/users", data=body)
    assert status == 400
    assert answer["error"]


@pytest_twisted.ensureDeferred
async def test_there_is_room_for_so_many_users_only(user: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_USERS >= 100
    monkeypatch.setattr("apigw.demo.MAX_USERS", 7)
    assert (await user.ask("POST", "/users", json={"name": "Hedy"}))[0] == 507


@pytest.mark.parametrize("path", ["/", "/users/0", "/users/x", "/users/7/x", "/users/99999999999", "/users/", "/x"])
@pytest_twisted.ensureDeferred
async def test_other_paths_are_not_found(user: Demo, path: str) -> None:
    assert (await user.ask("GET", path))[0] == 404


@pytest_twisted.ensureDeferred
async def test_a_wrong_method_is_told_the_right_ones(music: Demo) -> None:
    status, headers, _ = await music.ask("DELETE", "/music/upload")
    assert status == 405
    assert headers.getRawHeaders("allow") == ["POST, PUT"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
@pytest_twisted.ensureDeferred
async def test_the_echo_shows_what_arrived(ai: Demo, method: str) -> None:
    sent = f"{method} /ai/echo?x=[1]& HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 5\r\n\r\nhello"
    wire = await ai.wire(sent.encode())
    head, _, body = (await wire.until(b"}")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert f'"method": "{method}", "path": "/ai/echo?x=[1]&"'.encode() in body
    assert b'["X-A", "1"], ["X-A", "2"]' in body
    assert b'"body_bytes": 5, "body": "hello"' in body


@pytest_twisted.ensureDeferred
async def test_the_echo_gives_back_the_beginning_of_a_large_body(ai: Demo) -> None:
    _, _, answer = await ai.ask("POST", "/ai/echo", data=b"x" * (MAX_ECHO + 1))
    assert answer["body_bytes"] == MAX_ECHO + 1
    assert answer["body"] == "x" * MAX_ECHO


@pytest_twisted.ensureDeferred
async def test_a_stream_comes_in_chunks(ai: Demo) -> None:
    wire = await ai.wire(b"GET /ai/stream?n=3&interval=0 HTTP/1.1\r\nHost: h\r\n\r\n")
    head, _, body = (await wire.until(b"\r\n0\r\n\r\n")).partition(b"\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked" in head
    assert body == b"d\r\ntoken 1 of 3\n\r\nd\r\ntoken 2 of 3\n\r\nd\r\ntoken 3 of 3\n\r\n0\r\n\r\n"


@pytest_twisted.ensureDeferred
async def test_a_stream_is_events_for_who_asks_for_those(ai: Demo) -> None:
    wire = await ai.wire(b"GET /ai/stream?n=1 HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n")
    await wire.lost
    assert b"\r\nContent-Type: text/event-stream\r\n" in wire.received
    assert wire.received.endswith(b"\r\n\r\nid: 1\ndata: token 1 of 1\n\n")


@pytest_twisted.ensureDeferred
async def test_a_stream_sends_each_line_at_once_and_ends_with_its_client(ai: Demo) -> None:
    """The second line would be a minute away; a timer that stayed would fail the test afterwards."""
    wire = await ai.wire(b"GET /ai/stream?n=2&interval=60 HTTP/1.1\r\nHost: h\r\n\r\n")
    await wire.until(b"token 1 of 2\n")
    wire.transport.loseConnection()
    await wire.lost


@pytest_twisted.ensureDeferred
async def test_a_stream_waits_for_a_slow_client_and_comes_whole(ai: Demo) -> None:
    wire = await ai.wire(b"")
    wire.transport.pauseProducing()
    wire.transport.write(b"GET /ai/stream?n=20000&interval=0 HTTP/1.0\r\n\r\n")
    reading: Deferred[None] = Deferred()
    reactor.callLater(0, reading.callback, None)
    await reading
    wire.transport.resumeProducing()
    await wire.lost
    assert wire.received.count(b"token ") == 20_000


@pytest_twisted.ensureDeferred
async def test_a_head_of_a_stream_has_no_lines(ai: Demo) -> None:
    assert (await ai.ask("HEAD", "/ai/stream?interval=60"))[::2] == (200, None)


@pytest.mark.parametrize("query", ["n=x", "n=-1", "n=nan", "interval=61", "n=1e9"])
@pytest_twisted.ensureDeferred
async def test_a_stream_of_a_wrong_kind_is_refused(ai: Demo, query: str) -> None:
    status, _, answer = await ai.ask("GET", f"/ai/stream?{query}")
    assert status == 400
    assert "must be a number from 0 to" in answer["error"]


@pytest_twisted.ensureDeferred
async def test_a_slow_answer_takes_its_time(ai: Demo) -> None:
    before = reactor.seconds()
    assert (await ai.ask("GET", "/ai/slow?ms=50"))[::2] == (200, {"waited_ms": 50})
    assert reactor.seconds() - before > 0.045


@pytest_twisted.ensureDeferred
async def test_a_slow_answer_ends_with_its_client(ai: Demo) -> None:
    wire = await ai.wire(b"GET /ai/slow?ms=60000 HTTP/1.1\r\nHost: h\r\n\r\n")
    wire.transport.loseConnection()
    await wire.lost


@pytest.mark.parametrize("status", [200, 204, 304, 404, 503])
@pytest_twisted.ensureDeferred
async def test_a_status_comes_as_asked_for(ai: Demo, status: int) -> None:
    answer = {"status": status} if status not in (204, 304) else None
    assert (await ai.ask("GET", f"/ai/status/{status}"))[::2] == (status, answer)


@pytest.mark.parametrize("status", ["199", "600", "x", ""])
@pytest_twisted.ensureDeferred
async def test_what_is_no_status_is_refused(ai: Demo, status: str) -> None:
    assert (await ai.ask("GET", f"/ai/status/{status}"))[0] == 400


@pytest.mark.parametrize("size", [0, 1, 300_000])
@pytest_twisted.ensureDeferred
async def test_an_upload_is_counted(music: Demo, size: int) -> None:
    sent = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    status, _, answer = await music.ask("PUT", "/music/upload", data=sent)
    assert status == 200
    assert answer == {"bytes": size, "sha256": hashlib.sha256(sent).hexdigest()}


@pytest_twisted.ensureDeferred
async def test_tracks_are_listed(music: Demo) -> None:
    status, _, answer = await music.ask("GET", "/music/tracks")
    assert status == 200
    assert [track["id"] for track in answer["tracks"]] == [1, 2, 3]


@pytest_twisted.ensureDeferred
async def test_a_stop_cuts_what_is_open(ai: Demo) -> None:
    wire = await ai.wire(b"GET /ai/stream?n=2&interval=60 HTTP/1.1\r\nHost: h\r\n\r\n")
    await wire.until(b"token 1")
    await ai.service.stopService()
    await wire.lost


@pytest_twisted.ensureDeferred
async def test_a_service_that_never_listened_stops() -> None:
    await DemoService(reactor, "user").stopService()


def test_there_are_three_services() -> None:
    with pytest.raises(ValueError, match="user, ai, music"):
        DemoService(reactor, "video")


def test_the_tour_leads_through_the_gateway() -> None:
    for line in tour("http://localhost:8080"):
        words = shlex.split(line)
        assert "curl" in words
        (url,) = [word for word in words if word.startswith("http://localhost:8080/api/v1/")]
        assert "-g" in words or not set("[]{}") & set(url), "curl takes these for patterns"
