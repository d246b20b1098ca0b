"""A worker's log goes to its supervisor, line by line through a pipe, and from there where the supervisor's goes."""

from __future__ import annotations

import json
import sys
from typing import Any

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel
from zope.interface import provider

from apigw.telemetry.error_log import record

MARK = "\x1e"
"""Before each event (RFC 7464); what has none was written by something else."""

OWN = ("time", "level", "namespace", "message", "traceback", "request_id", "worker")
"""What an event has that are no fields of its own kind."""


def observer() -> ILogObserver:
    """For ``twistd --logger``."""

    def write(event: LogEvent) -> None:
        line = json.dumps(record(event), default=str)
        assert sys.__stderr__ is not None
        sys.__stderr__.write(f"{MARK}{line}\n")
        sys.__stderr__.flush()

    made: ILogObserver = provider(ILogObserver)(write)
    return made


def relay(number: int, line: str) -> None:
    """Log what worker ``number`` has written."""
    level, namespace, text = LogLevel.warn, "apigw.workers", line
    more: dict[str, Any] = {}
    if line.startswith(MARK):
        try:
            told = json.loads(line[1:])
            level = LogLevel.lookupByName(told["level"])
            namespace, text = told["namespace"], told["message"]
            more = {name: told[name] for name in ("traceback", "request_id") if name in told}
            fields = {name: value for name, value in told.items() if name not in OWN}
            if fields:
                more["fields"] = fields
        except (ValueError, LookupError, TypeError):
            level, text = LogLevel.warn, line[1:]
    if text:
        Logger(namespace).emit(level, "worker {worker}: {text}", worker=number, text=text, **more)
