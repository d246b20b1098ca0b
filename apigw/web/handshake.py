"""A TLS connection of a client: its handshake with a deadline, then the protocol that speaks over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IDelayedCall, IHandshakeListener
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from apigw.errors import without_frames
from apigw.policy.client_auth import ClientAuth, ClientCertificate, ClientTls
from apigw.web.unread import unread

if TYPE_CHECKING:
    from apigw.web.channel import Channel
    from apigw.web.h2 import Http2Connection
    from apigw.web.site import Site
    from apigw.web.tls import Certificates


class ServerTls(TLSMemoryBIOProtocol):
    """
    As Twisted's, but for two things: what is written is sent at once, since answers are written in one piece, and
    there is no waiting for the client's farewell.

    :ivar auth: what the client was asked for.
    """

    transport: Any
    auth: ClientAuth

    def makeConnection(self, transport: Any) -> None:
        """As Twisted's, which declares for each connection anew what its transport provides; nobody asks."""
        self._tlsConnection = self.factory._creatorCallable(self)
        self._appSendBuffer: list[bytes] = []
        Protocol.makeConnection(self, transport)
        self.factory.registerProtocol(self)
        self.wrappedProtocol.makeConnection(self)
        self._checkHandshakeStatus()

    def loseConnection(self) -> None:
        """Send what there is and a farewell, and close."""
        self.loseWriteConnection()
        if not self._appSendBuffer and self._producer is None:
            self.transport.loseConnection()

    def loseWriteConnection(self) -> None:
        """Send what there is and a farewell; what the client still sends is read on (RFC 8446 section 6.1)."""
        super().loseConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """All that leads back here is let go; Twisted does so with the rest."""
        super().connectionLost(reason)
        self._producer = None

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        if reason is not None:
            # Or the frames of the one who has caught it, who has it too, would wait for the garbage collector.
            reason.tb = None
            if reason.value is not None:
                without_frames(reason.value)
        super()._tlsShutdownFinished(reason)

    def abortConnection(self) -> None:
        """Without a farewell, which would make what was cut seem whole."""
        self._aborted = True
        self.disconnecting = True
        self.transport.abortConnection()


@implementer(IHandshakeListener)
class Handshake(Protocol):
    """Stands where the channel will be, until the handshake is done."""

    transport: Any

    def __init__(self, site: Site, certificates: Certificates, timeout: float, address: IAddress | None) -> None:
        self._site = site
        self._certificates = certificates
        self._address = address
        self._ends = site.seconds() + timeout
        self._timer: IDelayedCall | None = None
        self._outcome = "failed"

    def connectionMade(self) -> None:
        self._site.opened(self)
        left = max(0.0, self._ends - self._site.seconds())
        self._timer = self._site.clock.callLater(left, self._too_late)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008 (Twisted's signature)
        self._stop_timer()
        self._certificates.handshakes[self._outcome] += 1
        self._site.closed(self)

    def _too_late(self) -> None:
        self._outcome = "timeout"
        self.drop()

    @property
    def idle(self) -> bool:
        """There is no request yet."""
        return True

    def close_when_idle(self) -> None:
        if not unread(self.transport):
            self.drop()

    def drop(self) -> None:
        self.transport.abortConnection()

    def handshakeCompleted(self) -> None:
        self._stop_timer()
        auth = self.transport.auth
        certificate = self._certificate(self.transport.getHandle()) if auth.asks else None
        if auth.mode == "required" and certificate is None:
            self.drop()
            return
        self._certificates.handshakes["done"] += 1
        channel = self._channel(self.transport.getHandle().get_alpn_proto_negotiated())
        channel.tls = ClientTls(self._certificates.auths, auth, certificate)
        self.transport.wrappedProtocol = channel
        channel.makeConnection(self.transport)
        self._site.closed(self)

    def _channel(self, chosen: bytes) -> Channel | Http2Connection:
        """:param chosen: by ALPN."""
        if chosen == b"h2":
            from apigw.web.h2 import Http2Connection  # takes 40 ms

            return Http2Connection(self._site)
        return self._site.buildProtocol(self._address)

    @staticmethod
    def _certificate(connection: Any) -> ClientCertificate | None:
        shown = connection.get_peer_certificate()
        if shown is None:
            return None
        found = shown.to_cryptography()
        return ClientCertificate(
            found.subject.rfc4514_string().encode(), found.fingerprint(hashes.SHA256()).hex().encode()
        )

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


class TlsFactory(TLSMemoryBIOFactory):
    """
    :param site: of the channels.
    :param timeout: seconds from the accept to the end of the handshake.
    """

    protocol = ServerTls

    def __init__(self, site: Site, certificates: Certificates, timeout: float) -> None:
        super().__init__(certificates, False, _Handshakes(site, certificates, timeout), site.clock)


class _Handshakes(ServerFactory):
    noisy = False

    def __init__(self, site: Site, certificates: Certificates, timeout: float) -> None:
        self._site = site
        self._certificates = certificates
        self._timeout = timeout

    def buildProtocol(self, addr: IAddress | None) -> Handshake:
        return Handshake(self._site, self._certificates, self._timeout, addr)
