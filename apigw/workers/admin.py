"""The admin listener of several workers: one place that answers for all."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic, time
from typing import Any

from attrs import Factory, define
from prometheus_client import CollectorRegistry
from twisted.internet.defer import DeferredLock

from apigw.admin.access import AdminAccess, AdminOnly
from apigw.admin.dashboard import PATH as DASHBOARD_PATH
from apigw.admin.dashboard import Dashboard
from apigw.admin.done import Done
from apigw.admin.health import answer
from apigw.admin.reload import PATH as RELOAD_PATH
from apigw.admin.reload import ReloadApi
from apigw.admin.stream import NOW_PATH, Streams
from apigw.admin.stream import PATH as LIVE_PATH
from apigw.config import GatewayConfig
from apigw.core import GatewayCore
from apigw.dates import HttpDate
from apigw.finder import refuse
from apigw.messages import Exchange, Response
from apigw.pipeline import Route, Stage
from apigw.policy import redact
from apigw.policy.forwarded import Forwarding
from apigw.policy.requestid import RequestIds
from apigw.routes import GatewayRoutes, Place
from apigw.stages.access_log import AccessLog
from apigw.stages.origin import Origin
from apigw.stages.request_id import RequestId
from apigw.telemetry.access_log import AccessLogFormat
from apigw.telemetry.lines import LineWriter
from apigw.telemetry.reloads import Reloads
from apigw.web.problem import Problem
from apigw.workers.gather import Gather
from apigw.workers.live import LiveTogether
from apigw.workers.merge import Ledger
from apigw.workers.process import WorkerProcess
from apigw.workers.revoked import Known
from apigw.workers.states import Workers

WORKERS_PATH = b"/api/workers"


@define
class AdminWiring:
    """
    :param reload: lets all workers take the configuration that there is now.
    :ivar changes: held while something changes in all workers, or a new one learns what holds.
    """

    workers: Callable[[], Sequence[WorkerProcess]]
    reload: Callable[[], Awaitable[bool]]
    reloads: Reloads
    counts: Workers
    registry: CollectorRegistry
    ledger: Ledger
    lines: LineWriter | None
    reactor: Any
    known: Known
    done: Done
    changes: DeferredLock = Factory(DeferredLock)
    gather: Gather | None = None
    live: LiveTogether | None = None

    def build(self, config: GatewayConfig) -> tuple[GatewayCore, GatewayRoutes]:
        """The way of a request to the admin listener."""
        gateway, date = config.gateway, HttpDate()
        anybody: list[Stage] = [
            RequestId(RequestIds(os.urandom), monotonic, gateway.response_time_header, gateway.target_service_header)
        ]
        if self.lines is not None and gateway.access_log != "off":
            path = {"redacted": redact.redacted, "full": redact.full, "none": redact.path_only}[gateway.log_query]
            anybody.append(AccessLog(AccessLogFormat(time, monotonic, path).line, self.lines.write))
        anybody.append(Origin(Forwarding(gateway.trusted_proxies)))
        access = AdminAccess(b"" if config.admin is None else config.admin.token)
        if self.gather is None:
            own: dict[bytes, Callable[[Exchange], Awaitable[Response]]] = {WORKERS_PATH: self._told}
            own[RELOAD_PATH.encode()] = ReloadApi(self.reload, self.reloads.told, date, self.done.check)
            gather = self.gather = Gather(
                self.workers, own, self.registry, self.ledger, self.reactor, date, self.known, self.done, self.changes
            )
            live = self.live = LiveTogether(lambda: gather.values(NOW_PATH.encode()), self.reactor)
            streams = Streams(live, date)

            async def stream(exchange: Exchange) -> Response:
                await live.ready()
                return streams(exchange)

            own[LIVE_PATH.encode()] = stream
        every = Route("admin", "", [*anybody, AdminOnly(access)], self.gather)
        dashboard = Route("admin-dashboard", "", anybody, Dashboard(date))
        places = {DASHBOARD_PATH.encode(): dashboard, b"/": dashboard}

        def find(exchange: Exchange) -> Route:
            path = exchange.request.path
            return places.get(path) or (dashboard if path.startswith(b"/dashboard/") else every)

        refused = Route("-", "", anybody, refuse)
        core = GatewayCore(find, refused, Problem(gateway.error_format == "envelope", "apigw", date))
        return core, GatewayRoutes(Place(core))

    async def _told(self, _: Exchange) -> Response:
        return answer(200, b"OK", self.counts.told(), HttpDate())
