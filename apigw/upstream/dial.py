"""How a connection to a peer is opened: TCP or UNIX, plain or TLS."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IConnector, IOpenSSLClientConnectionCreator

from apigw.transports import connect_tcp, connect_unix
from apigw.upstream.pool import Dial
from apigw.upstream.tls import ResumingFactory, Sessions


class Dials(Protocol):
    """This module, or what stands in its place."""

    def tcp(self, reactor: Any, host: str, port: int) -> Dial: ...

    def unix(self, reactor: Any, path: str) -> Dial: ...

    def tls(self, plain: Dial, creator: IOpenSSLClientConnectionCreator, reactor: Any) -> Dial: ...


def tcp(reactor: Any, host: str, port: int) -> Dial:
    """:param host: an address or a name; a name is resolved for each new connection."""

    def dial(factory: Any, timeout: float) -> IConnector:
        return connect_tcp(reactor, host, port, factory, timeout)

    return dial


def unix(reactor: Any, path: str) -> Dial:
    def dial(factory: Any, timeout: float) -> IConnector:
        return connect_unix(reactor, path, factory, timeout)

    return dial


def tls(plain: Dial, creator: IOpenSSLClientConnectionCreator, reactor: Any) -> Dial:
    """
    TLS over ``plain``; connections resume the sessions of those before.

    :param creator: from ``optionsForClientTLS``, which checks the peer's name.
    """
    sessions = Sessions(reactor.seconds)

    def dial(factory: Any, timeout: float) -> IConnector:
        return plain(ResumingFactory(creator, sessions, factory, reactor), timeout)

    return dial
