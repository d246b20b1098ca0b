"""Cache-Status (RFC 9211)."""

from __future__ import annotations


def hit(cache: bytes, left: float) -> bytes:
    """
    :param left: seconds for which the answer is fresh; negative for a stale one.
    :return: the field's line.
    """
    return b"Cache-Status: %b; hit; ttl=%d\r\n" % (cache, left)


def forwarded(
    cache: bytes, why: bytes, status: int | None = None, stored: bool = False, collapsed: bool = False
) -> bytes:
    """
    :param why: of RFC 9211 section 2.2. :param status: what the service has answered, where that isn't the client's.
    :return: the field's line.
    """
    line = b"Cache-Status: %b; fwd=%b" % (cache, why)
    if status is not None:
        line += b"; fwd-status=%d" % status
    return line + b"; stored" * stored + b"; collapsed" * collapsed + b"\r\n"
