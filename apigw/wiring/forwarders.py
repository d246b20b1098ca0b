"""What asks services, as routes have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from apigw.config import GatewayConfig
from apigw.config.model import RouteSection, ServiceSection
from apigw.messages import Attempt, Field, Fields, Timeouts
from apigw.pipeline import Across
from apigw.policy.field_changes import FieldChanges
from apigw.policy.outgoing import Outgoing
from apigw.policy.paths import Rewrite
from apigw.stages.target import MadeTarget
from apigw.telemetry.fanout import FanoutMetrics
from apigw.upstream.fallback import Fallback
from apigw.upstream.forwarder import Forwarder
from apigw.upstream.keys import hash_key
from apigw.upstream.upstream import Upstream
from apigw.wiring.around import Around
from apigw.wiring.changes import changed
from apigw.wiring.fanout import Fanout
from apigw.wiring.traces import FIELDS, Traces


class Forwarders:
    """
    What asks services, as routes have it.

    :param upstreams: by the names of services. :param traces: tells them of traces.
    """

    def __init__(
        self, config: GatewayConfig, around: Around, upstreams: Mapping[str, Upstream], traces: Traces | None
    ) -> None:
        self._config = config
        self._around = around
        self._upstreams = upstreams
        self._traces = traces
        self._builder = around.builder
        self._seconds = around.seconds
        self._metrics = around.metrics

    def one(
        self,
        service: ServiceSection,
        rewrite: Rewrite,
        total: float | None = None,
        priority: str = "normal",
        made: type[Forwarder] = Forwarder,
        outgoing: FieldChanges | None = None,
        target: MadeTarget | None = None,
    ) -> Forwarder | Fallback:
        timeout = service.timeout
        upstream = self._upstreams[service.name]
        plain = made is Forwarder
        send = self._builder.send(upstream, service, priority, hedged=plain)
        forwarder = made(
            send if self._traces is None else self._traces.around(send),
            Timeouts(timeout.first_byte, timeout.idle, timeout.total if total is None else total),
            rewrite,
            self._seconds,
            self._around.date,
            self._builder.retries(service),
            key=hash_key(service.hash_on) if service.balance == "consistent_hash" else None,
            preserve_host=service.preserve_host,
            pseudonym=self._around.pseudonym.encode(),
            sticky=upstream.sticky,
            outgoing=_both(self._outgoing(service), outgoing),
            target=target,
        )
        own = service.fallback
        if own.content is None or not plain:
            return forwarder
        return Fallback(forwarder, self._around.date, own.content, own.type.encode(), own.status)

    def fanout(self, route: RouteSection, rewrite: Rewrite) -> Fanout:
        own = None if route.request.target is None else MadeTarget(route.request.target)

        def forward(
            service: ServiceSection,
            made: type[Forwarder] = Forwarder,
            *,
            priority: str = route.priority,
            target: MadeTarget | None = own,
            total: float | None = route.timeout.total,
            removed: Sequence[bytes] = (),
            added: Sequence[Field] = (),
        ) -> Across:
            outgoing = changed(route, removed, added)
            return self.one(service, rewrite, total, priority, made, outgoing, target)

        metrics = self._metrics
        counts = FanoutMetrics() if metrics is None else metrics.fanout
        attempted = _unseen if metrics is None else metrics.requests.attempted
        return Fanout(
            self._config,
            route,
            self._upstreams,
            forward,
            counts,
            attempted,
            self._around.date,
            self._around.reactor,
            self._seconds,
        )

    def _outgoing(self, service: ServiceSection) -> Outgoing | None:
        """What a service gets of a client's fields; None for all."""
        keys, identity, own = self._config.api_keys, self._config.identity, service.own_authorization
        names = [] if keys is None else [keys.field]
        names += [] if identity is None else [one.name for one in identity.claims]
        names += [] if self._traces is None else FIELDS
        names += [] if service.authorization == "pass" else ["authorization"]
        added = [] if own is None else [(b"Authorization", own.value)]
        return Outgoing([name.lower().encode() for name in names], added) or None


def _both(first: Outgoing | None, then: FieldChanges | None) -> Callable[[Fields], Fields] | None:
    """One after the other."""
    if first is None or then is None:
        return first or then
    return lambda fields: then(first(fields))


def _unseen(service: str, attempts: Sequence[Attempt]) -> None:
    """Nobody could see what is counted."""
