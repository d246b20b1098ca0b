"""
``IAgent`` for one peer, and treq's client over it, made transparent.

Twisted's own Agent would hand a stray byte of a kept connection to the next user, hide retries, and cost 170 us a
request; treq's client would carry one user's cookies to the next, rewrite URLs and decode bodies.
docs/adr/0001-treq-over-our-agent.md tells it all.
"""

from __future__ import annotations

from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred, fail
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface import implementer

from apigw.http1.fields import check_fields, wire_lines
from apigw.messages import Attempt
from apigw.upstream.connection import PeerConnection
from apigw.upstream.pool import Pool
from apigw.upstream.response import PeerResponse


@implementer(IAgent)
class PeerAgent:
    """
    :param origin: scheme and authority, as ``http://10.0.0.1:9001``; only URIs that begin with it are served.
    :param pool: where connections come from.
    """

    def __init__(self, origin: bytes, pool: Pool) -> None:
        self._origin = origin
        self._start = len(origin)
        self._pool = pool

    def request(  # type: ignore[override]  # more is accepted, and what comes back is an IResponse
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | bytes | None = None,
        bodyProducer: Any = None,
        attempt: Attempt | None = None,
    ) -> Deferred[PeerResponse]:
        """
        Send a request; what follows the origin in ``uri`` goes out byte for byte.

        :param headers: bytes are field lines, sent as they are; the framing fields are added.
        :param attempt: takes down what happens, and brings the timeouts.
        :return: fails with a :class:`~apigw.errors.GatewayError`; to cancel it closes the connection.
        """
        if not uri.startswith(self._origin):
            return fail(SchemeNotSupported(f"this agent serves {self._origin.decode()} only"))
        target = uri[self._start :] or b"/"
        lines = headers if isinstance(headers, bytes) else self._flattened(headers)
        pool = self._pool
        if attempt is None:
            attempt = Attempt(pool.seconds())
        connection = pool.take(attempt.begun)
        if connection is not None:
            attempt.reused = True
            return connection.request(method, target, lines, bodyProducer, attempt)
        # No coroutine: one that is cancelled leaves a cycle of its frames and of what they failed with.
        return pool.connect().addCallback(
            _connected, pool, pool.seconds(), method, target, lines, bodyProducer, attempt
        )

    def _flattened(self, headers: Headers | None) -> bytes:
        fields = [(name, value) for name, values in (headers or Headers()).getAllRawHeaders() for value in values]
        if not any(name.lower() == b"host" for name, _ in fields):
            fields.insert(0, (b"Host", self._origin.partition(b"://")[2]))
        check_fields(fields)
        return wire_lines(fields)


def _connected(
    connection: PeerConnection,
    pool: Pool,
    begun: float,
    method: bytes,
    target: bytes,
    lines: bytes,
    body: Any,
    attempt: Attempt,
) -> Deferred[PeerResponse]:
    attempt.connect = pool.seconds() - begun
    return connection.request(method, target, lines, body, attempt)


class TransparentClient(HTTPClient):
    """
    treq's client with everything taken out that changes a message: no cookie jar, no redirects, no decoding, no
    buffering, no URL parsing, no method in upper case.
    """

    def __init__(self, agent: PeerAgent) -> None:
        super().__init__(agent)
        self._peer_agent = agent

    def request(  # type: ignore[override]
        self,
        method: bytes,
        url: bytes,
        *,
        headers: bytes,
        data: Any = None,
        attempt: Attempt | None = None,
    ) -> Deferred[PeerResponse]:
        """As :meth:`PeerAgent.request`."""
        return self._peer_agent.request(method, url, headers, data, attempt)
