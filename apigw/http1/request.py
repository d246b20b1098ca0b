"""The head of a request: parsed as by an origin server, serialised as by a client (RFC 9112 section 3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv6Address
from typing import Any

from apigw.http1.errors import BadMessage
from apigw.http1.fields import (
    TOKEN,
    Fields,
    bad_byte,
    is_token,
    parse_fields,
    serialize_head,
    special_fields,
)
from apigw.http1.framing import parse_connection, parse_framing, persists
from apigw.http1.head import HeadLimits

MAX_METHOD = 32
"""Bytes of a method; the longest registered one, UPDATEREDIRECTREF, has 17."""

_REQUEST_LINE = re.compile(rb"(?:\r\n)?(" + TOKEN + rb"{1,%d}) ([!\"$-~]+) HTTP/1\.([0-9])(?=\r\n)" % MAX_METHOD)
"""
An empty line may come first. A target is visible ASCII but ``#`` (RFC 9112 section 3.2), which is wider than
RFC 3986: browsers send ``[ ] | ^`` and others raw.
"""

_AUTHORITY = re.compile(
    rb"((?:[0-9A-Za-z_~-]+\.)*[0-9A-Za-z_~-]+\.?|\[([0-9A-Fa-f:.]+)\])"
    rb"(:(?:[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]|[1-9][0-9]{0,3}))?"
)
"""
Host and port (RFC 3986 section 3.2.2), less what no host on the network is called: an empty name or label,
``%`` and sub-delimiters such as the comma; and less an empty port, which could slip past a match by host.
"""

_ABSOLUTE = re.compile(rb"(https?)://([^/?]+)(.*)", re.IGNORECASE)
_SPECIAL = frozenset((b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade"))
_SPECIAL_METHODS = (b"CONNECT", b"TRACE")
_SLASH = 0x2F


class FieldBlock:
    """
    The field lines of a head as they were sent, for requests of one connection mostly have the same.

    :ivar raw: from the CRLF after the request line on.
    :ivar notes: what others have derived of the fields, by whatever key they like; kept as long as the block recurs.
    """

    __slots__ = ("notes", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.notes: dict[object, Any] = {}


class RequestHead:
    """
    :ivar method: as sent; the case of methods matters.
    :ivar target: the request target as sent.
    :ivar minor: 0 for HTTP/1.0, 1 for HTTP/1.1 and for a later minor version (RFC 9110 section 2.5).
    :ivar fields: names and values in order; names in the case they were sent.
    :ivar authority: ``host[:port]`` that is asked for, of a target in absolute form, else of Host; empty only
        in HTTP/1.0 without Host.
    :ivar path: raw path and query as they go on: in origin form; ``*``; for CONNECT the authority.
    :ivar content_length: bytes, None without the field.
    :ivar chunked: the body comes in chunks.
    :ivar keep_alive: another request may follow; never after CONNECT, for what follows that may have been meant
        for the tunnel, also where it is declined.
    :ivar expect_continue: the body follows after 100 (Continue).
    :ivar options: the Connection options in lower case.
    :ivar upgrade: the value of Upgrade where Connection names it, else empty; ignored in HTTP/1.0 and, as a
        server may, where a body follows, which some would take for the new protocol (RFC 9110 section 7.8).
    :ivar block: the same object for requests of a connection whose field lines are the same.
    """

    __slots__ = (
        "authority",
        "block",
        "chunked",
        "content_length",
        "expect_continue",
        "fields",
        "keep_alive",
        "method",
        "minor",
        "options",
        "path",
        "target",
        "upgrade",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        minor: int,
        fields: Fields,
        authority: bytes,
        path: bytes,
        content_length: int | None,
        chunked: bool,
        keep_alive: bool,
        expect_continue: bool,
        options: tuple[bytes, ...],
        upgrade: bytes,
        block: FieldBlock,
    ) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.fields = fields
        self.authority = authority
        self.path = path
        self.content_length = content_length
        self.chunked = chunked
        self.keep_alive = keep_alive
        self.expect_continue = expect_continue
        self.options = options
        self.upgrade = upgrade
        self.block = block

    @property
    def has_body(self) -> bool:
        """A body follows: chunked, or of at least one byte."""
        return self.chunked or bool(self.content_length)


def follow_request_head(buffer: bytes, head: RequestHead, limits: HeadLimits) -> int:
    """
    Read a request whose field lines are the same to the byte as those of the one before on its connection: they mean
    the same, and aren't parsed again.

    :param buffer: what came after the earlier request.
    :param head: the earlier request; becomes the one that was read.
    :return: the index after the head; -1, with nothing changed, for what :func:`~apigw.http1.head.find_head` and
        :func:`parse_request_head` have to look at.
    """
    match = _REQUEST_LINE.match(buffer)
    if match is None:
        return -1
    raw = head.block.raw
    start = match.end()
    end = start + len(raw)
    if not buffer.startswith(raw, start) or start > limits.line or end > limits.size:
        return -1
    method, target, digit = match.groups()
    if (
        not target[0] == head.target[0] == _SLASH
        or (digit == b"0") is (head.minor == 1)
        or method in _SPECIAL_METHODS
        or head.method in _SPECIAL_METHODS
    ):
        return -1
    head.method = method
    head.target = head.path = target
    return end


def parse_request_head(head: bytes) -> RequestHead:
    """
    :param head: all that :func:`~apigw.http1.head.find_head` has found the end of.
    :raises BadMessage: 400; 417, 501 or 505 for what is valid but beyond us.
    """
    match = _REQUEST_LINE.match(head)
    if match is None:
        raise _bad_request_line(head)
    method, target, digit = match.groups()
    minor = 0 if digit == b"0" else 1
    block = FieldBlock(head[match.end() :])
    fields = parse_fields(head, match.end(), 400)
    special = special_fields(fields, _SPECIAL)

    host = special.get(b"host", b"")
    if not host and (minor or b"host" in special):
        raise BadMessage(400, "missing-host", "The request has no Host, or an empty one.")
    if host and not _is_authority(host):
        raise BadMessage(400, "bad-host", "Host is not one host with an optional port.")
    if target[0] == _SLASH and method != b"CONNECT":
        authority, path = host, target
        if len(special) == 1 and host:
            return RequestHead(
                method, target, minor, fields, host, target, None, False, minor == 1, False, (), b"", block
            )
    else:
        authority, path = _locate(method, target, host)
    length, chunked = parse_framing(special, minor, 400)
    has_body = chunked or bool(length)
    if has_body and method in _SPECIAL_METHODS:
        raise BadMessage(400, "unexpected-body", "A request with this method has no body.")
    options: tuple[bytes, ...] = ()
    if b"connection" in special:
        options = parse_connection(special[b"connection"], 400)
    expects = False
    if minor and b"expect" in special:
        if special[b"expect"].lower() != b"100-continue":
            raise BadMessage(417, "unknown-expectation", "Expect is not 100-continue.")
        expects = has_body
    upgrade = b""
    if minor and b"upgrade" in options and not has_body:
        upgrade = special.get(b"upgrade", b"")
    return RequestHead(
        method,
        target,
        minor,
        fields,
        authority,
        path,
        length,
        chunked,
        persists(minor, options) and method != b"CONNECT",
        expects,
        options,
        upgrade,
        block,
    )


def serialize_request_head(method: bytes, target: bytes, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """
    The head of a request, in HTTP/1.1.

    :param method: a token.
    :param fields: names are tokens: of a parsed message, or see :func:`~apigw.http1.fields.check_fields`.
    :raises ValueError: white space is in the target, or a control byte anywhere.
    """
    if target.split() != [target]:
        raise ValueError("a target must not be empty or have white space")
    return serialize_head(b"%b %b HTTP/1.1" % (method, target), fields)


def _locate(method: bytes, target: bytes, host: bytes) -> tuple[bytes, bytes]:
    """Authority and path of a target that isn't in origin form (RFC 9112 sections 3.2.2 to 3.2.4)."""
    if method == b"CONNECT":
        match = _AUTHORITY.fullmatch(target)
        if match is None or match[3] is None or not _is_authority(target):
            raise BadMessage(400, "bad-target", "The target of CONNECT is not a host and a port.")
        if host and host.lower() != target.lower():
            raise BadMessage(400, "conflicting-host", "Host and the target are not the same.")
        return target, target
    if target == b"*":
        if method != b"OPTIONS":
            raise BadMessage(400, "bad-target", "The target * is for OPTIONS only.")
        return host, target
    match = _ABSOLUTE.fullmatch(target)
    if match is None or not _is_authority(match[2]):
        raise BadMessage(400, "bad-target", "The target is no path and no URI of http or https with a plain host.")
    scheme, authority, path = match.groups()
    if host:
        port = b":80" if len(scheme) == 4 else b":443"
        if host.lower().removesuffix(port) != authority.lower().removesuffix(port):
            raise BadMessage(400, "conflicting-host", "Host and the target are not the same.")
    if not path and method == b"OPTIONS":
        return authority, b"*"  # RFC 9112 section 3.2.4
    return authority, path if path[:1] == b"/" else b"/" + path


