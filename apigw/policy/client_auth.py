"""Which host names ask clients for a certificate, and whether what a connection has shown counts for another one."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen


@frozen
class ClientAuth:
    """
    What a client has to show.

    :ivar mode: ``none``, ``optional`` or ``required``.
    :ivar ca: path of the authorities that may have signed its certificate.
    """

    mode: str = "none"
    ca: str | None = None

    @property
    def asks(self) -> bool:
        return self.mode != "none"


NOTHING_ASKED = ClientAuth()


@frozen
class ClientAuths:
    """
    :ivar default: of the listener.
    :ivar hosts: by host name, in lower case.
    """

    default: ClientAuth = NOTHING_ASKED
    hosts: Mapping[str, ClientAuth] = {}

    def of(self, host: str) -> ClientAuth:
        """:param host: in lower case, without a port; empty for a client that named none."""
        return self.hosts.get(host, self.default)

    @property
    def several(self) -> bool:
        """
        Hosts differ in what they ask for. Sessions must not be resumed then: a session that began at one host can be
        resumed at another, with no certificate asked for (CVE-2025-23419 was that).
        """
        return any(auth != self.default for auth in self.hosts.values())


def host_name(authority: bytes) -> str:
    """The name in an authority, without its port and the dot at its end, in lower case."""
    text = authority.decode("latin-1").lower()
    if text.startswith("["):
        return text.partition("]")[0] + "]"
    return text.partition(":")[0].rstrip(".")


@frozen
class ClientCertificate:
    """
    What a client has shown, and has been verified.

    :ivar subject: as RFC 4514 writes it, in UTF-8.
    :ivar fingerprint: SHA-256 of the certificate, in hexadecimal digits.
    """

    subject: bytes
    fingerprint: bytes


@frozen
class ClientTls:
    """
    What is known of a client from its TLS connection.

    :ivar auths: what the listener asks for.
    :ivar auth: what this client was asked for.
    :ivar certificate: what it has shown for that.
    """

    auths: ClientAuths
    auth: ClientAuth
    certificate: ClientCertificate | None
