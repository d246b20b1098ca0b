"""Key sets over a real treq client, whose agent is a test's."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer

from apigw.keys.remote import FETCH_TIMEOUT, RemoteKeys
from tests.tokens import jwk, key_set

OLD = key_set(jwk("ed", "old"))
NEW = key_set(jwk("ed", "old"), jwk("p256", "new"))


@implementer(IResponse)
class Answer:
    version = (b"HTTP", 1, 1)
    phrase = b""
    previousResponse = None

    def __init__(self, body: bytes, code: int, headers: Headers) -> None:
        self.body = body
        self.code = code
        self.headers = headers
        self.length = len(body)
        self.request: Any = None

    def deliverBody(self, protocol: Any) -> None:
        protocol.makeConnection(None)
        for start in range(0, len(self.body), 65536):
            protocol.dataReceived(self.body[start : start + 65536])
        protocol.connectionLost(Failure(ResponseDone()))

    def setPreviousResponse(self, response: Any) -> None:
        self.previousResponse = response


@implementer(IAgent)
class Issuer:
    """:ivar asked: requests that wait for an answer, with their fields."""

    def __init__(self) -> None:
        self.asked: list[tuple[Deferred[Any], Headers]] = []
        self.cancelled = 0

    def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Deferred[Any]:
        assert (method, uri) == (b"GET", b"http://issuer/keys")
        asked: Deferred[Any] = Deferred(self._cancel)
        self.asked.append((asked, headers))
        return asked

    def _cancel(self, _: object) -> None:
        self.cancelled += 1

    def answer(self, body: bytes, code: int = 200, **fields: str) -> None:
        [(asked, _)] = self.asked
        self.asked.clear()
        asked.callback(Answer(body, code, Headers({name: [value] for name, value in fields.items()})))

    def fail(self) -> None:
        [(asked, _)] = self.asked
        self.asked.clear()
        asked.errback(Failure(ConnectionRefusedError()))


def begin() -> tuple[RemoteKeys, Issuer, Clock, list[None]]:
    clock, issuer, changes = Clock(), Issuer(), []
    keys = RemoteKeys("http://issuer/keys", issuer, clock, 300, 10, lambda: changes.append(None))
    keys.start()
    return keys, issuer, clock, changes


def names(keys: RemoteKeys) -> set[str | None]:
    assert keys.ring is not None
    return {key.kid for key in keys.ring.keys}


def test_keys_are_fetched_and_renewed() -> None:
    keys, issuer, clock, changes = begin()
    assert keys.ring is None
    issuer.answer(OLD)
    assert names(keys) == {"old"}
    clock.advance(299)
    assert issuer.asked == []
    clock.advance(1)
    issuer.answer(OLD)
    assert len(changes) == 1
    clock.advance(300)
    issuer.answer(NEW)
    assert names(keys) == {"old", "new"}
    assert len(changes) == 2


def test_the_last_good_keys_stay_whatever_comes() -> None:
    keys, issuer, clock, changes = begin()
    issuer.answer(OLD)
    for body, code in ((b"", 200), (b"{}", 200), (NEW, 500), (NEW, 302), (b" " * 2**21, 200)):
        clock.advance(300)
        issuer.answer(body, code, Location="http://else/")
    clock.advance(300)
    issuer.fail()
    clock.advance(300)
    clock.advance(FETCH_TIMEOUT)
    assert issuer.cancelled == 1
    assert names(keys) == {"old"}
    assert len(changes) == 1
    assert keys.failures == 7


def test_while_there_are_no_keys_they_are_asked_for_more_often() -> None:
    keys, issuer, clock, _ = begin()
    issuer.fail()
    clock.advance(10)
    issuer.answer(OLD)
    assert names(keys) == {"old"}


def test_one_fetch_for_all_who_miss_a_key_and_not_too_often() -> None:
    keys, issuer, clock, _ = begin()
    issuer.answer(OLD)
    clock.advance(9)
    assert keys.renew() is None
    clock.advance(1)
    done: list[str] = []
    for name in ("a", "b", "c"):
        waiting = keys.renew()
        assert waiting is not None
        waiting.addCallbacks(
            lambda _, name=name: done.append(name), lambda failure: failure.trap(CancelledError) and None
        )
        if name == "b":
            waiting.cancel()
    assert len(issuer.asked) == 1
    issuer.answer(NEW)
    assert done == ["a", "c"]
    assert names(keys) == {"old", "new"}
    assert keys.renew() is None
    clock.advance(300)
    assert len(issuer.asked) == 1


def test_no_cookie_is_kept() -> None:
    _, issuer, clock, _ = begin()
    issuer.answer(OLD, **{"Set-Cookie": "a=b; Path=/"})
    clock.advance(300)
    [(_, headers)] = issuer.asked
    assert not headers.hasHeader("Cookie")


def test_a_stop_leaves_nothing_behind() -> None:
    keys, issuer, clock, _ = begin()
    waiting = keys.renew()
    assert waiting is not None
    keys.stop()
    assert issuer.cancelled == 1
    assert waiting.called
    assert keys.renew() is None
    keys, issuer, clock, _ = begin()
    issuer.answer(OLD)
    keys.stop()
    assert clock.getDelayedCalls() == []
