"""Where a message ends and whether its connection goes on, in both directions (RFC 9112 sections 6, 9)."""

from __future__ import annotations

from apigw.http1.errors import BadMessage
from apigw.http1.fields import is_token

MAX_LENGTH = 2**63 - 1
"""The longest body: what a signed offset of 64 bits holds, as in nginx, HAProxy and Go."""

_USUAL_OPTIONS = {
    b"close": (b"close",),
    b"Close": (b"close",),
    b"keep-alive": (b"keep-alive",),
    b"Keep-Alive": (b"keep-alive",),
    b"upgrade": (b"upgrade",),
    b"Upgrade": (b"upgrade",),
}
"""What nearly every Connection field says, parsed."""


def parse_framing(special: dict[bytes, bytes], minor: int, status: int) -> tuple[int | None, bool]:
    """
    What Content-Length says, None without it, and whether the body is chunked.

    :param special: fields by lower-cased name, repeated ones joined.
    :param status: what a refusal carries, 400 or 502; where it is 400, a coding we don't know gets 501.
    :raises BadMessage: the fields say nothing certain.
    """
    coding = special.get(b"transfer-encoding")
    length = special.get(b"content-length")
    if coding is None:
        return (None if length is None else parse_content_length(length, status)), False
    if length is not None:
        raise BadMessage(status, "conflicting-framing", "Content-Length and Transfer-Encoding come together.")
    if not minor:
        raise BadMessage(status, "transfer-encoding-in-http10", "HTTP/1.0 has no Transfer-Encoding.")
    if coding.lower() == b"chunked":
        return None, True
    codings = [element.strip(b" \t") for element in coding.lower().split(b",")]
    if b"identity" in codings or b"chunked" in codings[:-1] or not all(map(is_token, codings)):
        raise BadMessage(status, "bad-transfer-encoding", "Transfer-Encoding is not chunked, once and alone.")
    raise BadMessage(
        501 if status == 400 else status, "unknown-transfer-coding", "Transfer-Encoding is more than chunked."
    )


def parse_content_length(value: bytes, status: int) -> int:
    """
    :param status: what a refusal carries.
    :raises BadMessage: ``value`` isn't one decimal number up to :data:`MAX_LENGTH`.

    Source: RFC 9110 section 8.6. A list of equal numbers may be taken or refused; nginx refuses it too.
    """
    if value.isdigit() and len(value) <= 19:  # bytes.isdigit knows the ASCII digits only
        length = int(value)
        if length <= MAX_LENGTH:
            return length
    raise BadMessage(status, "bad-content-length", "Content-Length is not one decimal number below 2^63.")


def parse_connection(value: bytes, status: int) -> tuple[bytes, ...]:
    """
    The options of Connection in lower case; empty list elements are skipped (RFC 9110 section 5.6.1.2).

    :param status: what a refusal carries.
    :raises BadMessage: an option is no token.
    """
    usual = _USUAL_OPTIONS.get(value)
    if usual is not None:
        return usual
    options = [option for element in value.lower().split(b",") if (option := element.strip(b" \t"))]
    if not all(map(is_token, options)):
        raise BadMessage(status, "bad-connection", "Connection has something that is no option.")
    return tuple(options)


def persists(minor: int, options: tuple[bytes, ...]) -> bool:
    """Whether the sender keeps the connection after the message (RFC 9112 section 9.3)."""
    if not options:
        return minor > 0
    return b"close" not in options and (minor > 0 or b"keep-alive" in options)
