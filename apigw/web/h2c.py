"""HTTP/2 without TLS, for clients that know beforehand; its first bytes tell it from HTTP/1 (RFC 9113 section 3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

from apigw.policy.http2 import PREFACE
from apigw.web.h2 import Http2Connection
from apigw.web.unread import unread

if TYPE_CHECKING:
    from apigw.web.site import Site


class Unknown(Protocol):
    """A connection that has not said what it speaks."""

    transport: Any

    def __init__(self, site: Site, address: IAddress | None) -> None:
        self._site = site
        self._address = address
        self._timer: IDelayedCall | None = None
        self._data = b""

    def connectionMade(self) -> None:
        self._site.opened(self)
        self._timer = self._site.clock.callLater(self._site.settings.header_timeout, self.drop)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._leave()

    @property
    def idle(self) -> bool:
        """Nothing has come."""
        return not self._data

    def close_when_idle(self) -> None:
        if not unread(self.transport):
            self.drop()

    def drop(self) -> None:
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        data = self._data = self._data + data
        if not data.startswith(PREFACE[: len(data)]):
            self._become(self._site.buildProtocol(self._address))
        elif len(data) >= len(PREFACE):
            self._become(Http2Connection(self._site))

    def _become(self, protocol: Any) -> None:
        transport = self.transport
        transport.protocol = protocol
        protocol.makeConnection(transport)
        self._leave()
        if self._data:
            protocol.dataReceived(self._data)

    def _leave(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        self._site.closed(self)


class PriorKnowledge(ServerFactory):
    """:param site: whose connections these become."""

    noisy = False

    def __init__(self, site: Site) -> None:
        self._site = site

    def buildProtocol(self, addr: IAddress | None) -> Unknown:
        return Unknown(self._site, addr)
