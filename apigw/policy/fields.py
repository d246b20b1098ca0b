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
"""
Fields for one connection only (RFC 9110 section 7.6.1, RFC 9112 appendix C.2.2, RFC 9113 section 8.2.2). Trailer is
not one of them (RFC 9110 section 6.6.2): it stays, as trailers do.
"""

IDENTITY = frozenset(
    (
        b"forwarded",
        b"x-api-version",
        b"x-correlation-id",
        b"x-original-path",
        b"x-real-ip",
        b"x-request-id",
        b"x-retry-count",
        b"x-timeout-remaining",
    )
)
"""Fields by which a service knows what the gateway vouches for; a client's copies are never passed on."""

IDENTITY_PREFIXES = (b"x-user-", b"x-gateway-", b"x-forwarded-", b"x-client-cert-")
"""The same, for whole families."""

DIVERTING = frozenset((b"proxy", b"x-original-url", b"x-rewrite-url"))
"""
Fields by which a client would lead a service elsewhere than where its request was routed: ``Proxy`` sets HTTP_PROXY in
CGI (CVE-2016-5385), the others replace the path in IIS and in frameworks that took it from there (CVE-2018-14773).
"""

REQUEST_DROPPED = HOP_BY_HOP | IDENTITY | DIVERTING | {b"host", b"via", b"content-length"}
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
        b"accept-version",
        b"access-control-request-headers",
        b"access-control-request-method",
        b"api-key",
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"date",
        b"expect",
        b"forwarded",
        b"host",
        b"idempotency-key",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"origin",
        b"range",
        b"sec-fetch-site",
        b"set-cookie",
        b"traceparent",
        b"tracestate",
        b"trailer",
        b"vary",
        b"via",
        b"www-authenticate",
        b"x-api-key",
    )
)
"""
End-to-end fields that a Connection option can't remove: what the gateway's policies have looked at reaches the service,
and what makes a browser keep to the rules reaches the browser. Such an option is passed over, for RFC 9110 section
7.6.1 forbids it. The gateway's own fields need no place here: they are set after the client's were removed.
"""

CREDENTIALS = frozenset(
    (
        b"api-key",
        b"authorization",
        b"cookie",
        b"proxy-authorization",
        b"x-access-token",
        b"x-api-key",
        b"x-auth-token",
    )
)
"""Fields by which services know who asks."""

OVERRIDING = frozenset(
    (
        b"x-host",
        b"x-http-host-override",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-host",
    )
)
"""Fields for which services answer as if another method or another host had been asked for."""

FOLD = bytes(byte if chr(byte).isascii() and chr(byte).isalnum() else ord("-") for byte in bytes(range(256)).lower())
"""
Lower case, with a hyphen for whatever isn't a letter or digit. CGI, and with it WSGI and PHP, gives ``X_User-Id`` and
``X.User.Id`` the variable of ``X-User-Id``.
"""


_NO_NAMES = HOP_BY_HOP | {b"close"}
"""Connection options that remove nothing more."""

_COMMON = (
    b"Accept",
    b"Accept-Encoding",
    b"Accept-Language",
    b"Authorization",
    b"Cache-Control",
    b"Content-Type",
    b"Cookie",
    b"If-Modified-Since",
    b"If-None-Match",
    b"Origin",
    b"Priority",
    b"Range",
    b"Referer",
    b"Sec-Fetch-Dest",
    b"Sec-Fetch-Mode",
    b"Sec-Fetch-Site",
    b"Traceparent",
    b"User-Agent",
)
_PASSES = frozenset((*_COMMON, *map(bytes.lower, _COMMON)))
"""Names that a service gets, as most clients write them; it takes a third of the time to find one here."""


def nominated(options: Iterable[bytes]) -> frozenset[bytes]:
    """:param options: lower-cased Connection options. :return: names of end-to-end fields that they remove."""
    return frozenset(options) - _NO_NAMES - PROTECTED


def request_fields(fields: Iterable[Field], options: Collection[bytes] = ()) -> list[Field]:
    """
    What of a client's fields a service gets, in order and case; 1 us for twelve fields of a browser.

    A name is dropped too where CGI would take it for a name that is dropped.

    :param options: lower-cased Connection options.
    """
    if options and not _NO_NAMES.issuperset(options):
        removed = nominated(options)
        fields = [field for field in fields if field[0].lower() not in removed]
    return [field for field in fields if field[0] in _PASSES or _passes(field[0])]


def _passes(name: bytes) -> bool:
    name = name.translate(FOLD)
    return name not in REQUEST_DROPPED and not name.startswith(IDENTITY_PREFIXES)


def response_fields(fields: Iterable[Field], options: Collection[bytes] = ()) -> tuple[list[Field], bool]:
    """
    What of a service's fields the client gets, in order and case.

    :param options: lower-cased Connection options.
    :return: the fields, and whether Date is among them.
    """
    removed = RESPONSE_DROPPED
    if options and not _NO_NAMES.issuperset(options):
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
