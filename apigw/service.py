"""The running gateway: its start, its signals, its reloads and its end."""

from __future__ import annotations

import gc
import os
import signal
import sys
from random import Random
from time import monotonic, time
from typing import Any, TextIO

from attrs import evolve
from prometheus_client import CollectorRegistry
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger, globalLogPublisher

from apigw import __version__
from apigw.admin.actions import ROUTE, NotPossible, Steering
from apigw.admin.done import NOTHING, Done, Handed
from apigw.admin.live import Live
from apigw.admin.revocations import all_lines, take
from apigw.config import ConfigErrors, GatewayConfig
from apigw.config.steps import Steps, whole
from apigw.dates import HttpDate
from apigw.demo import tour
from apigw.doors import Door, Doors
from apigw.loop import lean
from apigw.notify import SILENT, Notify
from apigw.policy.token_counts import TokenCounts
from apigw.reload import CannotStart, Commit, Reload, Source, in_turns
from apigw.sockets import Sockets
from apigw.starting import when_stopping
from apigw.telemetry.error_log import ErrorLog
from apigw.telemetry.http2 import Http2Metrics
from apigw.telemetry.levels import LogLevels
from apigw.telemetry.lines import LineWriter, target
from apigw.telemetry.metrics import GatewayMetrics
from apigw.telemetry.recent import Recent
from apigw.telemetry.reloads import Reloads
from apigw.telemetry.tls import TlsMetrics
from apigw.telemetry.tokens import TokenMetrics
from apigw.transports import Yields
from apigw.upgrade import Upgrade
from apigw.upstreams import UpstreamBuilder
from apigw.wiring import Around, Wiring

__all__ = ["CannotStart", "Gateway", "Source"]

GC_THRESHOLDS = (10_000, 20) if sys.version_info >= (3, 14) else (10_000, 2, 50)
"""
Requests leave no cyclic garbage, so the collector has little to find; with the stock threshold of 700 it took 8 % of
the time of a request. What a reload makes is young all at once: with more than 30,000 objects to a collection of the
middle generation one stops the loop for 50 ms. What cycles others leave (TLS to services, say) goes with every fiftieth
of those. From Python 3.14 on the collector goes in steps by itself.
"""


