"""Cookies that bring a client back to the peer it had."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator

NAME_SIZE = 6
"""Bytes that a cookie names a peer by: among 1,000 peers two of the same name are one case in 500 million."""

MAC_SIZE = 16
"""Bytes of the HMAC that are kept; RFC 2104 section 5 advises no less than half of its 32, and no less than 10."""


class Sticky:
    """
    The cookies of one service. A cookie names its peer by a keyed digest, so it shows no address, and is signed, so
    that no client can choose where it goes; both are made once for each peer, not for each request.

    :param secret: shared by all gateways of the service; at least 16 bytes.
    :param service: a cookie of one service is worth nothing at another.
    :raises ValueError: the secret is too short.
    """

    def __init__(self, secret: bytes, service: str) -> None:
        if len(secret) < 16:
            raise ValueError("the secret for sticky cookies must have 16 bytes or more")
        self._secret = secret
        self._service = service.encode()
        self._peers: dict[bytes, tuple[bytes, bytes]] = {}
        self._values: dict[bytes, bytes] = {}

    def update(self, ids: Iterable[bytes]) -> None:
        """Know these peers from now on; cookies of others are worth nothing any more."""
        self._peers, self._values = {}, {}
        for peer in ids:
            name = urlsafe_b64encode(self._digest(b"name", peer)[:NAME_SIZE])
            mac = urlsafe_b64encode(self._digest(b"mac", name)[:MAC_SIZE]).rstrip(b"=")
            self._peers[name] = (peer, mac)
            self._values[peer] = b"%b.%b" % (name, mac)

    def value(self, peer: bytes) -> bytes:
        """
        What the cookie for a peer says.

        :raises KeyError: the peer isn't known.
        """
        return self._values[peer]

    def find(self, values: Iterable[bytes]) -> bytes | None:
        """
        The peer that a client should go to.

        :param values: of its cookies of that name, as :func:`cookie_values` has them; the first that is genuine counts.
        :return: None where none is, or its peer has gone.
        """
        for value in values:
            name, _, mac = value.partition(b".")
            known = self._peers.get(name)
            if known is not None and hmac.compare_digest(known[1], mac):
                return known[0]
        return None

    def _digest(self, use: bytes, text: bytes) -> bytes:
        message = b"sticky\0%b\0%b\0%b" % (use, self._service, text)
        return hmac.new(self._secret, message, hashlib.sha256).digest()


def cookie_values(fields: Iterable[bytes], name: bytes) -> Iterator[bytes]:
    """
    The values of a cookie in Cookie fields, of which HTTP/2 clients send several (RFC 9113 section 8.2.3).

    :param fields: values of the fields.
    :param name: case-sensitive.

    Source: RFC 6265 section 4.2.1; as servers do, white space around names and values and empty pairs are put up with.
    """
    for field in fields:
        if name in field:
            for pair in field.split(b";"):
                found, equals, value = pair.partition(b"=")
                if equals and found.strip(b" \t") == name:
                    yield value.strip(b" \t")


def set_cookie(name: bytes, value: bytes, *, secure: bool, max_age: int | None = None) -> bytes:
    """
    The value of Set-Cookie.

    :param secure: the client came by TLS.
    :param max_age: seconds; None until the browser is closed.
    """
    age = b"" if max_age is None else b"; Max-Age=%d" % max_age
    return b"%b=%b; Path=/%b; HttpOnly; SameSite=Lax%b" % (name, value, age, b"; Secure" if secure else b"")
