"""What all connections of one listener share: the factory of channels, their settings, and their orderly end."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Protocol

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import ServerFactory

from apigw.core import GatewayCore
from apigw.http1.head import HeadLimits
from apigw.policy.http2 import Http2Limits
from apigw.routes import GatewayRoutes
from apigw.telemetry.http2 import Http2Counts
from apigw.web.channel import QUIET, Channel


@frozen
class ChannelSettings:
    """
    :ivar header_timeout: seconds from the first byte of a head to its last.
    :ivar body_idle_timeout: seconds without a byte of a body, and the grace before its least rate counts.
    :ivar keepalive_timeout: seconds between requests.
    :ivar write_idle_timeout: seconds in which a client must read what is waiting for it.
    """

    head_limits: HeadLimits = field(factory=HeadLimits)
    header_timeout: float = 10.0
    body_idle_timeout: float = 30.0
    keepalive_timeout: float = 60.0
    write_idle_timeout: float = 60.0
    http2: Http2Limits = field(factory=Http2Limits)

    @property
    def timer_period(self) -> float:
        return min(self.header_timeout, self.body_idle_timeout, self.keepalive_timeout, self.write_idle_timeout)


class Connection(Protocol):
    """
    What a site keeps count of: a channel, or what comes before it.

    :ivar idle: nothing is under way, as far as is known here.
    """

    @property
    def idle(self) -> bool: ...

    def close_when_idle(self) -> None: ...

    def drop(self) -> None: ...


class Site(ServerFactory):
    """
    :param scheme: ``http`` or ``https``, as clients see this listener.

    :ivar draining: the gateway is about to stop; each answer is its connection's last.
    :ivar http2: what there has been of that.
    """

    noisy = False

    def __init__(
        self,
        routes: GatewayRoutes,
        core: GatewayCore,
        settings: ChannelSettings,
        clock: IReactorTime,
        scheme: bytes = b"http",
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self.routes = routes
        self.core = core
        self.settings = settings
        self.clock = clock
        self.scheme = scheme
        self.seconds = seconds
        self.draining = False
        self.http2 = Http2Counts()
        self._channels: set[Connection] = set()
        self._drained: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> Channel:
        channel = Channel(self)
        channel.factory = self
        return channel

    @property
    def connections(self) -> int:
        """That are open."""
        return len(self._channels)

    def opened(self, channel: Connection) -> None:
        self._channels.add(channel)

    def closed(self, channel: Connection) -> None:
        self._channels.discard(channel)
        if self._drained is not None and not self._channels:
            drained, self._drained = self._drained, None
            drained.callback(None)

    def drain(self, timeout: float) -> Deferred[None]:
        """
        End every connection with its next answer, and idle ones when they stay so: to close one into which a request
        is on its way already would lose that.

        :param timeout: seconds after which the others are cut.
        :return: fires when none is left.
        """
        self.draining = True
        drained: Deferred[None] = Deferred()
        if not self._channels:
            drained.callback(None)
            return drained
        self._drained = drained
        timer = self.clock.callLater(timeout, self.abort)

        def stop_timer(_: None) -> None:
            if timer.active():
                timer.cancel()

        drained.addCallback(stop_timer)
        for channel in list(self._channels):
            if not channel.idle:
                channel.close_when_idle()
        quiet = self.clock.callLater(min(QUIET, timeout), self._close_idle)

        def stop_waiting(_: None) -> None:
            if quiet.active():
                quiet.cancel()

        drained.addCallback(stop_waiting)
        return drained

    def _close_idle(self) -> None:
        for channel in list(self._channels):
            channel.close_when_idle()

    def abort(self) -> None:
        """Cut every connection."""
        for channel in list(self._channels):
            channel.drop()
