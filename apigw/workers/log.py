"""A worker's log goes to its supervisor, line by line through a pipe, and from there where the supervisor's goes."""

from __future__ import annotations

import json
import sys
from typing import Any

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, formatEvent, formatEventAsClassicLogText
from zope.interface import provider

MARK = "\x1e"
"""Before each event (RFC 7464); what has none was written by something else."""


def observer() -> ILogObserver:
    """For ``twistd --logger``."""

    def write(event: LogEvent) -> None:
        text = formatEventAsClassicLogText(event) if "log_failure" in event else formatEvent(event)
        level: Any = event.get("log_level")
        line = json.dumps(
            {
                "level": "info" if level is None else level.name,
                "namespace": event.get("log_namespace", "-"),
                "text": (text or "").rstrip("\n"),
            }
        )
        assert sys.__stderr__ is not None
        sys.__stderr__.write(f"{MARK}{line}\n")
        sys.__stderr__.flush()

    made: ILogObserver = provider(ILogObserver)(write)
    return made


def relay(number: int, line: str) -> None:
    """Log what worker ``number`` has written."""
    level, namespace, text = LogLevel.warn, "apigw.workers", line
    if line.startswith(MARK):
        try:
            told = json.loads(line[1:])
            level = LogLevel.lookupByName(told["level"])
            namespace, text = told["namespace"], told["text"]
        except (ValueError, LookupError):
            level, text = LogLevel.warn, line[1:]
    if text:
        Logger(namespace).emit(level, "worker {number}: {text}", number=number, text=text)
