"""One of several processes that share the listeners: a gateway that does what its supervisor says."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from shutil import rmtree
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from apigw.config import GatewayConfig
from apigw.config.endpoints import ListenEndpoint
from apigw.config.steps import Steps
from apigw.reload import Commit, Source
from apigw.service import Gateway
from apigw.sockets import Sockets
from apigw.state.shared import SharedMemory
from apigw.workers import commands
from apigw.workers.control import Control
from apigw.workers.passing import Start
from apigw.workers.revoked import Telling
from apigw.workers.share import Share, Shares


class Worker(Gateway):
    """
    :param start: what the supervisor has given it.

    It stops when the supervisor is gone, in the same orderly way as when it is told to.
    """

    _log = Logger()

    def __init__(self, config: GatewayConfig, reactor: Any, source: Source, sockets: Sockets, start: Start) -> None:
        self._start = start
        self._sockets = sockets
        self._shares = Shares(start.shares)
        self.yields = share = Share(self._shares, start.number)
        super().__init__(self._private(config), reactor, source, sockets)
        share.connections = self._doors.connections
        share()
        self._doors.hold()
        os.close(start.text)
        os.close(start.shares)
        self._control = Control(self)
        self._builder.on_verdict = self._control.verdict
        self._telling = Telling(self._wiring.revocations, self._control.revoked, reactor)

    def _private(self, config: GatewayConfig) -> GatewayConfig:
        """With the admin listener where only the supervisor asks."""
        if config.admin is None:
            return config
        path = self._start.admin
        where = ListenEndpoint(f"unix:{path}", "unix", path=path)
        return evolve(config, admin=evolve(config.admin, endpoint=where))

    def _prepare(self, config: GatewayConfig) -> Steps[Commit]:
        return super()._prepare(self._private(config))

    def startService(self) -> None:
        descriptor = self._start.control
        os.set_blocking(descriptor, False)
        factory = Factory.forProtocol(lambda: self._control)
        factory.noisy = False
        self._reactor.adoptStreamConnection(descriptor, socket.AF_UNIX, factory)
        os.close(descriptor)
        super().startService()

    def knows(self) -> None:
        """What only the supervisor knows comes next."""
        self._control.callRemote(commands.Ready)

    def stopService(self) -> Deferred[Any]:
        self._shares.gone(self._start.number)
        return super().stopService()

    def take_signals(self) -> None:
        """What a terminal or an operator sends to all processes is for the supervisor, which passes it on."""
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)

    def _asked_to_stop(self, number: int) -> None:
        if number != signal.SIGINT:
            super()._asked_to_stop(number)

    # -- told by the supervisor --------------------------------------------------------------------------------------

    def check(self) -> None:
        """Check the peers, for all workers."""
        self._builder.start_checks()

    def know(self, lines: str) -> None:
        self._telling.know(lines)

    def accept(self) -> None:
        """It knows all that the other workers know."""
        self._doors.let_in()

    def told(self, service: str, peer: str, healthy: bool, reason: str) -> None:
        self._builder.told(service, peer, healthy, reason)

    def listen(self, where: str, descriptor: int) -> None:
        self._sockets.add(where, descriptor)

    def lost(self) -> None:
        """There is no supervisor any more."""
        if not self._draining:
            self._log.warn("the supervisor is gone")
            if self._start.admin:
                rmtree(Path(self._start.admin).parent, ignore_errors=True)
            memory = SharedMemory.passed(os.environ)
            if memory is not None:
                rmtree(memory.directory, ignore_errors=True)
            self._draining = True
            self._reactor.stop()
