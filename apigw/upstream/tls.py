"""Whom the gateway trusts as a service, and as whom it speaks to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

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