class Gateway(MultiService):
    """
    :param config: validated.
    :param source: where it came from, for reloads.
    :param sockets: opens the listeners.
    :param upgrade: starts the process that follows this one.
    :param notify: tells the service manager.
    :param handed: what the process before has told this one.
    :raises CannotStart: a listener's address is taken or not permitted, a file can't be opened.

    Listeners are bound here, before twistd becomes a daemon and sheds its privileges, so that a taken port is an
    error message and an exit status, not a daemon that nobody can reach. Nothing is accepted until the reactor runs.
    """

    _log = Logger()
    yields: Yields | None = None
    """Other processes accept from the same sockets, and one speaks for all; see :mod:`apigw.workers.share`."""

    def __init__(
        self,
        config: GatewayConfig,
        reactor: Any,
        source: Source,
        sockets: Sockets,
        upgrade: Upgrade | None = None,
        notify: Notify = SILENT,
        handed: Handed = NOTHING,
    ) -> None:
        super().__init__()
        self._config = config
        self._given = config
        self._maintenance: dict[str, float] = {}
        self.error_log = ErrorLog(config.gateway.error_log)
        self._levels = LogLevels(globalLogPublisher, config.gateway.log_level)
        self._reactor = reactor
        self._started = monotonic()
        self._draining = False
        self._lines = self._line_writer(config.gateway.access_log)
        self._log_to = config.gateway.access_log
        self._builder = UpstreamBuilder(reactor, monotonic, Random(), config.discovery)
        self._reloads = Reloads(time())
        self._source = source
        self._upgrade = upgrade
        self._notify = notify
        self._handed = handed
        self._done = Done(handed_on=lambda: upgrade is not None and upgrade.under_way)
        self._passed_on = False
        self.reload = Reload(source, self.prepare, self._reloads, notify)
        self._date = HttpDate()
        self._pseudonym = f"apigw-{os.urandom(4).hex()}"
        self._token_counts = TokenCounts()
        self._doors = Doors(reactor, sockets, self.yields)
        self._metrics = None if config.admin is None else self._build_metrics()
        self._live = None if self._metrics is None else self._build_live(self._metrics)
        self._wiring = Wiring(config, self._around())
        whole(self._wiring.build())
        take(handed.revocations, self._wiring.revocations)
        opened = self._doors.prepare(config, self._wiring)
        sockets.close()
        opened.take()
        self._adopt()

    def _around(self) -> Around:
        return Around(
            self._reactor,
            monotonic,
            time,
            self._date,
            self._builder,
            self._lines,
            self._metrics,
            self._reloads,
            self.reload,
            self._pseudonym,
            self._uptime,
            lambda: self._draining,
            self._token_counts,
            self._live,
            Steering(self._maintain, lambda: self._maintenance, self._levels, self._source.loading, self._done),
            private=self.yields is not None,
        )

    def _line_writer(self, where: str) -> LineWriter | None:
        if where == "off":
            return None
        try:
            return LineWriter(target(where, self.yields is not None), self._reactor)
        except OSError as failed:
            raise _no_log(where, failed) from None

    def _build_metrics(self) -> GatewayMetrics:
        registry = CollectorRegistry()
        registry.register(self._reloads)
        registry.register(TokenMetrics(self._token_counts))
        registry.register(TlsMetrics(self._doors.tls, time))
        registry.register(Http2Metrics(self._doors.http2))
        return GatewayMetrics(registry, __version__, lambda: self._wiring.states(), self._reactor, monotonic)

    def _build_live(self, metrics: GatewayMetrics) -> Live:
        requests = metrics.requests
        instance: dict[str, object] = {"id": self._pseudonym, "version": __version__, "started": round(time(), 3)}
        return Live(
            Recent(monotonic),
            lambda: requests.active,
            lambda: self._wiring.seen(),
            self._reactor,
            monotonic,
            time,
            instance,
        )

    def _adopt(self) -> None:
        """Let what was made with new services start and stop with the gateway."""
        for child in (*self._builder.demos.values(), *self._builder.watches):
            if child.parent is None:
                child.setServiceParent(self)

    # -- another configuration ---------------------------------------------------------------------------------------

    async def prepare(self, text: str) -> Commit:
        """
        Make ready all that the text of another configuration asks for, beside what there is.

        :raises ConfigErrors: :raises CannotStart: it can't be used; nothing has changed.
        """
        config = await in_turns(self._source.loading(text), self._reactor)
        return await in_turns(self._prepare(config), self._reactor)

    async def _maintain(self, name: str, seconds: float) -> None:
        """
        Close a service or a route, or all where it has no name, for maintenance; open it again after 0.0 seconds.

        :raises NotPossible: what is configured can't be had any more, such as a certificate's file.
        """
        before = self._maintenance
        self._maintenance = {**before, name: seconds}

        async def again() -> Commit:
            return await in_turns(self._prepare(self._given), self._reactor)

        try:
            await self.reload.by(again)
        except (ConfigErrors, CannotStart) as wrong:
            self._maintenance = before
            raise NotPossible(str(wrong)) from None

    def _closed(self, config: GatewayConfig) -> GatewayConfig:
        """With what operators have said of maintenance."""
        said = self._maintenance
        if not said:
            return config
        gateway = evolve(config.gateway, maintenance=said.get("", config.gateway.maintenance))
        services = tuple(evolve(one, maintenance=said.get(one.name, one.maintenance)) for one in config.services)
        routes = tuple(
            evolve(one, maintenance=said.get(f"{ROUTE}{one.name}", one.maintenance)) for one in config.routes
        )
        return evolve(config, gateway=gateway, services=services, routes=routes)

    def _prepare(self, config: GatewayConfig) -> Steps[Commit]:
        given, config = config, self._closed(config)
        where = config.gateway.access_log
        lines, metrics, live = self._lines, self._metrics, self._live
        turned = None
        if where not in (self._log_to, "off"):
            try:
                turned = target(where, self.yields is not None)
            except OSError as failed:
                raise _no_log(where, failed) from None
        if lines is None and turned is not None:
            self._lines = LineWriter(turned, self._reactor)
        if metrics is None and config.admin is not None:
            self._metrics = self._build_metrics()
            self._live = self._build_live(self._metrics)
        wiring = Wiring(config, self._around(), self._wiring.kept)

        def back() -> None:
            wiring.give_up()
            self._lines, self._metrics, self._live = lines, metrics, live
            if turned is not None:
                turned.close()

        try:
            yield from wiring.build()
            opened = self._doors.prepare(config, wiring)
        except BaseException:
            back()
            raise

        def take() -> None:
            if config.gateway.log_level != self._config.gateway.log_level:
                self._levels.set(config.gateway.log_level)
            self.error_log.form = config.gateway.error_log
            self._config, self._given, self._wiring = config, given, wiring
            if turned is not None:
                self._log_to = where
                if lines is not None:
                    lines.turn(turned)
                elif self._lines is not None:
                    self._lines.start()
            if metrics is None and self._metrics is not None:
                self._metrics.lag.start()
            if live is None and self._live is not None:
                self._live.start()
            wiring.commit()
            opened.take()
            self._adopt()

        def give_up() -> None:
            opened.give_up()
            back()

        return Commit(take, give_up)

    # -- running -------------------------------------------------------------------------------------------------

    def startService(self) -> None:
        when_stopping(self._reactor, self._asked_to_stop)
        super().startService()
        if self._lines is not None:
            self._lines.start()
        if self._metrics is not None:
            self._metrics.lag.start()
        if self._live is not None:
            self._live.start()
        self._levels.install()
        lean(self._reactor)
        self._wiring.commit()
        if self.yields is None:
            self._builder.start_checks()
        self.take_signals()
        self._doors.start()
        if self._builder.demos and self.yields is None and sys.__stdout__ is not None:
            self._greet(sys.__stdout__)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        known = self._wiring.known()
        if not known.called or self._handed.done:
            self._doors.hold()
        known.addCallback(lambda _: self._reactor.callWhenRunning(self._repeat))

    def _repeat(self) -> None:
        """Do what operators have had the process before do, and only then let clients in."""
        Deferred.fromCoroutine(self._repeat_all()).addCallback(lambda _: self.knows())

    async def _repeat_all(self) -> None:
        for asking in self._handed.done:
            try:
                if self._wiring.api is not None:
                    await self._wiring.api.repeat(asking)
            except Exception as error:  # whatever it is, clients wait
                what = b" ".join((asking[1], asking[3])).decode("utf-8", "replace")
                self._log.warn("can't be done again: {what}: {error}", what=what, error=error)

    def knows(self) -> None:
        """It knows all that it needs to: clients may come."""
        if not self._draining:
            self._doors.let_in()
            self._notify.ready("accepts connections")

    def _greet(self, out: TextIO) -> None:
        """Say what may be tried with the embedded services."""
        doors = self._doors.all
        lines = ["", "Try:", *tour(_url(doors[0], 8080)), ""]
        admin = self._config.admin
        if admin is not None and not admin.token:
            lines += [f"And look: {_url(doors[-1], 9900)}/", ""]
        out.write("\n".join([*lines, ""]))
        out.flush()

    def stopService(self) -> Deferred[Any]:
        """
        End in order: stop listening, let requests in flight finish, cut what is left after ``drain_timeout``.

        :return: fires when all is ended; bounded by ``drain_timeout`` and a little.
        """
        self._draining = True
        self._notify.stopping(self._config.gateway.drain_timeout)
        if self._live is not None:
            self._live.close()
        followed = succeed(None) if self._upgrade is None else self._upgrade.stop()
        ended = self._doors.close(self._passed_on)
        # Not before: who loses an idle connection makes another at once, which had better be refused than cut.
        ended.addBoth(lambda _: self._doors.drain(self._config.gateway.drain_timeout))
        ended.addBoth(self._close_rest)
        ended.addBoth(lambda _: followed)
        return ended

    def _close_rest(self, result: object) -> Deferred[Any]:
        if self._metrics is not None:
            self._metrics.lag.stop()
        if self._live is not None:
            self._live.stop()
        self._levels.uninstall()
        self._builder.stop_checks()
        self._doors.unwatch()
        return self._wiring.stop().addBoth(self._close_last)

    def _close_last(self, result: object) -> Deferred[Any]:
        if self._lines is not None:
            self._lines.close()
        self._notify.close()
        return maybeDeferred(super().stopService)

    def take_signals(self) -> None:
        """Those that don't stop it."""
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._asked_to_reload))
        signal.signal(signal.SIGUSR1, lambda *_: self._reactor.callFromThread(self._asked_to_reopen))
        if self._upgrade is not None:
            signal.signal(signal.SIGUSR2, lambda *_: self._reactor.callFromThread(self._asked_to_upgrade))

    def _asked_to_stop(self, number: int) -> None:
        """Drain; who asks twice doesn't want to wait for that."""
        self._log.info("{name}: {doing}", name=signal.Signals(number).name, doing="cut" if self._draining else "drain")
        if self._draining:
            self._doors.abort()
        else:
            self._draining = True  # before the reactor comes to stopService, for the next signal may be due as well
            self._reactor.stop()

    def _asked_to_upgrade(self) -> None:
        if self._upgrade is not None and not self._draining:
            handed = Handed(tuple(self._done), all_lines(self._wiring.revocations))
            self._upgrade(self._doors.descriptors(), handed, self._follow)

    def _follow(self) -> None:
        """Another process accepts connections now."""
        if not self._draining:
            self._draining = self._passed_on = True
            self._reactor.stop()

    def _asked_to_reload(self) -> None:
        """The log file is reopened too, for it may have been moved away."""
        self.reopen()
        if self._upgrade is not None:
            self._upgrade.pass_on("HUP")
        if not self._draining:
            self.reload()

    def _asked_to_reopen(self) -> None:
        self.reopen()
        if self._upgrade is not None:
            self._upgrade.pass_on("USR1")

    def reopen(self) -> None:
        """Open the files of the logs anew."""
        self.error_log.reopen()
        if self._lines is not None:
            self._lines.reopen()

    def _uptime(self) -> float:
        return monotonic() - self._started


def _no_log(where: str, failed: OSError) -> CannotStart:
    return CannotStart(f"[gateway] access_log: can't open {where}: {failed.strerror}")


def _url(door: Door, otherwise: int) -> str:
    """:param otherwise: the port of one that has none."""
    where = None if door.port is None else door.port.getHost()
    return f"http://127.0.0.1:{getattr(where, 'port', otherwise)}"
