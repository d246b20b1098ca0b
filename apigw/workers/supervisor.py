"""Starts the workers, watches and replaces them, holds the sockets, and speaks for all of them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import monotonic, time
from typing import Any

from attrs import define, evolve
from prometheus_client import CollectorRegistry
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList, gatherResults, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, globalLogPublisher

from apigw.admin.done import Done, Handed
from apigw.config import GatewayConfig
from apigw.config.endpoints import ListenEndpoint
from apigw.doors import Doors
from apigw.notify import Notify
from apigw.policy.gcra import CAPACITY
from apigw.reload import CannotStart, Commit, Reload, Source, in_turns
from apigw.sockets import PASSED as SOCKETS_PASSED
from apigw.sockets import Sockets, passing
from apigw.starting import end, when_running, when_stopping
from apigw.state.directory import make
from apigw.state.shared import SharedMemory
from apigw.telemetry.error_log import ErrorLog
from apigw.telemetry.levels import LogLevels
from apigw.telemetry.lines import LineWriter, target
from apigw.telemetry.reloads import Reloads
from apigw.upgrade import Upgrade
from apigw.workers import commands
from apigw.workers.admin import AdminWiring
from apigw.workers.gather import PATIENCE
from apigw.workers.merge import Ledger
from apigw.workers.passing import file_of
from apigw.workers.process import WorkerProcess
from apigw.workers.revoked import Known
from apigw.workers.share import Shares, create
from apigw.workers.states import Workers

EARLY = 5.0
"""Seconds in which a worker that ends has ended at once: something is wrong, and the next one waits."""

PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds until the next one, as more and more end at once; the last for all that follow."""

READY_WITHIN = 60.0
"""Seconds in which a worker must accept connections, or take a new configuration."""

PING_EVERY, PING_WITHIN = 5.0, 30.0
"""Seconds between two looks whether a worker's loop turns, and in which it must say so; past them it is killed."""

GRACE = 5.0
"""Seconds beyond ``drain_timeout`` that workers have to end."""


MOST = 64
"""Workers that a reload may ask for, or as many as there are at the start if that is more."""


@define(eq=False)
class Held:
    """
    A listener's socket; workers have duplicates of it.

    :ivar header: of its section.
    """

    header: str
    where: ListenEndpoint
    socket: socket.socket


