"""Whom the gateway trusts as a service, and as whom it speaks to it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)

BEGIN = b"-----BEGIN CERTIFICATE-----"


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
    or the URL's host.

    :raises OSError: a file can't be read.
    :raises OpenSSL.crypto.Error: a file holds no certificate.
    """
    trust = platformTrust()
    if settings.ca is not None:
        pem = Path(settings.ca).read_bytes()
        blocks = [BEGIN + block for block in pem.split(BEGIN)[1:]]
        trust = trustRootFromCertificates([Certificate.loadPEM(block) for block in blocks])
    own = None
    if settings.client_cert is not None:
        own = PrivateCertificate.loadPEM(Path(settings.client_cert).read_bytes())
    return optionsForClientTLS(settings.server_name or host, trust, own)
