"""
What has its name already and does not work yet: using it is an error that says so, for an option that is accepted and
ignored could leave a door open. A feature lands by removing its rows here and declaring its options in the model.
"""

from __future__ import annotations

PLANNED: dict[str, tuple[str, ...]] = {
    "tracing": ("otlp_endpoint", "sample"),
}
"""Keys by kind of section; ``*`` stands for any word. A kind that the model doesn't have is planned as a whole."""

PLANNED_NAMED: tuple[str, ...] = ()
"""Kinds of those planned as a whole whose sections have names."""

UNUSED_VARIABLES = (
    "REDIS_URL",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)
"""The founding system's variables for what isn't there yet: no error, for they are set for others too, but told."""

NOT_YET = "is not supported by this version"
