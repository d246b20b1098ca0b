"""Gives each request its id, takes over the client's where it is short and clean, and tells it in the answer."""

from __future__ import annotations

from collections.abc import Callable

from apigw.messages import Exchange, Response, field_values
from apigw.pipeline import Stage
from apigw.policy.requestid import RequestIds, accept


class RequestId(Stage):
    """
    :param response_time: send x-response-time, in milliseconds.
    :param target_service: send x-target-service.
    """

    def __init__(
        self, ids: RequestIds, seconds: Callable[[], float], response_time: bool, target_service: bool
    ) -> None:
        self._ids = ids
        self._seconds = seconds
        self._response_time = response_time
        self._target_service = target_service
        self._targets: dict[str, bytes] = {}

    def explain(self, exchange: Exchange) -> None:
        """It has no say, but the service gets the ids."""
        self.request(exchange)

    def request(self, exchange: Exchange) -> None:
        request = exchange.request
        known = request.notes.get(self)
        if known is None:
            known = request.notes[self] = (
                next(filter(None, map(accept, field_values(request.fields, b"x-request-id"))), None),
                next(filter(None, map(accept, field_values(request.fields, b"x-correlation-id"))), None),
            )
        request_id, correlation_id = known
        exchange.id = request_id or self._ids.new()
        exchange.correlation_id = correlation_id or exchange.id
        exchange.id_lines = b"X-Request-Id: %b\r\nX-Correlation-Id: %b\r\n" % (exchange.id, exchange.correlation_id)

    def response(self, exchange: Exchange, response: Response) -> None:
        target = b""
        if self._target_service and exchange.route is not None:
            service = exchange.route.service
            known = self._targets.get(service)
            if known is None:
                known = b"X-Target-Service: %b\r\n" % service.encode() if service else b""
                self._targets[service] = known
            target = known
        if self._response_time:
            elapsed = (self._seconds() - exchange.begun) * 1000.0
            response.lines += b"%bX-Response-Time: %.1fms\r\n%b" % (exchange.id_lines, elapsed, target)
        else:
            response.lines += exchange.id_lines + target