class Supervisor(MultiService):
    """
    :param text: that ``config`` was read from.
    :param arguments: of twistd, for the workers.
    :param upgrade: starts the process that follows this one.
    :param notify: tells the service manager.
    :param handed: what the process before has told this one.

    :ivar all_ready: fires when all workers accept connections for the first time.
    :raises CannotStart: a listener's address is taken or not permitted, a file can't be opened.
    """

    _log = Logger()

    def __init__(
        self,
        config: GatewayConfig,
        reactor: Any,
        source: Source,
        sockets: Sockets,
        text: str,
        arguments: Sequence[str],
        upgrade: Upgrade,
        notify: Notify,
        handed: Handed,
    ) -> None:
        super().__init__()
        self._config = config
        self._reactor = reactor
        self._source = source
        self._sockets = sockets
        self._text = file_of(text)
        self._arguments = arguments
        self._directory = ""
        self._lock = -1
        self._draining = False
        self._upgrade = upgrade
        self._notify = notify
        self._passed_on = False
        self.all_ready: Deferred[None] = Deferred()
        self._verdicts: dict[tuple[str, str], tuple[bool, str]] = {}
        self._checker: WorkerProcess | None = None
        self._slots: dict[int, WorkerProcess] = {}
        self._leaving: set[WorkerProcess] = set()
        self._waiting: dict[int, IDelayedCall] = {}
        self._early: dict[int, int] = {}
        self._started = 0
        self._ever_ready = False
        self.failed = False
        self._ledger = Ledger()
        self._reloads = Reloads(time())
        self.error_log = ErrorLog(config.gateway.error_log)
        self._levels = LogLevels(globalLogPublisher, config.gateway.log_level)
        self._counts = Workers(lambda: self._slots, self.ready_workers)
        self.reload = Reload(source, self.prepare, self._reloads, notify)
        self._pings = LoopingCall(self._ping)
        self._pings.clock = reactor
        self._most = max(config.gateway.workers, MOST)
        self._shared = create(self._most)
        self._shares = Shares(self._shared)
        registry = CollectorRegistry()
        registry.register(self._reloads)
        registry.register(self._counts)
        where = config.gateway.access_log
        try:
            self._lines = None if where == "off" else LineWriter(target(where, shared=True), reactor)
        except OSError as failed:
            raise CannotStart(f"[gateway] access_log: can't open {where}: {failed.strerror}") from None
        self._known = Known(time, config.revocation.entries)
        self._known.told(handed.revocations)
        self._done = Done(handed.done, lambda: upgrade.under_way)
        self._admin = AdminWiring(
            self.ready_workers,
            self.reload,
            self._reloads,
            self._counts,
            registry,
            self._ledger,
            self._lines,
            reactor,
            self._known,
            self._done,
        )
        self._held = self._open(config, [])
        self._doors = Doors(reactor, sockets)
        self._open_admin(config).take()
        sockets.close()
        self._memory = SharedMemory.create(CAPACITY if config.limits is None else config.limits.keys, self._most)

    # -- sockets -------------------------------------------------------------------------------------------------------

    def _open(self, config: GatewayConfig, before: Sequence[Held]) -> list[Held]:
        """:return: those of the listeners, in their order; new ones are opened. :raises CannotStart:"""
        left = list(before)
        held: list[Held] = []
        opened: list[Held] = []
        for listener in config.listeners:
            header, where = f"listener:{listener.name}", listener.endpoint
            there = [one for one in left if one.where.text == where.text]
            same = next((one for one in there if one.header == header), None)
            if same is None and there and where.port != 0:
                same = there[0]
            if same is not None:
                left.remove(same)
                held.append(evolve(same, header=header))
                continue
            try:
                made = Held(header, where, self._sockets.open(where))
            except (OSError, ValueError) as error:
                for one in opened:
                    one.socket.close()
                reason = getattr(error, "strerror", None) or str(error)
                raise CannotStart(f"[{header}] endpoint: {where}: {reason}") from None
            opened.append(made)
            held.append(made)
        return held

    def _close(self, held: Held, passed_on: bool = False) -> None:
        held.socket.close()
        if held.where.family == "unix" and not passed_on:
            Path(held.where.path).unlink(missing_ok=True)

    def _open_admin(self, config: GatewayConfig) -> Commit:
        way = self._admin.build(config) if config.admin is not None else None
        ways: Any = _Ways(way)
        return self._doors.prepare(evolve(config, listeners=()), ways)

    def descriptors(self) -> dict[str, list[int]]:
        """Of all sockets, by their endpoints' texts."""
        found = self._doors.descriptors()
        for held in self._held:
            found.setdefault(held.where.text, []).append(held.socket.fileno())
        return found

    # -- workers -------------------------------------------------------------------------------------------------------

    def ready_workers(self) -> list[WorkerProcess]:
        return [worker for worker in self._slots.values() if worker.is_ready]

    def _accepting(self) -> int:
        return sum(worker.accepts for worker in self.ready_workers())

    def _start(self, number: int) -> None:
        self._waiting.pop(number, None)
        self._started += 1
        admin = f"{self._directory}/{number}.{self._started}.sock" if self._config.admin is not None else ""
        worker = WorkerProcess(number, admin, self, self._reactor)
        given: dict[str, list[int]] = {}
        for held in self._held:
            given.setdefault(held.where.text, []).append(held.socket.fileno())
        descriptors = [one for several in given.values() for one in several]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("LISTEN_")}
        environ[SOCKETS_PASSED] = passing(given)
        descriptors += self._memory.descriptors
        environ |= self._memory.environment(number)
        self._slots[number] = worker
        self._counts.starts += 1
        worker.start(self._arguments, environ, [*descriptors, self._text, self._shared], self._text, self._shared)
        self._reactor.callLater(READY_WITHIN, self._late, worker)

    def _late(self, worker: WorkerProcess) -> None:
        if not worker.is_ready and self._slots.get(worker.number) is worker:
            self._log.error("worker {number} is not ready: killed", number=worker.number)
            worker.signal(signal.SIGKILL)

    def ready(self, worker: WorkerProcess) -> None:
        """It could accept connections."""
        if worker.outdated:
            return
        worker.is_ready = self._ever_ready = True
        for (service, peer), (healthy, reason) in self._verdicts.items():
            self._tell(worker, service, peer, healthy, reason)
        _asked(self.reload.between(lambda: self._let_in(worker)))

    async def _let_in(self, worker: WorkerProcess) -> None:
        """
        Have it do what operators have had the others do, and only then accept connections. Not while a configuration is
        being taken: it would have to end again, with requests under way.
        """
        if worker.outdated:
            return
        try:
            await self._admin.changes.run(self._tell_all, worker)
        except Exception as error:
            if not (worker.stopping or self._draining):
                self._log.error("worker {number} can't be told what holds: {error}", number=worker.number, error=error)
                worker.signal(signal.SIGKILL)
            return
        self._log.info("worker {number} is ready, process {pid}", number=worker.number, pid=worker.pid)
        if self._checker is None:
            self._choose_checker()
        if not self.all_ready.called and self._accepting() >= self._config.gateway.workers:
            self.all_ready.callback(None)
            self._notify.ready(self._status())
        self._tell_manager()

    async def _tell_all(self, worker: WorkerProcess) -> None:
        if self._admin.gather is not None:
            await self._admin.gather.repeat(worker)
        lines = file_of(self._known.text())
        told = _closing(worker.link.callRemote(commands.Know, lines=lines), lines)
        await told.addTimeout(PATIENCE, self._reactor)
        await worker.link.callRemote(commands.Accept).addTimeout(PATIENCE, self._reactor)
        worker.accepts = True

    def revoked(self, lines: str) -> None:
        """A worker knows of it, from wherever; those that start later shall, too."""
        self._known.told(lines)

    def _tell_manager(self) -> None:
        if not self._draining:
            self._notify.status(self._status())

    def _status(self) -> str:
        return f"{self._accepting()} of {self._config.gateway.workers} workers accept connections"

    def _choose_checker(self) -> None:
        """The peers are checked once for all workers."""
        self._checker = next(iter(self.ready_workers()), None)
        if self._checker is not None:
            self._checker.checks = True
            self._checker.link.callRemote(commands.Check)

    def verdict(self, worker: WorkerProcess, service: str, peer: str, healthy: bool, reason: str) -> None:
        self._verdicts[service, peer] = (healthy, reason)
        for other in self.ready_workers():
            if other is not worker:
                self._tell(other, service, peer, healthy, reason)

    @staticmethod
    def _tell(worker: WorkerProcess, service: str, peer: str, healthy: bool, reason: str) -> None:
        worker.link.callRemote(commands.Verdict, service=service, peer=peer, healthy=healthy, reason=reason)

    def ended(self, worker: WorkerProcess, why: str) -> None:
        """A worker's process is no more."""
        number = worker.number
        worker.is_ready = False
        self._tell_manager()
        self._ledger.forget(worker.pid)
        if worker.admin:
            Path(worker.admin).unlink(missing_ok=True)
        self._leaving.discard(worker)
        mine = self._slots.get(number) is worker
        if mine or number not in self._slots:
            self._shares.gone(number)
        if mine:
            del self._slots[number]
        if self._checker is worker:
            self._checker = None
            self._choose_checker()
        if worker.stopping or self._draining or not mine:
            return
        if worker.outdated:
            self._log.info("worker {number} begins again, with the configuration in force", number=number)
            self._start(number)
            return
        if not self._ever_ready:
            self._give_up(number, why)
            return
        lived = monotonic() - worker.began
        early = self._early[number] = self._early.get(number, 0) + 1 if lived < EARLY else 0
        pause = PAUSES[min(early - 1, len(PAUSES) - 1)] if early else 0.0
        self._counts.ends += 1
        self._log.warn(
            "worker {number} has ended after {lived} s: {why}; the next one starts in {pause} s",
            number=number,
            lived=round(lived, 1),
            why=why,
            pause=pause,
        )
        self._waiting[number] = self._reactor.callLater(pause, self._start, number)

    def _give_up(self, number: int, why: str) -> None:
        """The first one of all doesn't come up: nor would any other."""
        self._log.error("worker {number} can't start: {why}", number=number, why=why)
        if not self.failed:
            self.failed = True
            self._draining = True
            end(self._reactor)

    def _ping(self) -> None:
        for worker in self.ready_workers():
            asked = worker.link.callRemote(commands.Ping).addTimeout(PING_WITHIN, self._reactor)
            asked.addErrback(lambda _, worker=worker: self._hangs(worker))

    def _hangs(self, worker: WorkerProcess) -> None:
        if worker.is_ready and not worker.stopping and not self._draining:
            worker.is_ready = False
            self._tell_manager()
            self._log.error("worker {number} hangs: killed", number=worker.number)
            worker.signal(signal.SIGKILL)

    def _resize(self) -> None:
        """As many as are configured."""
        wanted = self._config.gateway.workers
        for number in range(wanted):
            if number not in self._slots and number not in self._waiting:
                self._start(number)
        for number in [number for number in self._slots if number >= wanted]:
            worker = self._slots.pop(number)
            self._leaving.add(worker)
            worker.is_ready = False
            worker.stop()
            if self._checker is worker:
                self._checker = None
        for number in [number for number in self._waiting if number >= wanted]:
            self._waiting.pop(number).cancel()
        if self._checker is None:
            self._choose_checker()

    # -- another configuration -----------------------------------------------------------------------------------------

    async def prepare(self, text: str) -> Commit:
        """
        Let all workers make ready what another configuration asks for.

        :raises ConfigErrors: :raises CannotStart: it can't be used; nothing has changed.
        """
        config = await in_turns(self._source.loading(text), self._reactor)
        if config.gateway.workers > self._most:
            raise CannotStart(f"[gateway] workers: there is memory for {self._most}, restart for more")
        held = self._open(config, self._held)
        new = [one for one in held if not any(one.socket is other.socket for other in self._held)]
        file = file_of(text)
        doors: list[Commit] = []
        workers = [worker for worker in self._slots.values() if worker.is_ready]

        def give_up() -> None:
            for worker in workers:
                _asked(worker.link.callRemote(commands.Abandon))
            for one in new:
                self._close(one)
            for commit in doors:
                commit.give_up()
            os.close(file)

        try:
            doors.append(self._open_admin(config))
            for reason in await self._prepare_all(workers, new, file):
                if reason:
                    raise CannotStart(reason)
        except BaseException:
            give_up()
            raise
        return Commit(partial(self._take, config, held, file, workers, doors[0]), give_up)

    async def _prepare_all(self, workers: Sequence[WorkerProcess], new: Sequence[Held], file: int) -> list[str]:
        asked = []
        for worker in workers:
            for one in new:
                listening = os.dup(one.socket.fileno())
                sent = worker.link.callRemote(commands.Listen, where=one.where.text, socket=listening)
                asked.append(_closing(sent, listening).addCallback(lambda _: ""))
            text = os.dup(file)
            made = _closing(worker.link.callRemote(commands.Prepare, text=text), text)
            asked.append(made.addCallback(lambda told: str(told["reason"])))
        answers: Any = await DeferredList(
            [one.addTimeout(READY_WITHIN, self._reactor) for one in asked], consumeErrors=True
        )
        # A worker that has died meanwhile is replaced by one that begins with the configuration that is in force then.
        return [value if good else "" for good, value in answers]

    def _take(
        self, config: GatewayConfig, held: list[Held], file: int, workers: Sequence[WorkerProcess], doors: Commit
    ) -> None:
        before, self._held = self._held, held
        if config.gateway.log_level != self._config.gateway.log_level:
            self._levels.set(config.gateway.log_level)
        self.error_log.form = config.gateway.error_log
        os.close(self._text)
        self._text = file
        self._config = config
        self._known.resize(config.revocation.entries)
        services = {service.name for service in config.services}
        self._verdicts = {key: verdict for key, verdict in self._verdicts.items() if key[0] in services}
        for worker in workers:
            _asked(worker.link.callRemote(commands.Commit))
        for worker in self._slots.values():
            if worker not in workers:
                worker.outdated = True  # nobody is served by it: it would have been let in after this
                worker.signal(signal.SIGKILL)
        doors.take()
        for one in before:
            if not any(one.socket is other.socket for other in held):
                self._close(one)
        for one in held:
            if not any(one.socket is other.socket for other in before):
                self._listens(one)
        self._resize()

    # -- running -------------------------------------------------------------------------------------------------------

    def startService(self) -> None:
        when_stopping(self._reactor, self._asked_to_stop)
        super().startService()
        self._levels.install()
        # In memory, for the file system of a container may be read-only.
        self._directory, self._lock = make()
        if self._lines is not None:
            self._lines.start()
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._asked_to_reload))
        signal.signal(signal.SIGUSR1, lambda *_: self._reactor.callFromThread(self._asked_to_reopen))
        signal.signal(signal.SIGUSR2, lambda *_: self._reactor.callFromThread(self._asked_to_upgrade))
        for held in self._held:
            self._listens(held)
        self._doors.start()
        when_running(self._reactor, self._begin)

    def _begin(self) -> None:
        self._resize()
        self._pings.start(PING_EVERY, now=False)

    def _listens(self, held: Held) -> None:
        name = held.socket.getsockname()
        what = f"UNIXAddress({name!r})"
        if held.socket.family != socket.AF_UNIX:
            kind = "IPv6Address" if held.socket.family == socket.AF_INET6 else "IPv4Address"
            what = f"{kind}(type='TCP', host={name[0]!r}, port={name[1]})"
        self._log.info("[{header}] {address}", header=held.header, address=what)

    def _asked_to_reload(self) -> None:
        self._reopen()
        self._upgrade.pass_on("HUP")
        if not self._draining:
            self.reload()

    def _asked_to_reopen(self) -> None:
        self._reopen()
        self._upgrade.pass_on("USR1")

    def _asked_to_upgrade(self) -> None:
        """When nothing is being changed: what is done later is refused until the other process is there."""
        self._admin.changes.run(self._hand_on)

    def _hand_on(self) -> None:
        if not self._draining:
            self._upgrade(self.descriptors(), Handed(tuple(self._done), self._known.text()), self._follow)

    def _follow(self) -> None:
        """Another process accepts connections now."""
        if not self._draining:
            self._draining = self._passed_on = True
            self._reactor.stop()

    def _reopen(self) -> None:
        self.error_log.reopen()
        if self._lines is not None:
            self._lines.reopen()
        for worker in self.ready_workers():
            worker.link.callRemote(commands.Reopen)

    def _asked_to_stop(self, number: int) -> None:
        """The second time the workers cut what is under way."""
        self._log.info("{name}: {doing}", name=signal.Signals(number).name, doing="cut" if self._draining else "drain")
        if self._draining:
            for worker in self._processes():
                worker.stop()
        else:
            self._draining = True
            self._reactor.stop()

    def _processes(self) -> list[WorkerProcess]:
        return [*self._slots.values(), *self._leaving]

    def stopService(self) -> Deferred[Any]:
        """:return: fires when all workers have ended; bounded by ``drain_timeout`` and a little."""
        self._draining = True
        self._notify.stopping(self._config.gateway.drain_timeout + GRACE)
        if self._admin.live is not None:
            self._admin.live.close()
        if self._pings.running:
            self._pings.stop()
        for call in self._waiting.values():
            call.cancel()
        self._waiting.clear()
        for held in self._held:
            self._close(held, self._passed_on)
        self._held = []
        followed = self._upgrade.stop()
        workers = self._processes()
        for worker in workers:
            worker.stop()
        ended: Deferred[Any] = gatherResults([worker.ended for worker in workers])
        timer = self._reactor.callLater(self._config.gateway.drain_timeout + GRACE, self._kill, workers)
        ended.addCallback(lambda _: timer.cancel() if timer.active() else None)
        ended.addBoth(lambda _: self._doors.close(self._passed_on))
        ended.addBoth(lambda _: self._doors.drain(1.0))
        ended.addBoth(self._close_rest)
        ended.addBoth(lambda _: followed)
        return ended

    def _kill(self, workers: Sequence[WorkerProcess]) -> None:
        for worker in workers:
            if not worker.ended.called:
                self._log.error("worker {number} does not end: killed", number=worker.number)
                worker.signal(signal.SIGKILL)

    def _close_rest(self, _: object) -> Deferred[Any]:
        self._levels.uninstall()
        if self._lines is not None:
            self._lines.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        self._memory.close()
        os.close(self._shared)
        os.close(self._text)
        self._notify.close()
        return maybeDeferred(super().stopService)


@define
class _Ways:
    """What doors ask of a wiring, where there are no other listeners."""

    admin: Any


def _asked(deferred: Deferred[Any]) -> None:
    """What becomes of it will show: whoever doesn't answer is about to end."""
    deferred.addErrback(lambda _: None)


def _closing(deferred: Deferred[Any], descriptor: int) -> Deferred[Any]:
    """Close what was sent when it has arrived."""

    def close(result: Any) -> Any:
        os.close(descriptor)
        return result

    return deferred.addBoth(close)
