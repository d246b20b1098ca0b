"""How reloads of the configuration have ended."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from apigw.telemetry.cells import family


class Reloads(Collector):
    """
    :param now: seconds since the epoch, when the first configuration was taken.

    :ivar last: when the last reload ended, None before there was one.
    :ivar reason: why it was refused, empty where it was not.
    :ivar taken: when the configuration in force was taken.
    :ivar done: how many there were; :ivar refused: and were not.
    """

    def __init__(self, now: float) -> None:
        self.taken = now
        self.last: float | None = None
        self.reason = ""
        self.done = 0
        self.refused = 0

    def ended(self, now: float, reason: str) -> None:
        """:param reason: empty where the new configuration is in force."""
        self.last = now
        self.reason = reason
        if reason:
            self.refused += 1
        else:
            self.done += 1
            self.taken = now

    def told(self) -> dict[str, object]:
        """For operators."""
        return {
            "status": "refused" if self.reason else "ok",
            "reason": self.reason,
            "last": self.last,
            "taken": self.taken,
            "done": self.done,
            "refused": self.refused,
        }

    def collect(self) -> Iterator[Metric]:
        name = "apigw_config_reloads"
        yield family(
            name,
            "counter",
            "Reloads of the configuration, by how they ended.",
            lambda: [
                Sample(f"{name}_total", {"outcome": "done"}, self.done),
                Sample(f"{name}_total", {"outcome": "refused"}, self.refused),
            ],
        )
        name = "apigw_config_last_reload_successful"
        yield family(
            name,
            "gauge",
            "1 unless the last reload was refused.",
            lambda: [Sample("apigw_config_last_reload_successful", {}, float(not self.reason))],
        )
        yield family(
            "apigw_config_taken_timestamp_seconds",
            "gauge",
            "When the configuration in force was taken.",
            lambda: [Sample("apigw_config_taken_timestamp_seconds", {}, self.taken)],
        )