def _is_authority(value: bytes) -> bool:
    match = _AUTHORITY.fullmatch(value)
    return match is not None and (match[2] is None or _is_ipv6(match[2]))


def _is_ipv6(address: bytes) -> bool:
    try:
        IPv6Address(address.decode("ascii"))
    except AddressValueError:
        return False
    return True


def _bad_request_line(head: bytes) -> BadMessage:
    """Say what is wrong with the first line."""
    line = head.removeprefix(b"\r\n").partition(b"\r\n")[0]
    error = bad_byte(line, 400)
    if error is not None:
        return error
    parts = line.split(b" ")
    if len(parts) != 3:
        return BadMessage(400, "bad-request-line", "The first line is not a method, a target and a version.")
    method, target, version = parts
    if not is_token(method):
        return BadMessage(400, "bad-method", "The method is not a token.")
    if not re.fullmatch(rb"HTTP/[0-9]\.[0-9]", version):
        return BadMessage(400, "bad-version", "The request line does not end with a version of HTTP.")
    if version[5:6] != b"1":
        return BadMessage(505, "unsupported-version", "The version is not HTTP/1.")
    if len(method) > MAX_METHOD:
        return BadMessage(501, "unknown-method", f"The method is longer than {MAX_METHOD} bytes.")
    if not target:
        return BadMessage(400, "bad-target", "The request line has no target.")
    return BadMessage(400, "bad-target", "The target has a character that it must not.")
