"""The head of a request: parsed as an origin server must, serialised as a client does (RFC 9112 section 3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address

from attrs import define

from apigw.http1.errors import BadMessage
from apigw.http1.fields import TOKEN, Fields, connection_options, is_token, parse_content_length, parse_fields

MAX_METHOD = 32
"""Bytes of a method; the longest registered one, UPDATEREDIRECTREF, has 17."""

_REQUEST_LINE = re.compile(rb"(?:\r\n)?(" + TOKEN + rb"{1,32}) ([!\"$-~]+) HTTP/1\.([0-9])(?=\r\n)")
_PORT = rb":(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6(?:[0-4][0-9]{3}|5(?:[0-4][0-9]{2}|5(?:[0-2][0-9]|3[0-5]))))"
_AUTHORITY = re.compile(
    rb"(?:[0-9A-Za-z_~-]+(?:\.[0-9A-Za-z_~-]+)*\.?|\[([0-9A-Fa-f:.]{2,45})\])(" + _PORT + rb")?"
)
_ABSOLUTE = re.compile(rb"([Hh][Tt][Tt][Pp][Ss]?)://([^/?]*)(/?.*)")
_SPECIAL = frozenset((b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade"))


@define(slots=True)
class RequestHead:
    """
    :ivar method: as sent; methods are case-sensitive.
    :ivar target: the request target as sent.
    :ivar minor: 0 for HTTP/1.0, 1 for HTTP/1.1 and for later minor versions (RFC 9110 section 2.5).
    :ivar fields: names and values in order, names in the case they were sent.
    :ivar authority: ``host[:port]`` that is asked for: of the absolute-form target if there, else of Host; empty only
        in HTTP/1.0.
    :ivar path: raw path and query in origin form, ``*`` in asterisk form, the authority for CONNECT.
    :ivar content_length: None without the field.
    :ivar chunked: the body comes in chunks.
    :ivar keep_alive: the connection persists as far as the request says.
    :ivar expect_continue: a body follows once 100 (Continue) was sent.
    :ivar options: lower-cased Connection options.
    :ivar upgrade: value of Upgrade where Connection names it, else empty.
    """

    method: bytes
    target: bytes
    minor: int
    fields: Fields
    authority: bytes
    path: bytes
    content_length: int | None
    chunked: bool
    keep_alive: bool
    expect_continue: bool
    options: tuple[bytes, ...]
    upgrade: bytes

    @property
    def has_body(self) -> bool:
        """Whether a body of at least one byte, or a chunked one, follows."""
        return self.chunked or bool(self.content_length)


def parse_request_head(head: bytes) -> RequestHead:
    """
    :param head: what :func:`~apigw.http1.head.find_head` found, with the empty line at its end.
    :raises BadMessage: see the package.
    """
    match = _REQUEST_LINE.match(head)
    if match is None:
        raise _bad_request_line(head)
    method, target, digit = match.groups()
    minor = 0 if digit == b"0" else 1
    fields = parse_fields(head, match.end(), 400)
    special: dict[bytes, bytes] = {}
    for name, value in fields:
        name = name.lower()
        if name in _SPECIAL:
            special[name] = special[name] + b", " + value if name in special else value

    host = special.get(b"host")
    if host is None:
        if minor:
            raise BadMessage(400, "missing-host", "The request has no Host.")
        host = b""
    elif not _is_authority(host):
        raise BadMessage(400, "bad-host", "Host is not one host name or address with an optional port.")
    authority = host
    path = target
    if target[0] != 47 or method == b"CONNECT":  # not "/"
        authority, path = _other_form(method, target, host)

    if len(special) == 1 and authority:
        return RequestHead(
            method, target, minor, fields, authority, path, None, False, minor == 1, False, (), b""
        )

    length, chunked = _framing(special, minor)
    if (chunked or length) and method in (b"CONNECT", b"TRACE"):
        raise BadMessage(400, "unexpected-body", "A request of that method can't have a body.")
    options: tuple[bytes, ...] = ()
    upgrade = b""
    connection = special.get(b"connection")
    if connection is not None:
        options = connection_options(connection, 400)
        if minor and b"upgrade" in options:
            upgrade = special.get(b"upgrade", b"")
    expect = special.get(b"expect")
    if expect is not None and minor and expect.lower() != b"100-continue":
        raise BadMessage(417, "unknown-expectation", "Expect asks for something else than 100-continue.")
    return RequestHead(
        method,
        target,
        minor,
        fields,
        authority,
        path,
        length,
        chunked,
        b"close" not in options if minor else b"keep-alive" in options and b"close" not in options,
        expect is not None and minor == 1 and (chunked or bool(length)),
        options,
        upgrade,
    )


def serialize_request_head(method: bytes, target: bytes, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """
    A request head of HTTP/1.1.

    Nothing is checked, for on the hot path all of it was parsed before: give it only what a parser of this package
    gave, or what passed :func:`~apigw.http1.fields.check_fields`.
    """
    lines = [b"%b: %b\r\n" % field for field in fields]
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, b"".join(lines))


def _framing(special: dict[bytes, bytes], minor: int) -> tuple[int | None, bool]:
    """Content-Length and whether chunked, of a request (RFC 9112 section 6)."""
    coding = special.get(b"transfer-encoding")
    length = special.get(b"content-length")
    if coding is None:
        return None if length is None else parse_content_length(length, 400), False
    if length is not None:
        raise BadMessage(
            400, "conflicting-framing", "The request has both Content-Length and Transfer-Encoding."
        )
    if not minor:
        raise BadMessage(400, "transfer-encoding-in-http10", "HTTP/1.0 has no Transfer-Encoding.")
    if coding == b"chunked" or coding.lower() == b"chunked":
        return None, True
    codings = [element.strip(b" \t").lower() for element in coding.split(b",")]
    if b"identity" in codings or b"chunked" in codings[:-1] or not all(map(is_token, codings)):
        raise BadMessage(400, "bad-transfer-encoding", "Transfer-Encoding is not exactly chunked.")
    raise BadMessage(501, "unknown-transfer-coding", "Transfer-Encoding names a coding other than chunked.")


def _is_authority(value: bytes) -> bool:
    match = _AUTHORITY.fullmatch(value)
    if match is None:
        return False
    address = match.group(1)
    return address is None or _is_ipv6(address)


def _is_ipv6(address: bytes) -> bool:
    try:
        IPv6Address(address.decode("ascii"))
    except ValueError:
        return False
    return True


def _other_form(method: bytes, target: bytes, host: bytes) -> tuple[bytes, bytes]:
    """Authority and path of a target that isn't in origin form (RFC 9112 sections 3.2.2 to 3.2.4)."""
    if method == b"CONNECT":
        match = _AUTHORITY.fullmatch(target)
        if match is None or match.group(2) is None or not _is_authority(target):
            raise BadMessage(400, "bad-target", "The target of CONNECT is not a host and a port.")
        if host and host.lower() != target.lower():
            raise BadMessage(400, "conflicting-host", "Host and the target name different hosts.")
        return target, target
    if target == b"*":
        if method != b"OPTIONS":
            raise BadMessage(400, "bad-target", "Only OPTIONS has the target *.")
        return host, target
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise BadMessage(400, "bad-target", "The target is neither a path nor an http or https URI.")
    scheme, authority, path = match.groups()
    if not _is_authority(authority):
        raise BadMessage(400, "bad-target", "The target has no valid host, or has user information.")
    if host:
        port = b":80" if len(scheme) == 4 else b":443"
        if authority.lower().removesuffix(port) != host.lower().removesuffix(port):
            raise BadMessage(400, "conflicting-host", "Host and the target name different hosts.")
    if path[:1] != b"/":
        path = b"/" + path
    return authority, path


def _bad_request_line(head: bytes) -> BadMessage:
    """Say what is wrong with a request line."""
    line = head.removeprefix(b"\r\n").partition(b"\r\n")[0]
    for byte, code in ((b"\n", "bare-lf"), (b"\r", "bare-cr"), (b"\0", "nul")):
        if byte in line:
            return BadMessage(400, code, "The request line has a control character.")
    method, _, rest = line.partition(b" ")
    target, _, version = rest.rpartition(b" ")
    if re.fullmatch(rb"HTTP/[0-9]\.[0-9]", version) and version[:7] != b"HTTP/1.":
        return BadMessage(505, "unsupported-version", "The request is of another major version than HTTP/1.")
    if not re.fullmatch(rb"HTTP/1\.[0-9]", version):
        return BadMessage(400, "bad-version", "The request line does not end with a version of HTTP/1.")
    if not is_token(method):
        return BadMessage(400, "bad-method", "The method is not a token.")
    if len(method) > MAX_METHOD:
        return BadMessage(501, "unknown-method", f"The method is longer than {MAX_METHOD} bytes.")
    if not target:
        return BadMessage(400, "bad-target", "The request line has no target.")
    return BadMessage(400, "bad-target", "The target has a character that none may have.")
