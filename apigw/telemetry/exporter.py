"""Sends spans to a collector in batches; one that is slow, broken or away costs requests nothing."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, ResponseFailed
from twisted.web.http_headers import Headers

from apigw.outbound import OneTimeConnections
from apigw.task import Task
from apigw.telemetry.span_counts import SpanCounts
from apigw.telemetry.spans import Span, attribute

QUEUE = 4096
"""Spans that wait at most; what comes on top is dropped."""

BATCH = 512
"""Spans that are sent at once."""

EVERY = 2.0
"""Seconds that a span waits for others at most."""

TIMEOUT = 10.0
"""Seconds that the collector has for a batch."""

PAUSES = (1.0, 30.0)
"""Seconds until a batch is tried again: the first time, and at most."""

MOST = 65536
"""Bytes of the collector's answer that are read."""

LAST = 1.0
"""Seconds for what is left at the end."""

AGAIN = frozenset((429, 502, 503, 504))
"""Statuses after which it makes sense to try again (OTLP, section Failures)."""


class _Ignored(Protocol):
    """Takes a body up to a bound. :ivar over: fires at its end; cancelled, it closes the connection."""

    transport: Any

    def __init__(self) -> None:
        self._left = MOST
        self.over: Deferred[None] = Deferred(lambda _: self._close())

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.over.called:
            self.over.callback(None)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()


class SpanExporter:
    """
    OTLP over HTTP, in JSON.

    :param url: where traces are posted.
    :param headers: fields for the collector, such as one that says who this is.
    :param resource: attributes of this gateway.
    """

    _log = Logger()

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        resource: Mapping[str, str],
        counts: SpanCounts,
        reactor: Any,
        policy: Callable[[], Any] = BrowserLikePolicyForHTTPS,
    ) -> None:
        self._url = url
        self._headers = Headers({"Content-Type": ["application/json"], **{k: [v] for k, v in headers.items()}})
        told = [attribute(key, value) for key, value in resource.items()]
        scope = {"name": "apigw", "version": resource.get("service.version", "")}
        self._head = b'{"resourceSpans":[{"resource":{"attributes":%b},"scopeSpans":[{"scope":%b,"spans":[' % (
            _json(told),
            _json(scope),
        )
        self._counts = counts
        self._reactor = reactor
        self._agent = Agent(reactor, policy(), connectTimeout=TIMEOUT, pool=OneTimeConnections(reactor))
        self._waiting: deque[bytes] = deque()
        self._later: IDelayedCall | None = None
        self._sending: Task | None = None
        self._pause = PAUSES[0]
        self._failing = False

    def add(self, number: int, spans: Iterable[Span]) -> None:
        """Takes them if there is room; else they aren't even made. :param number: of them, for who counts."""
        if len(self._waiting) + number > QUEUE:
            self._counts.dropped += number
            return
        self._waiting.extend(map(_json, spans))
        if self._sending is not None or self._failing:
            return
        if len(self._waiting) >= BATCH:
            self._now()
        elif self._later is None:
            self._later = self._reactor.callLater(EVERY, self._now)

    def stop(self) -> Deferred[None]:
        """Send what is left, within :data:`LAST` seconds. :return: fires when that is over."""
        over: Deferred[None] = Deferred()
        if self._sending is not None:
            self._sending.cancel()
        self._cancel()  # last, for what was under way may have wanted to try again
        task = Task(self._rest(over))
        call = self._reactor.callLater(LAST, task.cancel)
        over.addBoth(lambda _: call.cancel() if call.active() else None)
        return over

    async def _rest(self, over: Deferred[None]) -> None:
        try:
            while self._waiting and await self._send():
                pass
        except CancelledError:
            pass
        finally:
            self._counts.dropped += len(self._waiting)
            self._waiting.clear()
            over.callback(None)

    def _now(self) -> None:
        self._cancel()
        if self._sending is None and self._waiting:
            self._sending = Task(self._all())

    def _cancel(self) -> None:
        later, self._later = self._later, None
        if later is not None and later.active():
            later.cancel()

    async def _all(self) -> None:
        try:
            while self._waiting and await self._send():
                pass
        finally:
            self._sending = None
        if self._waiting and self._later is None:
            self._later = self._reactor.callLater(self._pause if self._failing else EVERY, self._now)

    async def _send(self) -> bool:
        """:return: the collector has dealt with a batch."""
        batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        try:
            why = await self._post(batch)
        except CancelledError:
            self._waiting.extendleft(reversed(batch))
            raise
        except Exception as error:
            why = _why(error)
        if not why:
            self._failing = False
            self._pause = PAUSES[0]
            return True
        if not self._failing:
            self._log.warn("spans can't be sent to {url}: {why}", url=self._url, why=why)
        self._failing = True
        self._pause = min(self._pause * 2, PAUSES[1])
        room = QUEUE - len(self._waiting)
        self._counts.dropped += max(0, len(batch) - room)
        self._waiting.extendleft(reversed(batch[:room]))
        return False

    async def _post(self, batch: list[bytes]) -> str:
        """:return: why it should be tried again, empty where it shouldn't."""
        data = self._head + b",".join(batch) + b"]}]}]}"
        asked: Any = HTTPClient(self._agent).post(
            self._url, headers=self._headers, data=data, allow_redirects=False, unbuffered=True
        )
        response = await asked.addTimeout(TIMEOUT, self._reactor)
        ignored = _Ignored()
        response.deliverBody(ignored)
        await ignored.over.addTimeout(TIMEOUT, self._reactor)
        if response.code < 300:
            self._counts.sent += len(batch)
        elif response.code in AGAIN:
            return f"it answers {response.code}"
        else:
            self._counts.dropped += len(batch)
            self._log.warn("{url} refuses spans: {status}", url=self._url, status=response.code)
        return ""


def _why(error: Exception) -> str:
    """In words; treq has a request that was cut as a list of failures."""
    cause = error.reasons[0].value if isinstance(error, ResponseFailed) and error.reasons else error
    if isinstance(cause, CancelledError | TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    return str(cause) or type(cause).__name__


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
