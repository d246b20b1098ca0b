"""
From a request that is over to its spans, as OTLP has them in JSON.

Sources: OTLP 1.x, JSON Protobuf encoding; OpenTelemetry semantic conventions for HTTP spans, 1.23 and later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from apigw.messages import Attempt, Exchange, Trace, field_value

SERVER, CLIENT = 2, 3
"""Kinds of spans."""

ERROR = 2
"""Code of a status."""

_METHODS = frozenset(
    (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH", b"QUERY")
)

MAX_VALUE = 2048
"""Characters of an attribute; a user agent may be as long as all fields together."""

Span = dict[str, Any]


class Spans:
    """
    :param wall: seconds since 1970. :param seconds: monotonic, as in exchanges.
    :param path: from raw path and query to what may be told of them.
    """

    def __init__(
        self, wall: Callable[[], float], seconds: Callable[[], float], path: Callable[[bytes, bytes], bytes]
    ) -> None:
        self._wall = wall
        self._seconds = seconds
        self._path = path

    def of(self, exchange: Exchange, trace: Trace) -> Iterator[Span]:
        """The span of the request, then one for each attempt."""
        now = self._seconds()
        offset = self._wall() - now
        attempts = exchange.attempts
        yield self._request(exchange, trace, offset, now)
        for number, attempt in enumerate(attempts):
            ended = now
            if number + 1 < len(attempts):
                ended = attempt.first_byte or attempts[number + 1].begun
            if attempt.span_id:
                yield self._attempt(exchange, trace, attempt, number, offset, ended)

    def _request(self, exchange: Exchange, trace: Trace, offset: float, now: float) -> Span:
        request, response, error, route = exchange.request, exchange.response, exchange.error, exchange.route
        status = 0 if response is None else response.status
        path, _, query = self._path(request.path, request.query).partition(b"?")
        method = _method(request.method)
        host, port = _place(request.authority.decode("latin-1"))
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "url.scheme": request.client.scheme.decode(),
            "url.path": path.decode("latin-1"),
            "url.query": query.decode("latin-1"),
            "server.address": host,
            "server.port": port,
            "client.address": exchange.client_ip,
            "network.protocol.version": request.version.decode("latin-1"),
            "user_agent.original": (field_value(request.fields, b"user-agent") or b"").decode("latin-1"),
            "http.response.status_code": status,
            "http.response.body.size": exchange.sent,
            "http.request.body.size": 0 if request.body is None else request.body.received,
            "apigw.request_id": exchange.id.decode("latin-1"),
            "apigw.service": "" if route is None else route.service,
            "enduser.id": exchange.principal or "",
        }
        if method == "_OTHER":
            attributes["http.request.method_original"] = request.method.decode("latin-1")
        name = method if method != "_OTHER" else "HTTP"
        if route is not None:
            attributes["http.route"] = route.name
            name = f"{name} {route.name}"
        failed = ""
        if error is not None:
            attributes["error.type"] = error.code
            failed = error.code if error.status >= 500 or not exchange.complete else ""
        elif status >= 500:
            attributes["error.type"] = str(status)
            failed = str(status)
        begun = exchange.begun + offset
        return _span(trace, trace.span_id, trace.parent_id, name, SERVER, begun, now + offset, attributes, failed)

    @staticmethod
    def _attempt(exchange: Exchange, trace: Trace, attempt: Attempt, number: int, offset: float, ended: float) -> Span:
        method = _method(exchange.request.method)
        host, port = _place(attempt.peer)
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "server.address": host,
            "server.port": port,
            "http.response.status_code": attempt.status,
            "http.request.resend_count": number,
            "apigw.queue_ms": round(attempt.queued * 1000.0),
            "apigw.connect_ms": round(attempt.connect * 1000.0),
            "apigw.reused": int(attempt.reused),
        }
        failed = ""
        if attempt.error is not None:
            failed = attributes["error.type"] = attempt.error.code
        elif attempt.status >= 400:
            failed = attributes["error.type"] = str(attempt.status)
        name = method if method != "_OTHER" else "HTTP"
        begun = attempt.begun + offset
        return _span(trace, attempt.span_id, trace.span_id, name, CLIENT, begun, ended + offset, attributes, failed)


def _place(text: str) -> tuple[str, int]:
    """Address and port of ``host:port``, ``[IPv6]:port``, a host alone or ``unix:path``; 0 for no port."""
    host, colon, port = text.rpartition(":")
    if not (colon and port.isdigit() and len(port) <= 5):
        return text.removeprefix("unix:").strip("[]"), 0
    return host.strip("[]"), int(port)


def _method(method: bytes) -> str:
    return method.decode() if method in _METHODS else "_OTHER"


def _span(
    trace: Trace,
    span_id: bytes,
    parent_id: bytes,
    name: str,
    kind: int,
    begun: float,
    ended: float,
    attributes: dict[str, str | int],
    failed: str,
) -> Span:
    span: Span = {
        "traceId": trace.trace_id.decode(),
        "spanId": span_id.decode(),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(int(begun * 1e9)),
        "endTimeUnixNano": str(int(ended * 1e9)),
        "attributes": [attribute(key, value) for key, value in attributes.items() if value not in ("", 0)],
        "flags": trace.flags,
    }
    if parent_id:
        span["parentSpanId"] = parent_id.decode()
    if trace.state:
        span["traceState"] = trace.state[len(b"tracestate: ") : -2].decode()
    if failed:
        span["status"] = {"code": ERROR, "message": failed}
    return span


def attribute(key: str, value: str | int) -> dict[str, Any]:
    """As OTLP has them."""
    return {
        "key": key,
        "value": {"stringValue": value[:MAX_VALUE]} if isinstance(value, str) else {"intValue": str(value)},
    }
