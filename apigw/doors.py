"""The listeners in use: opened, kept, changed and closed as one configuration follows another."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attrs import define
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger

from apigw.config import GatewayConfig
from apigw.config.endpoints import ListenEndpoint
from apigw.config.http2 import Http2Section
from apigw.config.model import GatewaySection, ListenerSection
from apigw.core import GatewayCore
from apigw.http1.head import HeadLimits
from apigw.policy.forwarded import Forwarding
from apigw.reload import CannotStart, Commit
from apigw.routes import GatewayRoutes
from apigw.sockets import Sockets
from apigw.telemetry.http2 import Http2Counts
from apigw.telemetry.tls import ListenerTls
from apigw.transports import Yields, listen
from apigw.web.entrance import certificates, entrance
from apigw.web.site import ChannelSettings, Site
from apigw.wiring import Wiring

if TYPE_CHECKING:
    from apigw.web.tls import Certificates, Files

ADMIN = "admin"


@define(eq=False)
class Door:
    """
    One listener.

    :ivar header: of its section.
    :ivar of: what it was made of; a door of the same needs not be made anew.
    :ivar factory: of what clients meet first.
    :ivar files: what ``certificates`` is to take when it is in force, which has it from a door before.
    :ivar listening: its socket, until the port has it.
    """

    header: str
    where: ListenEndpoint
    of: object
    site: Site
    factory: IProtocolFactory
    certificates: Certificates | None
    files: Files | None = None
    http2: bool = False
    listening: socket.socket | None = None
    port: IListeningPort | None = None


Way = tuple[GatewayCore, GatewayRoutes]


class Doors:
    """
    :param sockets: opens those that are listened on.
    :param yields: other processes accept from the same sockets, and somebody else sees to UNIX sockets' files; says
        whether the next connection is to be left to them.
    """

    _log = Logger()

    def __init__(self, reactor: Any, sockets: Sockets, yields: Yields | None = None) -> None:
        self._reactor = reactor
        self._sockets = sockets
        self._yields = yields
        self._running = False
        self._ending: set[Site] = set()
        self.all: list[Door] = []

    # -- one configuration after the other -------------------------------------------------------------------------

    def prepare(self, config: GatewayConfig, wiring: Wiring) -> Commit:
        """
        Open what is new.

        :raises CannotStart: a listener can't be opened; nothing has changed.
        """
        before = list(self.all)
        doors: list[Door] = []
        kept: dict[Door, Door] = {}
        opened: list[Door] = []

        def back() -> None:
            for door in opened:
                assert door.listening is not None
                door.listening.close()
                self._unlink(door)

        try:
            for door, other in self._wanted(config, wiring, before):
                doors.append(door)
                if other is not None:
                    before.remove(other)
                    kept[door] = other
                else:
                    door.listening = self._open(door)
                    opened.append(door)
        except CannotStart:
            back()
            raise
        return Commit(partial(self._commit, doors, kept, before, config.gateway.drain_timeout), back)

    def _wanted(
        self, config: GatewayConfig, wiring: Wiring, before: Sequence[Door]
    ) -> Iterator[tuple[Door, Door | None]]:
        """Each with the one of ``before`` that listens there; who takes that must remove it before the next."""
        settings = channel_settings(config.gateway, config.http2)
        trusted = config.gateway.trusted_proxies
        for listener in config.listeners:
            header = f"listener:{listener.name}"
            of = (listener, config.hosts if listener.tls else (), trusted if listener.proxy_protocol else ())
            other = _same(header, listener.endpoint, before)
            shown = other.certificates if other is not None and other.of == of else None
            try:
                files = None if shown is None else shown.read()
                shown = shown or certificates(listener, config.hosts)
            except ValueError as wrong:
                raise CannotStart(f"[{header}] certificates: {wrong}") from None
            core, routes = _way(wiring, listener)
            site = Site(routes, core, settings, self._reactor, b"https" if listener.tls else b"http")
            factory = entrance(listener, shown, Forwarding(trusted), site)
            yield Door(header, listener.endpoint, of, site, factory, shown, files, listener.speaks_http2), other
        if config.admin is not None:
            core, routes = wiring.admin
            site = Site(routes, core, settings, self._reactor)
            other = _same(ADMIN, config.admin.endpoint, before)
            yield Door(ADMIN, config.admin.endpoint, ADMIN, site, site, None), other

    def _open(self, door: Door) -> socket.socket:
        try:
            return self._sockets.open(door.where)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise CannotStart(f"[{door.header}] endpoint: {door.where}: {reason}") from None

    def _commit(
        self,
        doors: Sequence[Door],
        kept: Mapping[Door, Door],
        gone: Sequence[Door],
        timeout: float,
    ) -> None:
        self.all = []
        for door in doors:
            other = kept.get(door)
            if other is None:
                self._enter(door)
                self.all.append(door)
            elif other.of == door.of:
                site = other.site
                site.core, site.routes, site.settings = door.site.core, door.site.routes, door.site.settings
                other.header = door.header
                if other.certificates is not None and door.files is not None:
                    other.certificates.take(door.files)
                self.all.append(other)
            else:
                door.port, other.port = other.port, None
                _turn(door.port, other.factory, door.factory)
                self._leave(other, timeout)
                self._watch(door)
                self.all.append(door)
                self._log.info("[{header}] changed", header=door.header)
        for door in gone:
            self._log.info("[{header}] closed", header=door.header)
            self._leave(door, timeout)

    def _enter(self, door: Door) -> None:
        """
        Accept connections; before the reactor runs the kernel keeps them.
        """
        assert door.listening is not None
        door.port = listen(self._reactor, door.listening, door.factory, self._yields)
        door.listening.close()
        door.listening = None
        if self._running:
            self._watch(door)
            self._tell(door)

    def _leave(self, door: Door, timeout: float) -> None:
        """Its connections end with the answer under way."""
        if door.certificates is not None:
            door.certificates.unwatch()
        if door.port is not None:
            maybeDeferred(door.port.stopListening)
            self._unlink(door)
        self._ending.add(door.site)
        door.site.drain(timeout).addCallback(lambda _: self._ending.discard(door.site))

    def _unlink(self, door: Door) -> None:
        if self._yields is None and door.where.family == "unix":
            Path(door.where.path).unlink(missing_ok=True)

    # -- running ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._running = True
        for door in self.all:
            self._watch(door)
            self._tell(door)

    def hold(self) -> None:
        """Let clients wait; operators are let in."""
        for door in self.all:
            if door.header != ADMIN:
                port = cast(Any, door.port)
                port.held = True
                port.stopReading()

    def let_in(self) -> None:
        """The end of :meth:`hold`."""
        for door in self.all:
            if door.header != ADMIN and door.port is not None:
                port = cast(Any, door.port)
                port.held = False
                port.startReading()

    def _watch(self, door: Door) -> None:
        if door.certificates is not None:
            door.certificates.watch(self._reactor)

    def _tell(self, door: Door) -> None:
        assert door.port is not None
        if self._yields is None:
            self._log.info("[{header}] {address}", header=door.header, address=door.port.getHost())

    def close(self, passed_on: bool = False) -> Deferred[Any]:
        """
        Accept no more connections.

        :param passed_on: another process goes on with the sockets.
        """
        closing = []
        for door in self.all:
            if door.port is not None:
                port, door.port = door.port, None
                closing.append(maybeDeferred(port.stopListening))
                if not passed_on:
                    self._unlink(door)
        return gatherResults(closing, consumeErrors=True)

    def drain(self, timeout: float) -> Deferred[Any]:
        """:return: fires when no connection is left."""
        return gatherResults([site.drain(timeout) for site in self._sites()])

    def abort(self) -> None:
        """Cut all connections."""
        for site in self._sites():
            site.abort()

    def unwatch(self) -> None:
        for door in self.all:
            if door.certificates is not None:
                door.certificates.unwatch()

    def tls(self) -> list[ListenerTls]:
        """What there is to tell of the listeners that speak TLS."""
        return [
            ListenerTls(door.header.partition(":")[2], door.certificates.handshakes, door.certificates.expiries)
            for door in self.all
            if door.certificates is not None
        ]

    def connections(self) -> int:
        """How many there are now."""
        return sum(site.connections for site in self._sites())

    def http2(self) -> dict[str, Http2Counts]:
        """What there has been of HTTP/2, by listener."""
        return {door.header.partition(":")[2]: door.site.http2 for door in self.all if door.http2}

    def descriptors(self) -> dict[str, list[int]]:
        """Of the sockets that are listened on, by their endpoints' texts."""
        found: dict[str, list[int]] = {}
        for door in self.all:
            if door.port is not None:
                found.setdefault(door.where.text, []).append(door.port.fileno())  # type: ignore[attr-defined]
        return found

    def _sites(self) -> list[Site]:
        return [*(door.site for door in self.all), *self._ending]


def channel_settings(gateway: GatewaySection, http2: Http2Section) -> ChannelSettings:
    return ChannelSettings(
        HeadLimits(size=gateway.max_header_size, line=min(8192, gateway.max_header_size)),
        gateway.header_timeout,
        gateway.body_idle_timeout,
        gateway.keepalive_timeout,
        gateway.write_idle_timeout,
        http2.limits,
    )


def _way(wiring: Wiring, listener: ListenerSection) -> Way:
    if listener.redirect is None:
        return wiring.core, wiring.routes
    return wiring.core, wiring.redirecting(listener.redirect)


def _same(header: str, where: ListenEndpoint, others: Sequence[Door]) -> Door | None:
    """The one that listens ``where`` another shall; of several on ports that the kernel chose the one of that name."""
    there = [other for other in others if other.where.text == where.text]
    named = next((other for other in there if other.header == header), None)
    if named is not None or where.port == 0:
        return named
    return there[0] if there else None


def _turn(port: Any, before: Any, after: Any) -> None:
    """Let a port that accepts make its connections by another factory."""
    after.doStart()
    port.factory = after
    before.doStop()
