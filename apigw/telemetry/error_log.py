"""The gateway's own log: text or JSON lines, and nothing in it that lets others in."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from fcntl import F_GETFL, F_SETFL, fcntl
from pathlib import Path
from typing import IO, Any, cast

from twisted.logger import (
    FileLogObserver,
    ILogObserver,
    LegacyLogObserverWrapper,
    LogEvent,
    Logger,
    LogLevel,
    formatEvent,
    formatTime,
)
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from zope.interface import provider

from apigw.policy.redact import is_secret, log_text

MAX_MESSAGE = 8192
"""Characters of a message."""

MAX_TRACEBACK = 24576
"""Characters of a traceback; what is left out is its beginning, for the error stands at its end."""

Record = dict[str, Any]


def record(event: LogEvent) -> Record:
    """
    What may be logged of an event.

    :return: ``time`` (UTC, RFC 3339), ``level``, ``namespace``, ``message``; ``traceback``, ``request_id`` and
        ``worker`` where they are known; and what the event has as ``fields``. All of it can be JSON.
    """
    known = {name: "*" if is_secret(name) else value for name, value in event.items()}
    level: Any = event.get("log_level") or LogLevel.info
    seconds = event.get("log_time")
    time = datetime.now(timezone.utc) if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
    traceback = _traceback(event)
    message = formatEvent(known).rstrip("\n")
    if not message and traceback:
        message = traceback.rpartition("\n")[2]
    made: Record = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z",
        "level": level.name,
        "namespace": str(event.get("log_namespace", "-")),
        "message": log_text(message[:MAX_MESSAGE]),
    }
    if traceback:
        made["traceback"] = log_text(traceback[-MAX_TRACEBACK:])
    for name in ("request_id", "worker"):
        if name in event:
            made[name] = event[name]
    fields = event.get("fields")
    if isinstance(fields, Mapping):
        made.update(fields)
    return made


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        try:
            return failure.getTraceback().rstrip("\n")
        except Exception:
            return "(UNABLE TO OBTAIN TRACEBACK FROM EVENT)"
    told = event.get("traceback")
    return told if isinstance(told, str) else ""


class _Appended(LogFile):
    """Lines go to its end, wherever that is by then: while one process follows another, both write."""

    def _openFile(self) -> None:
        super()._openFile()
        file = self._file.fileno()
        fcntl(file, F_SETFL, fcntl(file, F_GETFL) | os.O_APPEND)


class ErrorLog:
    """
    :param form: ``text`` or ``json``; may be changed at any time.

    It writes where twistd would.
    """

    _log = Logger()

    def __init__(self, form: str) -> None:
        self.form = form
        self._file: LogFile | None = None

    def line(self, event: LogEvent) -> str:
        """One of JSON, or of text with those of a traceback below it; with the line end."""
        made = record(event)
        if self.form == "json":
            return json.dumps(made, default=str) + "\n"
        traceback = made.get("traceback")
        text = made["message"] if traceback is None else f"{made['message']}\n{traceback}"
        system = event.get("log_system") or f"{made['namespace']}#{made['level']}"
        text = text.replace("\n", "\n\t")
        return f"{formatTime(event.get('log_time'))} [{log_text(str(system))}] {text}\n"

    def observer(self, twistd: Mapping[str, Any]) -> ILogObserver | None:
        """
        What writes to where twistd's options have its log; None where they are of no use, which twistd will tell.

        :raises OSError: the file can't be opened.
        """
        if twistd.get("syslog"):
            from twisted.python.syslog import SyslogObserver

            emit: Any = SyslogObserver(twistd.get("prefix") or "").emit
            return self._told(LegacyLogObserverWrapper(emit))
        path, daemon = twistd.get("logfile") or "", not twistd.get("nodaemon")
        if path == "-" and daemon:
            return None
        if path == "-" or not (path or daemon):
            return FileLogObserver(sys.stdout, self.line)
        self._file = _Appended.fromFullPath(path or "twistd.log")
        return FileLogObserver(cast(IO[Any], self._file), self.line)

    def _told(self, observer: Callable[[LogEvent], None]) -> ILogObserver:
        """For an observer that has a form and a time of its own."""

        def tell(event: LogEvent) -> None:
            made = record(event)
            text = made["message"]
            if self.form == "json":
                text = json.dumps(made, default=str)
            elif "traceback" in made:
                text = f"{text}\n{made['traceback']}"
            kept: LogEvent = {
                name: event[name] for name in ("log_level", "log_namespace", "log_system", "log_time") if name in event
            }
            observer({**kept, "log_format": "{text}", "text": text})

        written: ILogObserver = provider(ILogObserver)(tell)
        return written

    def reopen(self) -> None:
        """Open its file anew: the old one was rotated away. Where that fails, the old one stays in use."""
        if self._file is None:
            return
        try:
            with Path(self._file.path).open("ab"):
                self._file.reopen()
        except OSError as failed:
            self._log.error("can't open {path} anew: {why}", path=self._file.path, why=failed.strerror)
