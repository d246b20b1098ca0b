"""What Twisted's failures mean for a request: the one place where they are mapped."""

from __future__ import annotations

from twisted.internet import error
from twisted.python.failure import Failure

from apigw.errors import (
    ConnectFailed,
    ConnectTimeout,
    NameNotResolved,
    TlsFailed,
    UpstreamError,
)


def mapped(failure: Failure, otherwise: UpstreamError) -> UpstreamError:
    """
    The error for a connection that was lost or never made.

    :param otherwise: what a plain loss means at this point.
    """
    if is_tls(failure):
        found: UpstreamError = TlsFailed()
        if not _is_certificate(failure):
            found.proxy_status = "tls_protocol_error"
    elif failure.check(error.DNSLookupError):
        found = NameNotResolved()
    elif failure.check(error.TimeoutError, error.TCPTimedOutError):
        found = ConnectTimeout()
    elif failure.check(error.ConnectionRefusedError, error.ConnectError):
        found = ConnectFailed()
    else:
        found = otherwise
    found.__cause__ = failure.value
    return found


def is_tls(failure: Failure) -> bool:
    """Whether the failure comes from the TLS layer; such a one must not be tried again as a network error."""
    try:
        from OpenSSL import SSL
        from service_identity import CertificateError, VerificationError
    except ImportError:  # pragma: no cover
        return False
    return bool(failure.check(SSL.Error, VerificationError, CertificateError))


def _is_certificate(failure: Failure) -> bool:
    """Of a failure of TLS: whether it is about who the peer is, not about how it speaks."""
    from OpenSSL import SSL

    return not failure.check(SSL.Error) or "certificate" in str(failure.value)
