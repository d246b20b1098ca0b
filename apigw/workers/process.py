"""One worker, as its supervisor sees it: a process, the connection to it, and what it writes."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from apigw.workers import commands
from apigw.workers.log import relay
from apigw.workers.passing import Start

MAX_LINE = 65536
"""Bytes of a line of its log; what has no end until then is told as it is."""


class Watching(Protocol):
    """Whom a worker's process tells."""

    def ready(self, worker: WorkerProcess) -> None: ...

    def verdict(self, worker: WorkerProcess, service: str, peer: str, healthy: bool, reason: str) -> None: ...

    def revoked(self, lines: str) -> None: ...

    def ended(self, worker: WorkerProcess, why: str) -> None: ...


class Link(amp.AMP):
    """The supervisor's end of the connection."""

    def __init__(self, worker: WorkerProcess, watching: Watching) -> None:
        super().__init__()
        self._worker = worker
        self._watching = watching

    @commands.Ready.responder
    def _ready(self) -> dict[str, Any]:
        self._watching.ready(self._worker)
        return {}

    @commands.Verdict.responder
    def _verdict(self, service: str, peer: str, healthy: bool, reason: str) -> dict[str, Any]:
        self._watching.verdict(self._worker, service, peer, healthy, reason)
        return {}

    @commands.Revoked.responder
    def _revoked(self, lines: str) -> dict[str, Any]:
        self._watching.revoked(lines)
        return {}


class WorkerProcess(ProcessProtocol):
    """
    :param number: from 0.
    :param admin: path of the socket on which it answers.

    :ivar is_ready: it answers operators. :ivar accepts: and clients.
    :ivar checks: it checks the peers for all.
    :ivar stopping: it was told to end.
    :ivar outdated: it has begun with a configuration that isn't in force any more, and will not accept clients.
    :ivar began: monotonic seconds.
    """

    _log = Logger()

    def __init__(self, number: int, admin: str, watching: Watching, reactor: Any) -> None:
        self.number = number
        self.admin = admin
        self.is_ready = False
        self.accepts = False
        self.checks = False
        self.stopping = False
        self.outdated = False
        self.began = monotonic()
        self.pid = 0
        self.link = Link(self, watching)
        self._watching = watching
        self._reactor = reactor
        self._line = b""
        self.ended: Deferred[None] = Deferred()

    def start(
        self, arguments: Sequence[str], environ: Mapping[str, str], descriptors: Sequence[int], text: int, shares: int
    ) -> None:
        """
        :param arguments: of twistd.
        :param descriptors: that it inherits by the same numbers.
        :param text: of a file with its configuration, one of these.
        :param shares: of the memory with what each worker has to do, one of these.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        control = theirs.fileno()
        start = Start(self.number, control, text, shares, self.admin)
        ours.setblocking(False)
        factory = Factory.forProtocol(lambda: self.link)
        factory.noisy = False
        self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, factory)
        ours.close()
        inherited: dict[int, int | str] = {one: one for one in (0, 1, control, *descriptors)}
        process: IProcessTransport = self._reactor.spawnProcess(
            self,
            sys.executable,
            [sys.executable, "-m", "apigw.workers", *arguments],
            env={**environ, **start.environment()},
            path=None,
            childFDs={**inherited, 2: "r"},
        )
        theirs.close()
        self.pid = int(process.pid)

    def signal(self, number: signal.Signals) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass  # it will be told in a moment

    def stop(self) -> None:
        """Let it end in order; once more: at once."""
        self.stopping = True
        self.signal(signal.SIGTERM)

    # -- what it writes, and its end ---------------------------------------------------------------------------------

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            relay(self.number, line.decode("utf-8", "replace"))
        if len(self._line) > MAX_LINE:
            relay(self.number, self._line.decode("utf-8", "replace"))
            self._line = b""

    def processEnded(self, reason: Failure) -> None:
        if self._line:
            relay(self.number, self._line.decode("utf-8", "replace"))
        if self.link.transport is not None:
            self.link.transport.loseConnection()
        value: Any = reason.value
        why = f"signal {value.signal}" if value.signal is not None else f"exit status {value.exitCode}"
        self._watching.ended(self, why)
        self.ended.callback(None)
