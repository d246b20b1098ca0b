"""The access log: one JSON line for each exchange, also for those refused, cut or cancelled."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from time import gmtime, strftime

from apigw.messages import Exchange

_PLAIN = re.compile(r"[ !#-\[\]-~]*").fullmatch
"""What JSON takes between quotes as it is."""

_TEMPLATE = (
    '{"time":"%s.%03dZ","request_id":"%s","client_ip":"%s","user":%s,"method":"%s","host":%s,"path":%s,'
    '"protocol":"HTTP/%s","route":"%s","service":"%s","peer":"%s","status":%d,"bytes_in":%d,"bytes_out":%d,'
    '"total_ms":%.3f,"queue_ms":%.3f,"connect_ms":%.3f,"first_byte_ms":%.3f,"attempts":%d,"error":%s}\n'
)


def quoted(text: str) -> str:
    """``text`` as a JSON string."""
    return f'"{text}"' if _PLAIN(text) else json.dumps(text)


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
        self._prefix = ""

    def line(self, exchange: Exchange) -> bytes:
        """
        One line, with the line end.

        Times are milliseconds: ``total_ms`` from the first byte of the request to the last of the answer,
        ``queue_ms`` for a free connection, ``connect_ms`` to make one, ``first_byte_ms`` from the beginning of the
        last attempt to the head of its answer. ``status`` is what the client got or would have got; a cut answer
        keeps its status and has an ``error``. ``would_refuse`` is there where a policy only reports.
        """
        wall = self._wall()
        second = int(wall)
        if second != self._second:
            self._second = second
            self._prefix = strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))
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
        user = exchange.principal
        line = _TEMPLATE % (
            self._prefix,
            (wall - second) * 1000.0,
            exchange.id.decode("ascii"),
            exchange.client_ip,
            "null" if user is None else quoted(user),
            request.method.decode("latin-1"),
            quoted(request.authority.decode("latin-1")),
            quoted(self._path(request.path, request.query).decode("latin-1")),
            request.version.decode("ascii"),
            "" if route is None else route.name,
            "" if route is None else route.service,
            peer,
            status,
            0 if body is None else body.received,
            exchange.sent,
            (self._seconds() - exchange.begun) * 1000.0,
            queue * 1000.0,
            connect * 1000.0,
            first_byte * 1000.0,
            len(attempts),
            "null" if error is None else quoted(error.code),
        )
        if exchange.would_refuse:
            line = f'{line[:-2]},"would_refuse":{quoted(exchange.would_refuse)}}}\n'
        return line.encode()
