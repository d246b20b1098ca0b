"""Connections that a proxy passes on: a PROXY header comes first, and tells whose the connection is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

from apigw.policy.forwarded import Forwarding
from apigw.policy.proxy_protocol import BadProxyHeader, ProxyHeader, parse_proxy_header
from apigw.web.unread import unread

if TYPE_CHECKING:
    from apigw.web.site import Site


class Proxied(Protocol):
    """
    Reads the header, and leaves the connection to ``inner``.

    :param timeout: seconds from the accept to the end of the header.
    """

    transport: Any

    def __init__(self, site: Site, inner: IProtocol, timeout: float) -> None:
        self._site = site
        self._inner = inner
        self._timeout = timeout
        self._timer: IDelayedCall | None = None
        self._data = b""

    def connectionMade(self) -> None:
        self._site.opened(self)
        self._timer = self._site.clock.callLater(self._timeout, self.drop)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._leave()

    @property
    def idle(self) -> bool:
        """There is no request yet."""
        return True

    def close_when_idle(self) -> None:
        if not unread(self.transport):
            self.drop()

    def drop(self) -> None:
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        data = self._data = self._data + data
        try:
            header = parse_proxy_header(data)
        except BadProxyHeader:
            self.drop()
            return
        if header is not None:
            self._leave()
            self._pass_on(header, data[header.size :])

    def _pass_on(self, header: ProxyHeader, rest: bytes) -> None:
        transport = self.transport
        if header.host is not None:
            kind = IPv6Address if ":" in header.host else IPv4Address
            peer = kind("TCP", header.host, header.port)
            transport.getPeer = lambda: peer
        transport.protocol = self._inner
        self._inner.makeConnection(transport)
        if rest:
            self._inner.dataReceived(rest)

    def _leave(self) -> None:
        self._site.closed(self)
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


class ProxiedFactory(ServerFactory):
    """
    :param inner: what is to be spoken over the connections.
    :param trusted: whose connections begin with a header; those of others don't.
    :param timeout: seconds from the accept to the end of the header.
    """

    noisy = False

    def __init__(self, site: Site, inner: IProtocolFactory, trusted: Forwarding, timeout: float) -> None:
        self._site = site
        self._inner = inner
        self._trusted = trusted
        self._timeout = timeout

    def buildProtocol(self, addr: Any) -> Any:
        inner = self._inner.buildProtocol(addr)
        if inner is None or not self._trusted.trusts(getattr(addr, "host", "")):
            return inner
        return Proxied(self._site, inner, self._timeout)
