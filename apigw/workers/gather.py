"""Admin requests are put to all workers, and answered with what they say together."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from io import BytesIO
from typing import Any

from attrs import frozen
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred, DeferredList, DeferredLock
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger
from twisted.web.client import Agent, FileBodyProducer, readBody
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from apigw.admin.bodies import collected
from apigw.admin.done import EFFECTLESS, Asking, Done
from apigw.admin.health import READ, answer
from apigw.dates import HttpDate
from apigw.errors import UpstreamUnavailable
from apigw.messages import Exchange, Response, field_value
from apigw.outbound import OneTimeConnections
from apigw.telemetry.exposition import CONTENT_TYPE, lines
from apigw.workers.merge import Ledger, merge
from apigw.workers.process import WorkerProcess
from apigw.workers.revoked import Known
from apigw.workers.together import COMBINED

PATIENCE = 5.0
"""Seconds that a worker has for its answer; one that hangs doesn't keep the others' from being told."""

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a request; what an operation takes at most it says itself."""


@frozen
class Told:
    """What one worker has answered."""

    worker: WorkerProcess
    status: int
    reason: bytes
    type: str
    body: bytes


class Gather:
    """
    What all of the admin listener answers.

    :param workers: those that answer now.
    :param own: paths that the supervisor answers itself.
    :param registry: of the supervisor's own metrics.
    :param done: what else operators have done.
    :param known: revocations, which new workers get as they are.
    :param changes: held while workers are told to change something: all are told in one order, and whoever starts has
        been told all before it.
    """

    _log = Logger()

    def __init__(
        self,
        workers: Callable[[], Sequence[WorkerProcess]],
        own: dict[bytes, Callable[[Exchange], Awaitable[Response]]],
        registry: CollectorRegistry,
        ledger: Ledger,
        reactor: Any,
        date: HttpDate,
        known: Known,
        done: Done,
        changes: DeferredLock,
    ) -> None:
        self._workers = workers
        self._own = own
        self._registry = registry
        self._ledger = ledger
        self._reactor = reactor
        self._date = date
        self._known = known
        self._changes = changes
        self._done = done

    async def __call__(self, exchange: Exchange) -> Response:
        """:raises UpstreamUnavailable: no worker answers."""
        own = self._own.get(exchange.request.path)
        if own is not None:
            return await own(exchange)
        body = await collected(exchange, MAX_BODY)
        request = exchange.request
        kind = field_value(request.fields, b"content-type")
        asking = (request.method, request.path + request.query, kind, body)
        if request.method in READ or asking[1] in EFFECTLESS:
            told = await self._ask(asking)
        else:
            told = await self._changes.run(self._change, asking)
        if exchange.request.path == b"/metrics" and all(one.status == 200 for one in told):
            return self._metrics(told)
        if not told:
            raise UpstreamUnavailable("No worker answers.", retry_after=1.0)
        return self._together(exchange, told)

    async def values(self, path: bytes) -> list[Any]:
        """What the workers say that answer."""
        told = await self._ask((b"GET", path, None, b""))
        return [json.loads(one.body) for one in told if one.status == 200]

    async def repeat(self, worker: WorkerProcess) -> None:
        """
        Have a new worker do what operators have had the others do.

        :raises Exception: of whatever kind; it doesn't answer.
        """
        for request in self._done:
            told = await self._one(worker, *request)
            if told.status >= 400:
                self._log.warn(
                    "worker {number} can't repeat {method} {target}: {status}",
                    number=worker.number,
                    method=request[0].decode("latin-1"),
                    target=request[1].decode("latin-1"),
                    status=told.status,
                )

    async def _change(self, request: Asking) -> list[Told]:
        self._done.check()
        told = await self._ask(request)
        done = next((one for one in told if one.status < 300), None)
        if done is not None and not self._known.answered(request[0], request[1], done.body):
            self._done.note(request)
        return told

    async def _ask(self, request: Asking) -> list[Told]:
        asked = [Deferred.fromCoroutine(self._one(worker, *request)) for worker in self._workers()]
        answers: Any = await DeferredList(asked, consumeErrors=True)
        told = []
        for good, value in answers:
            if good:
                told.append(value)
            else:
                self._log.warn("a worker does not answer: {why}", why=value.getErrorMessage())
        return told

    async def _one(self, worker: WorkerProcess, method: bytes, target: bytes, kind: bytes | None, body: bytes) -> Told:
        endpoint = _At(UNIXClientEndpoint(self._reactor, worker.admin))
        agent = Agent.usingEndpointFactory(self._reactor, endpoint, OneTimeConnections(self._reactor))
        headers = Headers({"Host": ["localhost"]})
        if kind is not None:
            headers.setRawHeaders("Content-Type", [kind])
        producer = FileBodyProducer(BytesIO(body)) if body else None
        asked = agent.request(method, b"http://localhost" + target, headers, producer)
        asked.addTimeout(PATIENCE, self._reactor)
        response: Any = await asked
        whole = await readBody(response).addTimeout(PATIENCE, self._reactor)
        said = response.headers.getRawHeaders("content-type", [""])[0]
        return Told(worker, response.code, response.phrase, said, whole)

    def _metrics(self, told: Sequence[Told]) -> Response:
        for one in told:
            self._ledger.see(one.worker.pid, one.body.decode())
        text = self._ledger.text({one.worker.pid: one.worker.number for one in told})
        body = (text + "".join(lines(self._registry))).encode()
        fields = [
            (b"Date", self._date.now()),
            (b"Content-Type", CONTENT_TYPE),
            (b"Content-Length", b"%d" % len(body)),
            (b"Cache-Control", b"no-store"),
        ]
        return Response(200, b"OK", fields, body)

    def _together(self, exchange: Exchange, told: Sequence[Told]) -> Response:
        """Of what changes something the worst answer counts, of what only looks the best."""
        looking = exchange.request.method in READ
        first = (min if looking else max)(told, key=lambda one: one.status)
        alike = [one for one in told if one.status == first.status]
        if not all("json" in one.type for one in alike):
            fields = [(b"Date", self._date.now()), (b"Content-Length", b"%d" % len(first.body))]
            if first.type:
                fields.append((b"Content-Type", first.type.encode()))
            return Response(first.status, first.reason, fields, first.body, bodyless=first.status == 204)
        values = [json.loads(one.body) for one in alike if one.body]
        combine = COMBINED.get(exchange.request.path) if first.status == 200 else None
        value = merge(values or [None]) if combine is None else combine(values)
        return answer(first.status, first.reason, value, self._date)


@implementer(IAgentEndpointFactory)
class _At:
    """One endpoint, whatever the URL."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: object) -> IStreamClientEndpoint:
        return self._endpoint
