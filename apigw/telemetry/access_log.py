"""The access log: one JSON line for each exchange, also for those refused, cut or cancelled."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from time import gmtime, strftime

from apigw.messages import Exchange
from apigw.pipeline import Route

_PLAIN = re.compile(rb"[ !#-\[\]-~]*").fullmatch
"""What JSON takes between quotes as it is."""

_TEMPLATE = (
    b'{"time":"%b.%03dZ","request_id":"%b","client_ip":"%b","user":%b,"method":"%b","host":%b,"path":%b,'
    b'"protocol":"HTTP/%b",%b,"peer":"%b","status":%d,"bytes_in":%d,"bytes_out":%d,'
    b'"total_ms":%.3f,%b,"first_byte_ms":%.3f,"attempts":%d,"error":%b}\n'
)

_NO_WAIT = b'"queue_ms":0.000,"connect_ms":0.000'


NAME = 64
"""Characters of the name of a GraphQL operation."""


def quoted(text: bytes) -> bytes:
    """
    ``text`` as a JSON string.

    :param text: Latin-1, as fields have it.
    """
    return b'"%b"' % text if _PLAIN(text) else json.dumps(text.decode("latin-1")).encode("ascii")


@lru_cache(4096)
def _name(user: str | None) -> bytes:
    return b"null" if user is None else json.dumps(user).encode("ascii")


class AccessLogFormat:
    """
    :param wall: wall-clock seconds.
    :param seconds: monotonic seconds, as in exchanges.
    :param path: from raw path and query to what may be logged of them.
    """

    def __init__(
        self, wall: Callable[[], float], seconds: Callable[[], float], path: Callable[[bytes, bytes], bytes]
    ) -> None:
        self._wall = wall
        self._seconds = seconds
        self._path = path
        self._second = 0
        self._prefix = b""

    def line(self, exchange: Exchange) -> bytes:
        """
        One line, with the line end.

        Times are milliseconds: ``total_ms`` from the first byte of the request to the last of the answer,
        ``queue_ms`` for a free connection, ``connect_ms`` to make one, ``first_byte_ms`` from the beginning of the
        last attempt to the head of its answer. ``status`` is what the client got or would have got; a cut answer
        keeps its status and has an ``error``. ``would_refuse`` is there where a policy only reports, ``graphql`` where
        it is known what is asked for.
        """
        wall = self._wall()
        second = int(wall)
        if second != self._second:
            self._second = second
            self._prefix = strftime("%Y-%m-%dT%H:%M:%S", gmtime(second)).encode("ascii")
        request = exchange.request
        response, error, route = exchange.response, exchange.error, exchange.route
        attempts = exchange.attempts
        peer = ""
        queue = connect = first_byte = 0.0
        if attempts:
            last = attempts[-1]
            peer = last.peer
            if last.first_byte:
                first_byte = last.first_byte - last.begun
            for attempt in attempts:
                queue += attempt.queued
                connect += attempt.connect
        status = response.status if response is not None else error.status if error is not None else 0
        body = request.body
        place = b'"route":"","service":""' if route is None else route.notes.get(self) or self._place(route)
        host = request.notes.get(self)
        if host is None:
            host = request.notes[self] = quoted(request.authority)
        waited = _NO_WAIT
        if queue or connect:
            waited = b'"queue_ms":%.3f,"connect_ms":%.3f' % (queue * 1000.0, connect * 1000.0)
        line = _TEMPLATE % (
            self._prefix,
            (wall - second) * 1000.0,
            exchange.id,
            exchange.client_ip.encode("ascii"),
            _name(exchange.principal),
            request.method,
            host,
            quoted(self._path(request.path, request.query)),
            request.version,
            place,
            peer.encode("ascii"),
            status,
            0 if body is None else body.received,
            exchange.sent,
            (self._seconds() - exchange.begun) * 1000.0,
            waited,
            first_byte * 1000.0,
            len(attempts),
            b"null" if error is None else b'"%b"' % error.code.encode("ascii"),
        )
        if exchange.would_refuse:
            line = b'%b,"would_refuse":"%b"}\n' % (line[:-2], exchange.would_refuse.encode("ascii"))
        asked = exchange.graphql
        if asked is not None:
            named = asked.name[:NAME].encode("ascii")
            told = b'"graphql":{"type":"%b","name":"%b","cost":%d}' % (asked.kind.encode("ascii"), named, asked.cost)
            line = b"%b,%b}\n" % (line[:-2], told)
        if exchange.trace is not None:
            line = b'%b,"trace_id":"%b"}\n' % (line[:-2], exchange.trace.trace_id)
        return line

    def _place(self, route: Route) -> bytes:
        place = route.notes[self] = b'"route":"%b","service":"%b"' % (route.name.encode(), route.service.encode())
        return place
