"""Counts of HTTP/2 as a scrape has them."""

from prometheus_client import CollectorRegistry, generate_latest

from apigw.telemetry.http2 import Http2Counts, Http2Metrics


def test_what_a_scrape_tells():
    counts = Http2Counts(connections=2, requests=7)
    counts.abuses["resets"] += 3
    registry = CollectorRegistry()
    registry.register(Http2Metrics(lambda: {"secure": counts}))
    lines = generate_latest(registry).decode().splitlines()
    assert 'apigw_http2_connections_total{listener="secure"} 2.0' in lines
    assert 'apigw_http2_requests_total{listener="secure"} 7.0' in lines
    assert 'apigw_http2_aborts_total{listener="secure",reason="resets"} 3.0' in lines
