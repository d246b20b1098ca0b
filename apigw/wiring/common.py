"""What all listeners have: ids, the log, health, the form of errors."""

from __future__ import annotations

import os
from collections.abc import Callable

from apigw import __version__
from apigw.admin.access import AdminAccess
from apigw.admin.health import READ, Health
from apigw.config import GatewayConfig
from apigw.messages import Response
from apigw.pipeline import Stage
from apigw.policy.forwarded import Forwarding
from apigw.policy.requestid import RequestIds
from apigw.stages.access_log import AccessLog
from apigw.stages.request_id import RequestId
from apigw.stages.slow_log import SlowLog
from apigw.telemetry.access_log import AccessLogFormat
from apigw.telemetry.upstreams import ServiceState
from apigw.web.problem import Problem
from apigw.wiring.around import LOGGED, Around


class Common:
    """
    What all listeners have, the admin one included.

    :param states: how the services are.

    :ivar access: who is an operator.
    """

    def __init__(self, config: GatewayConfig, around: Around, states: Callable[[], list[ServiceState]]) -> None:
        self._config = config
        self._around = around
        self._states = states
        self._date = around.date
        self._seconds = around.seconds
        self._epoch = around.epoch
        self._lines = None if config.gateway.access_log == "off" else around.lines
        self.access = AdminAccess(b"" if config.admin is None else config.admin.token)
        self.forwarding = Forwarding(config.gateway.trusted_proxies)

    def logging(self) -> list[Stage]:
        """What gives an exchange its id and its line in the log."""
        gateway = self._config.gateway
        stages: list[Stage] = [
            RequestId(
                RequestIds(os.urandom), self._seconds, gateway.response_time_header, gateway.target_service_header
            )
        ]
        path = LOGGED[gateway.log_query]
        if gateway.slow_log is not None:
            stages.append(SlowLog(gateway.slow_log, self._seconds, path))
        if self._lines is not None:
            stages.append(AccessLog(AccessLogFormat(self._epoch, self._seconds, path).line, self._lines.write))
        return stages

    def health(self) -> Health:
        essential = self._config.gateway.ready_needs
        operators = self.access.check_public
        return Health(
            __version__, self._around.uptime, self._around.draining, self._states, essential, operators, self._date
        )

    def problem(self) -> Problem:
        return Problem(self._config.gateway.error_format == "envelope", "apigw", self._date)

    def whole(self, _: object) -> Response:
        """The answer to ``OPTIONS *`` (RFC 9110 section 9.3.7)."""
        allow = b", ".join([*READ, b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"])
        return Response(204, b"No Content", [(b"Date", self._date.now()), (b"Allow", allow)], b"", bodyless=True)
