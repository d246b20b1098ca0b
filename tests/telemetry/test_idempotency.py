"""What the metrics tell of idempotency keys."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from apigw.stages.room import Room
from apigw.telemetry.idempotency import IdempotencyMetrics


def test_what_is_held_and_what_was_refused_is_told() -> None:
    metrics = IdempotencyMetrics()
    registry = CollectorRegistry()
    registry.register(metrics)
    assert registry.get_sample_value("apigw_idempotency_bytes") is None
    metrics.room = Room("keys", 1000)
    held = metrics.room.hold()
    assert held.grow(600)
    assert not held.grow(600)
    assert registry.get_sample_value("apigw_idempotency_bytes") == 600
    assert registry.get_sample_value("apigw_idempotency_full_total") == 1
    del held
    assert registry.get_sample_value("apigw_idempotency_bytes") == 0
