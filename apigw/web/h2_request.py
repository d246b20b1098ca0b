"""
The head of a request in HTTP/2, held to what HTTP/1.1 is held to (RFC 9113 section 8).

The state machine is told not to look at fields: what it refuses would end the connection, with all others on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import frozen

from apigw.http1.body import NOT_IN_TRAILERS
from apigw.http1.errors import BadMessage
from apigw.http1.fields import Fields, is_field_value, is_token
from apigw.http1.framing import parse_content_length
from apigw.http1.head import HeadLimits
from apigw.http1.request import MAX_METHOD, parse_request_head

ENTRY = 32
"""What a field counts beyond its bytes (RFC 9113 section 6.5.2)."""

_CONNECTION = frozenset((b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"))
"""Fields of a connection, which HTTP/2 has none of (RFC 9113 section 8.2.2)."""

_PSEUDO = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))
_SPECIAL = _CONNECTION | {b"te", b"host", b"content-length", b"expect", b"cookie"}
_SCHEMES = (b"http", b"https")
_visible = re.compile(rb"[!-~]+").fullmatch
_is_name = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+").fullmatch
_HEAD = b"%b %b HTTP/1.1\r\nHost: %b\r\n\r\n"


@frozen
class Head:
    """
    As :class:`~apigw.http1.request.RequestHead` has it.

    :ivar path: with the query.
    :ivar fields: without pseudo-header fields; the crumbs of a cookie are one field.
    :ivar content_length: bytes, None without the field.
    """

    method: bytes
    target: bytes
    path: bytes
    authority: bytes
    fields: Fields
    content_length: int | None
    expects: bool


def read_head(received: Iterable[tuple[bytes, bytes]], limits: HeadLimits) -> Head:
    """
    :param received: as decoded.
    :raises BadMessage: as the parser of HTTP/1.1 does, with the same codes.
    """
    pseudo: dict[bytes, bytes] = {}
    special: dict[bytes, bytes] = {}
    fields: Fields = []
    crumbs: list[bytes] = []
    size = 0
    for name, value in received:
        size += len(name) + len(value) + ENTRY
        if name[:1] == b":":
            if fields or crumbs:
                raise _bad("A pseudo-header field comes after another field.")
            if name not in _PSEUDO or name in pseudo:
                raise _bad("A pseudo-header field is not known here, or comes twice.")
            pseudo[name] = value
            continue
        _check_field(name, value)
        if name in _SPECIAL:
            if name == b"cookie":
                if not crumbs:
                    fields.append((name, b""))
                crumbs.append(value)
                continue
            special[name] = special[name] + b", " + value if name in special else value
        fields.append((name, value))
    if size > limits.size:
        raise BadMessage(431, "head-too-large", f"The head of the request is larger than {limits.size} bytes.")
    if len(fields) + max(0, len(crumbs) - 1) > limits.fields:
        raise BadMessage(431, "too-many-fields", f"The head of the request has more than {limits.fields} fields.")
    if crumbs:
        # RFC 9113 section 8.2.3
        joined = b"; ".join(crumbs)
        fields = [(name, joined) if name == b"cookie" else (name, value) for name, value in fields]
    return _head(pseudo, special, fields, limits)


def _head(pseudo: dict[bytes, bytes], special: dict[bytes, bytes], fields: Fields, limits: HeadLimits) -> Head:
    method, path, authority = _line(pseudo, special.get(b"host"), limits)
    parsed = parse_request_head(_HEAD % (method, path, authority))
    if not _CONNECTION.isdisjoint(special):
        raise BadMessage(400, "connection-field", "A field is there that HTTP/2 doesn't have, such as Connection.")
    if special.get(b"te", b"trailers").lower() != b"trailers":
        raise BadMessage(400, "bad-te", "TE is not trailers.")
    expects = b"expect" in special
    if expects and special[b"expect"].lower() != b"100-continue":
        raise BadMessage(417, "unknown-expectation", "Expect is not 100-continue.")
    length = special.get(b"content-length")
    return Head(
        method,
        path,
        parsed.path,
        parsed.authority,
        fields,
        None if length is None else parse_content_length(length, 400),
        expects,
    )


def _line(pseudo: dict[bytes, bytes], host: bytes | None, limits: HeadLimits) -> tuple[bytes, bytes, bytes]:
    """Method, path and authority, none of which ends or splits the line that it is put into."""
    method, scheme, path = pseudo.get(b":method"), pseudo.get(b":scheme"), pseudo.get(b":path")
    authority = pseudo.get(b":authority")
    if not method or not is_token(method):
        raise BadMessage(400, "bad-method", "The method is missing, or not a token.")
    if len(method) > MAX_METHOD:
        raise BadMessage(501, "unknown-method", f"The method is longer than {MAX_METHOD} bytes.")
    if b":protocol" in pseudo:
        if method == b"CONNECT":
            raise BadMessage(501, "extended-connect", "WebSocket and the like are to be asked for by HTTP/1.1.")
        raise _bad("There is :protocol, and the method is not CONNECT (RFC 8441).")
    if method == b"CONNECT":
        if scheme is not None or path is not None or not authority:
            raise _bad("CONNECT has :authority, and neither :scheme nor :path.")
        path = authority
    elif scheme is None or scheme.lower() not in _SCHEMES:
        raise BadMessage(400, "bad-target", "The scheme is missing, or neither http nor https.")
    if authority and host is not None and authority.lower() != host.lower():
        raise BadMessage(400, "conflicting-host", "Host and :authority are not the same.")
    authority = authority or host
    if not authority:
        raise BadMessage(400, "missing-host", "The request has neither :authority nor Host, or an empty one.")
    if not _visible(authority):
        raise BadMessage(400, "bad-host", "Host is not one host with an optional port.")
    if not path or not _visible(path) or (path[:1] not in b"/*" and method != b"CONNECT"):
        raise BadMessage(400, "bad-target", "The path is missing, or has a character that it must not.")
    if len(path) > limits.line:
        raise BadMessage(414, "line-too-long", f"The path is longer than {limits.line} bytes.")
    return method, path, authority


def read_trailers(received: Iterable[tuple[bytes, bytes]], limits: HeadLimits) -> Fields:
    """
    Those that may travel on.

    :raises BadMessage: a field is none, or is one of those that say where a message ends.
    """
    trailers: Fields = []
    size = 0
    for name, value in received:
        size += len(name) + len(value) + ENTRY
        if name[:1] == b":":
            raise _bad("A pseudo-header field comes after the body.")
        _check_field(name, value)
        if name in (b"content-length", b"transfer-encoding"):
            raise BadMessage(400, "bad-trailer", "The trailer section has a field that frames a body.")
        if name not in NOT_IN_TRAILERS:
            trailers.append((name, value))
    if size > limits.size or len(trailers) > limits.fields:
        raise BadMessage(431, "head-too-large", f"The trailer section is larger than {limits.size} bytes.")
    return trailers


def _check_field(name: bytes, value: bytes) -> None:
    if not _is_name(name):
        raise BadMessage(400, "bad-field-name", "A field name is empty, not in lower case, or no token.")
    if not is_field_value(value):
        raise BadMessage(400, "control-character", "A field has a control character, or white space around it.")


def _bad(detail: str) -> BadMessage:
    return BadMessage(400, "bad-pseudo-field", detail)
