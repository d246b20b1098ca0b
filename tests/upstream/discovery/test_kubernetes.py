"""A small API server on loopback: lists, watches, versions that expire, tokens, certificates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import deferLater
from twisted.web.server import Request

from apigw.upstream.discovery import kubernetes
from apigw.upstream.discovery.kubernetes import AGAIN, MAX_EVENT, SETTLE, KubernetesApi, KubernetesSource
from apigw.upstream.discovery.source import Answer, Found, SourceFailed
from apigw.upstream.discovery.watch import Watch
from tests.authority import Authority, write
from tests.upstream.discovery.api_server import ApiServer, endpoint_slice
from tests.upstream.discovery.http_server import never


@pytest_twisted.async_yield_fixture
async def api():
    server = ApiServer(reactor)
    server.put(endpoint_slice("user-a", "10.0.0.1"))
    yield server
    await server.close()


def source(server: ApiServer, port: str = "http", url: str = "", **access: Any) -> KubernetesSource:
    files = {"token_file": None, "ca_file": None, **access}
    return KubernetesSource(KubernetesApi(reactor, url or server.url, **files), "shop", "user", port, "http", 3, False)


@pytest.fixture
def watching(api):
    """A source whose stream is closed in the end."""
    made = source(api)
    yield made
    made.close()


def hosts(answer: Answer) -> list[str]:
    return [one.host for one in answer.found]


def fetching(source: KubernetesSource) -> Deferred[Answer]:
    return Deferred.fromCoroutine(source.fetch())


@pytest_twisted.ensureDeferred
async def test_the_first_answer_is_the_list(watching):
    answer = await watching.fetch()
    assert answer == Answer(
        (Found(scheme="http", host="10.0.0.1", port=8080, name="user.shop.svc", weight=3),),
        SETTLE,
    )
    assert watching.label == "kubernetes:shop/user"


@pytest_twisted.ensureDeferred
async def test_a_long_list_comes_in_pages(api, watching):
    api.page = 2
    for number in range(2, 6):
        api.put(endpoint_slice(f"user-{number}", f"10.0.0.{number}"))
    assert hosts(await watching.fetch()) == [f"10.0.0.{number}" for number in range(1, 6)]
    assert api.lists == 3


@pytest_twisted.ensureDeferred
async def test_changes_are_told_as_they_come_over_one_watch(api, watching):
    await watching.fetch()
    change = fetching(watching)
    await api.watched
    assert not change.called
    api.put(endpoint_slice("user-b", "10.0.0.2"))
    assert hosts(await change) == ["10.0.0.1", "10.0.0.2"]
    api.put(endpoint_slice("user-a", "10.0.0.3"))
    assert hosts(await watching.fetch()) == ["10.0.0.2", "10.0.0.3"]
    change = fetching(watching)
    api.remove("user-b")
    assert hosts(await change) == ["10.0.0.3"]
    assert api.lists == 1
    assert len(api.watches) == 1


@pytest_twisted.ensureDeferred
async def test_what_happened_between_list_and_watch_is_not_lost(api, watching):
    await watching.fetch()
    api.put(endpoint_slice("user-b", "10.0.0.2"))
    assert hosts(await watching.fetch()) == ["10.0.0.1", "10.0.0.2"]


@pytest_twisted.ensureDeferred
async def test_events_that_change_no_address_are_not_told(api, watching):
    await watching.fetch()
    change = fetching(watching)
    await api.watched
    api.bookmark()
    api.put(endpoint_slice("user-a", "10.0.0.1"))
    api.put(endpoint_slice("user-z"))
    api.put(endpoint_slice("user-b", "10.0.0.2"))
    assert hosts(await change) == ["10.0.0.1", "10.0.0.2"]


@pytest_twisted.ensureDeferred
async def test_a_watch_that_ends_goes_on_where_it_stood(api, watching):
    await watching.fetch()
    change = fetching(watching)
    await api.watched
    api.bookmark()
    api.end()
    assert await change == Answer((await source(api).fetch()).found, AGAIN)
    since = str(api._version)
    change = fetching(watching)
    request = await api.watched
    assert request.args[b"resourceVersion"] == [since.encode()]
    api.put(endpoint_slice("user-b", "10.0.0.2"))
    assert hosts(await change) == ["10.0.0.1", "10.0.0.2"]


@pytest_twisted.ensureDeferred
async def test_a_watch_that_breaks_is_a_failure_and_the_next_one_tells_what_was_missed(api, watching):
    await watching.fetch()
    change = fetching(watching)
    await api.watched
    api.cut()
    with pytest.raises(SourceFailed, match=r"cut|non-clean"):
        await change
    api.put(endpoint_slice("user-b", "10.0.0.2"))
    answer = await watching.fetch()
    while hosts(answer) == ["10.0.0.1"]:  # that the watch is back is told first
        answer = await watching.fetch()
    assert hosts(answer) == ["10.0.0.1", "10.0.0.2"]
    assert api.lists == 1


@pytest_twisted.ensureDeferred
async def test_a_version_that_has_expired_is_listed_again(api, watching):
    await watching.fetch()
    api.put(endpoint_slice("user-b", "10.0.0.2"))
    api.expire()
    assert hosts(await watching.fetch()) == ["10.0.0.1", "10.0.0.2"]
    assert api.lists == 2
    change = fetching(watching)
    await api.watched
    api.remove("user-a")
    assert hosts(await change) == ["10.0.0.2"]


@pytest_twisted.ensureDeferred
async def test_a_version_that_expires_during_the_watch_is_listed_again(api, watching):
    await watching.fetch()
    change = fetching(watching)
    await api.watched
    api._slices["user-b"] = endpoint_slice("user-b", "10.0.0.2")
    api.send(json.dumps({"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}).encode() + b"\n")
    assert hosts(await change) == ["10.0.0.1", "10.0.0.2"]
    assert api.lists == 2


@pytest_twisted.ensureDeferred
async def test_what_expires_as_soon_as_it_is_listed_is_a_failure(api, watching):
    await watching.fetch()
    api.compacted = 10**9
    with pytest.raises(SourceFailed, match="too old at once"):
        while True:
            await watching.fetch()
    assert api.lists <= 3


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"{\n", "no JSON"),
        (b"[]\n", "'type'"),
        (b'{"type": "ERROR", "object": {"code": 500, "message": "etcd"}}\n', "etcd"),
        (b'{"type": "ADDED", "object": {"metadata": {"resourceVersion": "1"}}}\n', "'name'"),
        (b" " * (MAX_EVENT + 1), f"more than {MAX_EVENT} bytes"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_event_ends_the_watch(api, watching, sent, told):
    await watching.fetch()
    change = fetching(watching)
    request = await api.watched
    gone = request.notifyFinish()
    api.send(sent)
    with pytest.raises(SourceFailed, match=told):
        await change
    with pytest.raises(Exception, match="Connection"):
        await gone
    assert hosts(await watching.fetch()) == ["10.0.0.1"]


@pytest_twisted.ensureDeferred
async def test_events_in_pieces(api, watching):
    await watching.fetch()
    change = fetching(watching)
    await api.watched
    document = {**endpoint_slice("user-b", "10.0.0.2"), "metadata": {"name": "user-b", "resourceVersion": "999"}}
    event = json.dumps({"type": "ADDED", "object": document}).encode() + b"\n"
    for place in range(0, len(event), 7):
        api.send(event[place : place + 7])
    assert hosts(await change) == ["10.0.0.1", "10.0.0.2"]


@pytest_twisted.ensureDeferred
async def test_a_watch_that_never_ends_counts_as_broken(api, watching, monkeypatch):
    monkeypatch.setattr(kubernetes, "WATCH_FOR", 0)
    monkeypatch.setattr(kubernetes, "GRACE", 0.05)
    await watching.fetch()
    with pytest.raises(SourceFailed, match="didn't end in time"):
        await watching.fetch()


@pytest_twisted.ensureDeferred
async def test_the_token_is_read_for_each_request(api, tmp_path):
    api.token = "first"
    token = tmp_path / "token"
    token.write_text("first\n")
    made = source(api, token_file=str(token))
    await made.fetch()
    api.token = "second"
    with pytest.raises(SourceFailed, match="status 401"):
        await made.fetch()
    token.write_text("second")
    await made.fetch()
    made.close()
    token.write_bytes(b"\xff")
    with pytest.raises(SourceFailed, match="can't be read"):
        await made.fetch()


@pytest_twisted.ensureDeferred
async def test_only_a_server_without_tls_is_asked_without_the_token_that_is_missing(api, tmp_path):
    missing = str(tmp_path / "token")
    await source(api, token_file=missing).fetch()
    with pytest.raises(SourceFailed, match="token can't be read"):
        await source(api, url=api.url.replace("http:", "https:"), token_file=missing).fetch()
    assert len(api.requests) == 1


@pytest_twisted.async_yield_fixture
async def secure(tmp_path: Path):
    authority = Authority("cluster")
    server = ApiServer(reactor, PrivateCertificate.loadPEM(authority.issue("localhost")))
    server.put(endpoint_slice("user-a", "10.0.0.1"))
    yield server, write(tmp_path / "ca.crt", authority.pem)
    await server.close()


@pytest_twisted.ensureDeferred
async def test_the_certificate_of_the_server_is_verified(secure, tmp_path):
    server, ca = secure
    url = server.url.replace("127.0.0.1", "localhost")
    assert hosts(await source(server, url=url, ca_file=ca).fetch()) == ["10.0.0.1"]
    other = write(tmp_path / "other.crt", Authority("other").pem)
    for where, file in ((url, other), (server.url, ca), (url, None)):
        with pytest.raises(SourceFailed):
            await source(server, url=where, ca_file=file).fetch()
    assert server.lists == 1


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nx"])
@pytest_twisted.ensureDeferred
async def test_a_file_without_authorities_is_a_failure(api, tmp_path, content):
    file = tmp_path / "ca.crt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SourceFailed, match=r"ca\.crt"):
        await source(api, url=api.url.replace("http:", "https:"), ca_file=str(file)).fetch()
    assert not api.requests


@pytest_twisted.ensureDeferred
async def test_a_port_that_is_not_there_fails_until_it_is(api):
    made = source(api, port="grpc")
    with pytest.raises(SourceFailed, match="no port grpc, but http=8080"):
        await made.fetch()
    change = fetching(made)
    await api.watched
    api.put(endpoint_slice("user-a", "10.0.0.1", ports=[{"name": "grpc", "port": 9}]))
    assert [(one.host, one.port) for one in (await change).found] == [("10.0.0.1", 9)]
    made.close()


@pytest.mark.parametrize("document", [[], {}, {"items": [], "metadata": None}, {"items": 1, "metadata": {}}])
@pytest_twisted.ensureDeferred
async def test_what_is_no_list(api, document):
    api.answer = lambda request: json.dumps(document).encode()
    with pytest.raises(SourceFailed, match="gives no list"):
        await source(api).fetch()


@pytest_twisted.ensureDeferred
async def test_pages_without_end_are_a_failure(api, monkeypatch):
    monkeypatch.setattr(kubernetes, "MAX_PAGES", 3)
    endless = {"items": [], "metadata": {"resourceVersion": "1", "continue": "x"}}
    api.answer = lambda request: json.dumps(endless).encode()
    with pytest.raises(SourceFailed, match="without end"):
        await source(api).fetch()
    assert len(api.requests) == 3


@pytest_twisted.ensureDeferred
async def test_a_server_that_does_not_begin_to_answer(api, monkeypatch):
    monkeypatch.setattr(kubernetes, "TIMEOUT", 0.05)
    made = source(api)
    respond, api.answer = api.answer, never
    with pytest.raises(SourceFailed, match="no answer"):
        await made.fetch()
    api.answer = respond
    await made.fetch()
    api.answer = never
    with pytest.raises(SourceFailed, match="no answer"):
        await made.fetch()


@pytest_twisted.ensureDeferred
async def test_giving_up_closes_the_watch(api):
    made = source(api)
    await made.fetch()
    change = fetching(made)
    request: Request = await api.watched
    gone = request.notifyFinish()
    change.cancel()
    with pytest.raises(CancelledError):
        await change
    with pytest.raises(Exception, match="Connection"):
        await gone


async def until(holds: Callable[[], object]) -> None:
    """Let the reactor go round until it is so."""
    while not holds():
        await deferLater(reactor, 0)


@pytest_twisted.ensureDeferred
async def test_scaled_to_nothing_and_back(api, monkeypatch):
    """Under the watch that drives it: the last addresses stay, and the next ones come as soon as they are there."""
    monkeypatch.setattr("apigw.upstream.discovery.watch.FIRST_RETRY", 0.01)
    lists: list[list[str]] = []
    watch = Watch(
        "user", source(api), lambda found: lists.append([one.host for one in found]), reactor, monotonic, Random(1)
    )
    watch.startService()
    await api.watched
    api.put(endpoint_slice("user-a"))
    await until(lambda: watch.failing_since)
    assert watch.last_error == "found no address"
    assert lists == [["10.0.0.1"]]
    api.put(endpoint_slice("user-a", "10.0.0.2"))
    await until(lambda: watch.failing_since is None)
    assert lists == [["10.0.0.1"], ["10.0.0.2"]]
    assert (watch.failures, api.lists) == ({"empty": 1}, 1)
    await watch.stopService()
