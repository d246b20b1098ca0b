"""What a configuration is brought to life in: clocks, metrics, logs, whatever outlives it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen

from apigw.admin.actions import Steering
from apigw.admin.live import Live
from apigw.dates import HttpDate
from apigw.policy import redact
from apigw.policy.token_counts import TokenCounts
from apigw.telemetry.lines import Lines
from apigw.telemetry.metrics import GatewayMetrics
from apigw.telemetry.reloads import Reloads
from apigw.upstreams import UpstreamBuilder

LOGGED = {"redacted": redact.redacted, "full": redact.full, "none": redact.path_only}
"""What may be told of a path and its query, by ``log_query``."""


@frozen
class Around:
    """
    What outlives a configuration.

    :ivar seconds: monotonic. :ivar epoch: seconds since 1970.
    :ivar lines: of the access log; it stays where the log is turned off, for requests under way.
    :ivar metrics: None where nobody could see them.
    :ivar live: what operators see; None where nobody could.
    :ivar private: whoever asks on the admin listener has been let in already, and logged.
    :ivar reload: takes the configuration that there is now; :return: whether it is in force.
    """

    reactor: Any
    seconds: Callable[[], float]
    epoch: Callable[[], float]
    date: HttpDate
    builder: UpstreamBuilder
    lines: Lines | None
    metrics: GatewayMetrics | None
    reloads: Reloads
    reload: Callable[[], Awaitable[bool]]
    pseudonym: str
    uptime: Callable[[], float]
    draining: Callable[[], bool]
    tokens: TokenCounts
    live: Live | None
    steering: Steering
    private: bool = False
