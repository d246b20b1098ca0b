"""Handshakes at the listeners, and how long their certificates last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from attrs import frozen
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.telemetry.cells import family


@frozen
class ListenerTls:
    """
    :ivar handshakes: how many there were, by outcome.
    :ivar expiries: of certificates, in seconds since the epoch, by the paths of their files.
    """

    name: str
    handshakes: Mapping[str, int]
    expiries: Mapping[str, float]


class TlsMetrics(Collector):
    """
    :param listeners: those that speak TLS, now.
    :param now: seconds since the epoch.
    """

    def __init__(self, listeners: Callable[[], Sequence[ListenerTls]], now: Callable[[], float]) -> None:
        self._listeners = listeners
        self._now = now

    def collect(self) -> Iterator[Metric]:
        yield family(
            "apigw_tls_handshakes",
            "counter",
            "Handshakes with clients, by how they ended.",
            lambda: [
                Sample("apigw_tls_handshakes_total", {"listener": one.name, "outcome": outcome}, count)
                for one in self._listeners()
                for outcome, count in one.handshakes.items()
            ],
        )
        yield self._certificates(
            "apigw_tls_certificate_expiry_timestamp_seconds", "When the certificate expires, since 1970.", 0.0
        )
        yield self._certificates(
            "apigw_tls_certificate_expires_in_seconds",
            "How long the certificate lasts; negative once it has expired.",
            self._now(),
        )

    def _certificates(self, name: str, documentation: str, since: float) -> Metric:
        return family(
            name,
            "gauge",
            documentation,
            lambda: [
                Sample(name, {"listener": one.name, "certificate": path}, expires - since)
                for one in self._listeners()
                for path, expires in one.expiries.items()
            ],
        )
