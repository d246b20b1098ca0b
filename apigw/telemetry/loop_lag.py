"""How late the reactor comes to what is due: what every request waits for, whatever it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from apigw.telemetry.cells import Cell, family

PERIOD = 0.25
"""Seconds between two looks: four wake-ups a second cost nothing that could be measured."""

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class LoopLag(Collector):
    """
    A chain of timers. Not a LoopingCall, which leaves out the times it was too late for and so hides the worst.

    :param seconds: monotonic.
    """

    def __init__(self, clock: IReactorTime, seconds: Callable[[], float]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._lag = Cell(BOUNDS)
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        self._timer = self._clock.callLater(PERIOD, self._look, self._seconds() + PERIOD)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, due: float) -> None:
        self._lag.add(max(0.0, self._seconds() - due))
        self.start()

    def collect(self) -> Iterator[Metric]:
        yield family(
            "apigw_event_loop_lag_seconds",
            "histogram",
            "How late the event loop came to a timer.",
            lambda: self._lag.samples("apigw_event_loop_lag_seconds", {}),
        )
