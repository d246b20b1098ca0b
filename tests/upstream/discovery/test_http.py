"""Documents over real connections: what isn't one is refused, in bounded space and time."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.client import Agent
from twisted.web.server import NOT_DONE_YET, Request

from apigw.upstream.discovery.http import BadStatus, get_json
from apigw.upstream.discovery.source import SourceFailed
from tests.upstream.discovery.http_server import HttpServer, never


@pytest_twisted.async_yield_fixture
async def server():
    server = HttpServer(reactor, lambda request: b'{"a": [1]}')
    yield server
    await server.close()


async def fetched(server: HttpServer, most: int = 1000, timeout: float = 10.0) -> Any:
    return await get_json(Agent(reactor), reactor, f"{server.url}/x?y=1", {"A": "b"}, timeout=timeout, most=most)


@pytest_twisted.ensureDeferred
async def test_a_document(server):
    assert await fetched(server) == {"a": [1]}
    [request] = server.requests
    assert request.uri == b"/x?y=1"
    assert request.getHeader("a") == "b"
    assert request.getHeader("user-agent") == "apigw discovery"


@pytest_twisted.ensureDeferred
async def test_cookies_are_not_kept(server):
    def answer(request: Request) -> bytes:
        request.addCookie(b"session", b"secret")
        return b"1"

    server.answer = answer
    await fetched(server)
    await fetched(server)
    assert [request.getHeader("cookie") for request in server.requests] == [None, None]


@pytest.mark.parametrize("status", [204, 302, 404, 500])
@pytest_twisted.ensureDeferred
async def test_other_statuses_are_failures_and_redirects_are_not_followed(server, status):
    def answer(request: Request) -> bytes:
        request.setResponseCode(status)
        request.setHeader("Location", "/elsewhere")
        return b"1"

    server.answer = answer
    with pytest.raises(BadStatus, match=str(status)) as caught:
        await fetched(server)
    assert caught.value.status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 900, b'{"a": 1} x', b"9" * 900 + b"x"])
@pytest_twisted.ensureDeferred
async def test_what_is_no_json_is_a_failure(server, body):
    server.answer = lambda request: body
    with pytest.raises(SourceFailed, match="no JSON"):
        await fetched(server)


@pytest_twisted.ensureDeferred
async def test_json_that_is_nested_too_deep_is_a_failure(server):
    server.answer = lambda request: b"[" * 200_000
    with pytest.raises(SourceFailed, match="no JSON"):
        await fetched(server, most=1_000_000)


def drip(request: Request) -> int:
    """A body that goes on for ever; ends when the other side does."""
    gone: list[object] = []
    request.notifyFinish().addErrback(gone.append)

    def more() -> None:
        if not gone:
            request.write(b" " * 4096)
            reactor.callLater(0, more)

    more()
    return NOT_DONE_YET


@pytest_twisted.ensureDeferred
async def test_a_body_without_end_is_cut_at_the_bound(server):
    server.answer = drip
    with pytest.raises(SourceFailed, match="more than 100000 bytes"):
        await fetched(server, most=100_000)


@pytest_twisted.ensureDeferred
async def test_a_body_without_end_is_cut_in_time(server):
    def stuck(request: Request) -> int:
        request.write(b"[1,")
        return never(request)

    server.answer = stuck
    with pytest.raises(SourceFailed, match=r"no answer in 0\.05 s"):
        await fetched(server, timeout=0.05)


@pytest_twisted.ensureDeferred
async def test_no_answer_at_all(server):
    server.answer = never
    with pytest.raises(SourceFailed, match=r"no answer in 0\.05 s"):
        await fetched(server, timeout=0.05)


@pytest_twisted.ensureDeferred
async def test_nobody_listens(server):
    await server.close()
    with pytest.raises(SourceFailed, match="Connection was refused"):
        await fetched(server)


@pytest_twisted.ensureDeferred
async def test_a_server_that_says_nothing_and_goes(server):
    def gone(request: Request) -> int:
        reactor.callLater(0, request.channel.transport.abortConnection)
        return never(request)

    server.answer = gone
    with pytest.raises(SourceFailed, match=r"127\.0\.0\.1"):
        await fetched(server)


@pytest_twisted.ensureDeferred
async def test_a_cut_body_is_a_failure_even_if_it_is_json(server):
    def cut(request: Request) -> int:
        request.setHeader("Content-Length", "100")
        request.write(json.dumps({"a": 1}).encode())
        reactor.callLater(0, request.channel.transport.loseConnection)
        return never(request)

    server.answer = cut
    with pytest.raises(SourceFailed, match="the answer was cut"):
        await fetched(server)


@pytest_twisted.ensureDeferred
async def test_giving_up_leaves_nothing_behind(server):
    server.answer = never
    fetching = Deferred.fromCoroutine(fetched(server))
    await server.asked
    fetching.cancel()
    with pytest.raises(CancelledError):
        await fetching
