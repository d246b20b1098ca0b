"""The section about traces: where they go, and how many."""

# ruff: noqa: RUF009 (option and group are attrs fields)
from __future__ import annotations

import re

from attrs import frozen

from apigw.config.kind import Kind
from apigw.config.option import Variable, option
from apigw.config.secrets import SECRET_VARIABLE, Secret
from apigw.config.tokens import parse_url
from apigw.config.units import PERCENT

_NAME = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,99}").fullmatch


def parse_collector(text: str) -> str:
    """From OpenTelemetry's variable, which names the collector and not the path for traces."""
    return parse_url(text).rstrip("/") + "/v1/traces"


def _parse_name(text: str) -> str:
    if not _NAME(text):
        raise ValueError(f"{text!r} is not a name of up to 100 characters of ASCII")
    return text


@frozen(kw_only=True)
class TracingSection:
    """Traces go on from clients to services by `traceparent`, and what is sampled is sent to a collector."""

    otlp_endpoint: str | None = option(
        Kind("URL", parse_url),
        default=None,
        unset="nowhere, and none is sampled",
        variable=Variable("OTEL_EXPORTER_OTLP_ENDPOINT", parse_collector),
        example="http://127.0.0.1:4318/v1/traces",
        help="Where spans are sent, by OTLP over HTTP in JSON.",
    )
    sample: float = option(
        PERCENT,
        default=0.1,
        help="Of traces that begin here, or come from clients that aren't in `trusted_proxies`; those that are decide"
        " themselves.",
    )
    service_name: str = option(Kind("name", _parse_name), default="apigw", help="As what the gateway stands in traces.")
    authorization_env: Secret | None = option(
        SECRET_VARIABLE,
        default=None,
        unset="none",
        example="OTLP_AUTHORIZATION",
        help="The environment variable that holds what the collector gets as `Authorization`.",
    )
