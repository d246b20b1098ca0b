"""Which fields of a message may travel on."""

from __future__ import annotations

from collections.abc import Collection, Iterable

Field = tuple[bytes, bytes]

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
"""Fields for one connection only (RFC 9110 section 7.6.1, RFC 9112 appendix C.2.2, RFC 9113 section 8.2.2)."""

IDENTITY = frozenset(
    (
        b"x-original-path",
        b"x-api-version",
        b"x-timeout-remaining",
        b"x-retry-count",
        b"x-request-id",
        b"x-correlation-id",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-server",
        b"x-real-ip",
        b"forwarded",
    )
)
"""Fields by which a service knows what the gateway vouches for; a client's copies are never passed on."""

IDENTITY_PREFIXES = (b"x-user-", b"x-gateway-")
"""The same, for whole families."""

REQUEST_DROPPED = HOP_BY_HOP | IDENTITY | {b"host", b"via", b"content-length"}
"""What a request loses on its way to a service; the gateway sets its own in their place."""

RESPONSE_DROPPED = HOP_BY_HOP | {
    b"via",
    b"x-request-id",
    b"x-correlation-id",
    b"x-response-time",
    b"x-target-service",
}
"""What an answer loses on its way to the client."""

PROTECTED = frozenset(
    (
        b"host",
        b"authorization",
        b"cookie",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"content-range",
        b"date",
        b"set-cookie",
        b"cache-control",
        b"expect",
        b"range",
        b"vary",
        b"origin",
        b"idempotency-key",
    )
)
"""
End-to-end fields that a Connection option can't remove: what the gateway's policies have looked at reaches the service.
"""


def nominated(options: Iterable[bytes]) -> frozenset[bytes]:
    """:param options: lower-cased Connection options. :return: names of fields that they remove."""
    return frozenset(options) - PROTECTED - {b"close", b"keep-alive", b"upgrade", b"te"}


def request_fields(fields: Iterable[Field], options: Collection[bytes] = ()) -> list[Field]:
    """
    What of a client's fields a service gets, in order and case.

    A name that only turns into one of :data:`IDENTITY` when underscores are read as hyphens, as CGI and WSGI do, is
    dropped with it.
    """
    removed = REQUEST_DROPPED
    if options:
        removed = removed | nominated(options)
    kept = []
    for field in fields:
        name = field[0].lower()
        if b"_" in name:
            name = name.replace(b"_", b"-")
            if name not in IDENTITY and not name.startswith(IDENTITY_PREFIXES):
                kept.append(field)
        elif name not in removed and not name.startswith(IDENTITY_PREFIXES):
            kept.append(field)
    return kept


def response_fields(fields: Iterable[Field], options: Collection[bytes] = ()) -> tuple[list[Field], bool]:
    """
    What of a service's fields the client gets, in order and case.

    :return: the fields, and whether Date is among them.
    """
    removed = RESPONSE_DROPPED
    if options:
        removed = removed | nominated(options)
    kept = []
    dated = False
    for field in fields:
        name = field[0].lower()
        if name in removed:
            continue
        if name == b"date":
            dated = True
        kept.append(field)
    return kept, dated
