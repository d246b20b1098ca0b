"""How much the log tells."""

from __future__ import annotations

import pytest
from twisted.logger import Logger, LogPublisher

from apigw.telemetry.levels import LogLevels


def test_levels_by_namespace_and_back() -> None:
    told: list[str] = []

    def observer(event: dict[str, object]) -> None:
        told.append(str(event["log_format"]))

    publisher = LogPublisher(observer)  # type: ignore[arg-type]
    levels = LogLevels(publisher)
    levels.install()

    def speak(namespace: str) -> list[str]:
        told.clear()
        log = Logger(namespace, observer=publisher)
        log.debug("debug")
        log.info("info")
        log.error("error")
        return list(told)

    assert speak("apigw.upstream.x") == ["debug", "info", "error"]
    levels.set("error")
    levels.set("info", "apigw.upstream")
    assert (speak("apigw.service"), speak("apigw.upstream.x")) == (["error"], ["info", "error"])
    assert speak("apigw.admin.operations") == ["debug", "info", "error"]
    assert (levels.default, levels.namespaces) == ("error", {"apigw.upstream": "info"})
    with pytest.raises(ValueError, match="'loud' is none of debug, info"):
        levels.set("loud")
    with pytest.raises(ValueError, match="always told"):
        levels.set("error", "apigw.admin.operations")
    log = Logger("apigw.workers", observer=publisher)
    told.clear()
    log.info("of a worker, which has looked at its level itself", worker=1)
    assert len(told) == 1
    levels.uninstall()
    assert speak("apigw.service") == ["debug", "info", "error"]


def test_a_level_from_the_start_on() -> None:
    told: list[str] = []
    publisher = LogPublisher(lambda event: told.append(str(event["log_format"])))  # type: ignore[arg-type]
    levels = LogLevels(publisher, "error")
    levels.install()
    log = Logger("apigw.x", observer=publisher)
    log.warn("warn")
    log.error("error")
    levels.uninstall()
    assert (told, levels.default) == (["error"], "error")
