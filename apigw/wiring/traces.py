"""Builds what traces need, from the configuration."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from apigw.config.tracing import TracingSection
from apigw.messages import Exchange, Trace
from apigw.policy.forwarded import Forwarding
from apigw.policy.requestid import RequestIds
from apigw.policy.traceparent import Ratio
from apigw.stages.tracing import Tracing
from apigw.telemetry.span_counts import SpanCounts
from apigw.telemetry.spans import Spans
from apigw.upstream.send import Send
from apigw.upstream.traced import Traced

if TYPE_CHECKING:
    from apigw.telemetry.exporter import SpanExporter

FIELDS = ("traceparent", "tracestate")
"""What a service gets of the gateway, and not of a client."""


class Traces:
    """
    :param instance: by what name this process is told from others.
    :param spans: from a request to what is told of it.
    """

    def __init__(
        self,
        section: TracingSection,
        version: str,
        instance: str,
        spans: Spans,
        counts: Callable[[], SpanCounts],
        reactor: Any,
    ) -> None:
        self._section = section
        self._ids = RequestIds(os.urandom)
        self._spans = spans
        self._exporter: SpanExporter | None = None
        if section.otlp_endpoint is not None:
            from apigw.telemetry.exporter import SpanExporter

            headers = {}
            if section.authorization_env is not None:
                headers["Authorization"] = section.authorization_env.value.decode("latin-1")
            resource = {
                "service.name": section.service_name,
                "service.version": version,
                "service.instance.id": instance,
                "host.name": socket.gethostname(),
            }
            self._exporter = SpanExporter(section.otlp_endpoint, headers, resource, counts(), reactor)

    def stage(self, forwarding: Forwarding) -> Tracing:
        """What each request passes. :param forwarding: knows whose word counts."""
        ended = None if self._exporter is None else self._ended
        return Tracing(self._ids, Ratio(self._section.sample), forwarding.trusts, ended)

    def around(self, send: Send) -> Send:
        """Tells services."""
        return Traced(send, self._ids)

    def stop(self) -> Deferred[None] | None:
        """Send what is left; bounded."""
        return None if self._exporter is None else self._exporter.stop()

    def _ended(self, exchange: Exchange, trace: Trace) -> None:
        assert self._exporter is not None
        self._exporter.add(1 + len(exchange.attempts), self._spans.of(exchange, trace))
