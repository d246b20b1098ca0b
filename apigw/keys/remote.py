"""Keys that an issuer publishes at a URL: fetched in the background, renewed, and kept while the issuer is down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from apigw.policy.jwk import MAX_JWKS, Key, KeyRefused, KeyRing, jwks_keys

FETCH_TIMEOUT = 5.0
"""Seconds for the whole of it."""


class FetchFailed(Exception):
    """The text says why; for the log."""


class _Document(Protocol):
    """Gathers a body up to :data:`MAX_JWKS` bytes."""

    def __init__(self, done: Deferred[bytes]) -> None:
        self._done = done
        self._data = bytearray()
        self._over = False

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            return
        self._data += data
        if len(self._data) > MAX_JWKS:
            self._over = True
            self._data.clear()
            self._done.errback(FetchFailed(f"more than {MAX_JWKS} bytes came"))
            if self.transport is not None:
                self.transport.loseConnection()

    def connectionLost(self, reason: Failure = Failure(ResponseDone())) -> None:  # noqa: B008
        if self._over:
            return
        self._over = True
        if reason.check(ResponseDone, PotentialDataLoss):  # of JSON that was cut nothing can be read
            self._done.callback(bytes(self._data))
        else:
            self._done.errback(FetchFailed("the answer was cut"))


class RemoteKeys:
    """
    :param url: of a JSON web key set.
    :param agent: fetches it; treq's client over it keeps no cookies and follows no redirects.
    :param refresh: seconds between fetches.
    :param min_interval: the same at the least, also for tokens with an unknown key and after failures.
    :param changed: called when other keys are there than before.

    :ivar ring: the last good keys.
    :ivar fetches: begun so far.
    :ivar failures: of them.
    """

    _log = Logger()

    def __init__(
        self,
        url: str,
        agent: Any,
        reactor: Any,
        refresh: float,
        min_interval: float,
        changed: Callable[[], object],
    ) -> None:
        self.ring: KeyRing | None = None
        self.fetches = 0
        self.failures = 0
        self._url = url
        self._agent = agent
        self._reactor = reactor
        self._refresh = refresh
        self._min_interval = min_interval
        self._changed = changed
        self._last = float("-inf")
        self._keys: frozenset[tuple[str | None, frozenset[str], bytes]] = frozenset()
        self._waiting: list[Deferred[None]] = []
        self._fetch: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self._running = False

    def start(self) -> None:
        """Fetch now, and from time to time."""
        self._running = True
        self._begin()

    def stop(self) -> None:
        """No more; a fetch that is under way is cancelled."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._fetch is not None:
            self._fetch.cancel()

    def renew(self) -> Deferred[None] | None:
        """One fetch serves all who ask while it is under way; who stops waiting doesn't stop it for the others."""
        if self._fetch is None:
            if not self._running or self._reactor.seconds() - self._last < self._min_interval:
                return None
            self._begin()
            if self._fetch is None:
                return None
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def _begin(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        self._last = self._reactor.seconds()
        self.fetches += 1
        fetch: Deferred[Any] = Deferred.fromCoroutine(self._get())
        fetch.addTimeout(FETCH_TIMEOUT, self._reactor, lambda *_: _raise(FetchFailed("it took too long")))
        self._fetch = fetch.addCallback(self._take).addErrback(self._failed)
        self._fetch.addBoth(self._end)

    async def _get(self) -> bytes:
        client = HTTPClient(self._agent)
        response = await client.get(
            self._url,
            headers=Headers({b"Accept": [b"application/jwk-set+json, application/json"]}),
            cookies={},
            allow_redirects=False,
            unbuffered=True,
        )
        done: Deferred[bytes] = Deferred()
        response.deliverBody(_Document(done))
        document = await done
        if response.code != 200:
            raise FetchFailed(f"status {response.code}")
        return document

    def _take(self, document: bytes) -> None:
        keys = jwks_keys(document)
        seen = frozenset(map(_identity, keys))
        if self.ring is None or seen != self._keys:
            self.ring = KeyRing(keys)
            self._keys = seen
            self._changed()
            self._log.info("{url}: {count} keys", url=self._url, count=len(keys))

    def _failed(self, failure: Failure) -> None:
        self.failures += 1
        if not self._running:
            return
        value = failure.value
        why = str(value) if isinstance(value, FetchFailed | KeyRefused) else type(value).__name__
        kept = "the last good keys stay" if self.ring is not None else "there are no keys yet"
        self._log.warn("{url}: no new keys: {why}; {kept}", url=self._url, why=why, kept=kept)

    def _end(self, _: object) -> None:
        self._fetch = None
        if self._running:
            pause = self._refresh if self.ring is not None else min(self._refresh, self._min_interval)
            self._timer = self._reactor.callLater(max(pause, self._min_interval), self._begin)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)


def _identity(key: Key) -> tuple[str | None, frozenset[str], bytes]:
    """Equal for keys that are the same."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = key.material.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return key.kid, key.algorithms, der


def _raise(error: Exception) -> None:
    raise error
