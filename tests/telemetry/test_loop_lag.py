from prometheus_client import CollectorRegistry
from twisted.internet.task import Clock

from apigw.telemetry.loop_lag import PERIOD, LoopLag

NAME = "apigw_event_loop_lag_seconds"


def test_how_late_the_loop_is():
    clock, registry = Clock(), CollectorRegistry()
    late = [0.0]
    lag = LoopLag(clock, lambda: clock.seconds() + late[0])
    registry.register(lag)
    lag.start()
    clock.advance(PERIOD)
    assert registry.get_sample_value(f"{NAME}_bucket", {"le": "0.001"}) == 1
    late[0] = 0.75
    clock.advance(PERIOD)
    assert registry.get_sample_value(f"{NAME}_count") == 2
    assert registry.get_sample_value(f"{NAME}_sum") == 0.75
    clock.advance(PERIOD)
    assert registry.get_sample_value(f"{NAME}_sum") == 0.75
    lag.stop()
    lag.stop()
    assert not clock.getDelayedCalls()
