"""Whom the gateway trusts as a service, and as whom it speaks to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from weakref import ref

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

BEGIN = b"-----BEGIN CERTIFICATE-----"

DONE = b"SSL negotiation finished successfully"
"""OpenSSL's name of the state in which a handshake is done."""

MAX_AGE = 3600.0
"""Seconds since a full handshake after which there is another one, for only that looks at the chain and its dates."""


class TlsSettings(Protocol):
    """The ``tls.*`` keys of a service."""

    @property
    def ca(self) -> str | None: ...

    @property
    def client_cert(self) -> str | None: ...

    @property
    def server_name(self) -> str | None: ...


def client_creator(host: str, settings: TlsSettings) -> IOpenSSLClientConnectionCreator:
    """
    Verifies the peer's certificate against ``tls.ca`` or the system's roots, and its name against ``tls.server_name``
    or the URL's host; shows ``tls.client_cert`` with its chain.

    :raises OSError: a file can't be read.
    :raises OpenSSL.crypto.Error: a file holds no certificate.
    """
    trust = platformTrust()
    if settings.ca is not None:
        trust = trustRootFromCertificates(_certificates(Path(settings.ca).read_bytes()))
    own = None
    more: dict[str, Any] = {}
    if settings.client_cert is not None:
        pem = Path(settings.client_cert).read_bytes()
        own = PrivateCertificate.loadPEM(pem)
        more["extraCertChain"] = [certificate.original for certificate in _certificates(pem)[1:]]
    return optionsForClientTLS(settings.server_name or host, trust, own, extraCertificateOptions=more)


def _certificates(pem: bytes) -> list[Certificate]:
    return [Certificate.loadPEM(BEGIN + block) for block in pem.split(BEGIN)[1:]]


class Sessions:
    """
    Lets connections to one peer go on with the session of one before: no certificates are sent and verified, which is
    most of the work of a handshake, and with TLS 1.2 it is a round trip less. The peer's name is looked at each time.

    :param seconds: monotonic.

    A session may serve several times: that lets an onlooker see that connections belong together (RFC 8446 appendix
    C.4), which addresses tell here anyway.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._kept: SSL.Session | None = None
        self._until = 0.0
        self._latest: Callable[[], ResumingTransport | None] = lambda: None

    def offer(self, transport: ResumingTransport, connection: SSL.Connection) -> None:
        """Let a new connection go on with the latest session, if there is one and it isn't too old."""
        latest = self._latest()
        if latest is not None:
            self.keep(latest)
        now = self._seconds()
        if self._kept is not None and now < self._until:
            transport.verified_until = self._until
            connection.set_session(self._kept)
        else:
            transport.verified_until = now + MAX_AGE
        self._latest = ref(transport)

    def keep(self, transport: ResumingTransport) -> bool:
        """
        Keep the session of a connection; with TLS 1.3 it has none before its first answer.

        :return: whether its handshake was done.
        """
        connection: SSL.Connection | None = transport.getHandle()
        if connection is None or connection.get_state_string() != DONE:
            return False
        self._kept, self._until = connection.get_session(), transport.verified_until
        return True


class ResumingTransport(BufferingTLSTransport):
    """:ivar verified_until: how long the chain that its session goes back to is good for, by the clock of sessions."""

    factory: ResumingFactory
    verified_until = 0.0

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.factory.sessions.keep(self):
            # Else OpenSSL voids the sessions of connections without a close_notify at their end, as SSL 3 wanted it.
            self.getHandle().set_shutdown(SSL.SENT_SHUTDOWN)
        super().connectionLost(reason)


@implementer(IOpenSSLClientConnectionCreator)
class ResumingFactory(TLSMemoryBIOFactory):
    """
    TLS for one connection.

    :param creator: from ``optionsForClientTLS``, which checks the peer's name.
    :param sessions: with the same peer.
    :param wrapped: of the protocol inside.
    """

    protocol = ResumingTransport

    def __init__(
        self, creator: IOpenSSLClientConnectionCreator, sessions: Sessions, wrapped: IProtocolFactory, clock: Any
    ) -> None:
        super().__init__(self, True, wrapped, clock)
        self.sessions = sessions
        self._creator = creator

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        assert isinstance(tlsProtocol, ResumingTransport)
        connection = self._creator.clientConnectionForTLS(tlsProtocol)
        self.sessions.offer(tlsProtocol, connection)
        return connection
