"""What there has been of HTTP/2, in Prometheus' form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from attrs import define, field
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.telemetry.cells import family


@define(eq=False)
class Http2Counts:
    """
    Of one listener.

    :ivar abuses: what was ended since the client broke a rule or a bound, by a word for which one.
    """

    connections: int = 0
    requests: int = 0
    abuses: Counter[str] = field(factory=Counter)


class Http2Metrics(Collector):
    """:param listeners: those that speak HTTP/2, now, by name."""

    def __init__(self, listeners: Callable[[], Mapping[str, Http2Counts]]) -> None:
        self._listeners = listeners

    def collect(self) -> Iterator[Metric]:
        yield self._counter("apigw_http2_connections", "Connections of HTTP/2.", _connections)
        yield self._counter("apigw_http2_requests", "Requests over HTTP/2; the others are HTTP/1.", _requests)
        yield family(
            "apigw_http2_aborts",
            "counter",
            "Connections and streams of HTTP/2 that were ended for what the client did, by reason.",
            lambda: [
                Sample("apigw_http2_aborts_total", {"listener": name, "reason": reason}, count)
                for name, one in self._listeners().items()
                for reason, count in one.abuses.items()
            ],
        )

    def _counter(self, name: str, documentation: str, value: Callable[[Http2Counts], int]) -> Metric:
        return family(
            name,
            "counter",
            documentation,
            lambda: [
                Sample(f"{name}_total", {"listener": listener}, value(one))
                for listener, one in self._listeners().items()
            ],
        )


def _requests(one: Http2Counts) -> int:
    return one.requests


def _connections(one: Http2Counts) -> int:
    return one.connections
