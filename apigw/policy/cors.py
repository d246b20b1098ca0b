"""
Which pages of other origins may read an answer, and how a preflight is answered.

Source: the Fetch standard, https://fetch.spec.whatwg.org/#http-cors-protocol; private networks by
https://wicg.github.io/private-network-access/.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Field = tuple[bytes, bytes]

ANY = "*"

SAFE_EXPOSED = ("X-Request-Id", "X-Correlation-Id", "Retry-After", "RateLimit", "RateLimit-Policy")
"""What the gateway itself has to say to a script."""

_is_label = re.compile(rb"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?").fullmatch
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_are_tokens = re.compile(rb"[ \t]*" + _TOKEN + rb"(?:[ \t]*,[ \t]*" + _TOKEN + rb")*[ \t]*").fullmatch
_is_token = re.compile(_TOKEN).fullmatch


def preflight_method(fields: Iterable[Field]) -> bytes | None:
    """
    The method that an OPTIONS request asks leave for; None where it is no preflight.

    :param fields: of the request.
    """
    origin = False
    method = None
    for name, value in fields:
        size = len(name)
        if size == 6 and name.lower() == b"origin":
            origin = True
        elif size == 29 and name.lower() == b"access-control-request-method":
            method = value
    return method if origin and method is not None and _is_token(method) else None


class Cors:
    """
    :param origins: serialized origins in lower case without default ports; ``https://*.example.org`` for exactly one
        label before the rest; or ``*`` alone.
    :param credentials: scripts may send cookies and the like, and read the answers to such requests.
    :param methods: that preflights allow, besides the safelisted ones; ``*`` for the one that was asked for.
    :param headers: request fields that preflights allow; ``*`` for those that were asked for.
    :param expose: response fields that scripts may read, besides the safelisted ones.
    :param max_age: seconds for which a browser may keep the answer to a preflight.
    :param private_network: a page of the internet may ask a gateway in a private network.
    :raises ValueError: ``*`` where credentials make it mean nothing.

    :ivar any: any origin may read, and all get the same answer.
    :ivar vary: a Vary line for what isn't the same for all, or nothing.
    """

    def __init__(
        self,
        origins: Iterable[str],
        *,
        credentials: bool = False,
        methods: Iterable[str] = (ANY,),
        headers: Iterable[str] = (ANY,),
        expose: Iterable[str] = SAFE_EXPOSED,
        max_age: float = 600.0,
        private_network: bool = False,
    ) -> None:
        origins, methods, headers, expose = tuple(origins), tuple(methods), tuple(headers), tuple(expose)
        if credentials and (ANY in origins or ANY in expose):
            raise ValueError("with credentials a * in origins or expose has no effect")
        self.any = ANY in origins
        self._exact = frozenset(origin.encode("ascii") for origin in origins if "*" not in origin)
        self._wild = frozenset(_wildcard(origin.encode("ascii")) for origin in origins if "://*." in origin)
        allowed = b"Access-Control-Allow-Credentials: true\r\n" if credentials else b""
        self.vary = b"" if self.any else b"Vary: Origin\r\n"
        self._actual = allowed + _line(b"Access-Control-Expose-Headers", expose)
        self._methods = None if ANY in methods else _line(b"Access-Control-Allow-Methods", methods)
        self._headers = None if ANY in headers else _line(b"Access-Control-Allow-Headers", headers)
        self._preflight = allowed + b"Access-Control-Max-Age: %d\r\n" % max_age
        self._private_network = private_network
        names = [] if self.any else ["Origin"]
        names += ["Access-Control-Request-Method"] if self._methods is None else []
        names += ["Access-Control-Request-Headers"] if self._headers is None else []
        names += ["Access-Control-Request-Private-Network"] if private_network else []
        self.preflight_vary = _line(b"Vary", names)

    def allows(self, origin: bytes) -> bool:
        """
        Whether pages of ``origin`` may read; constant time, whatever the number of origins.

        :param origin: the Origin field as sent; browsers send it in lower case without a default port.
        """
        if self.any or origin in self._exact:
            return True
        if not self._wild:
            return False
        scheme, _, host = origin.partition(b"://")
        label, _, rest = host.partition(b".")
        return (scheme, rest) in self._wild and _is_label(label) is not None

    def lines(self, origin: bytes) -> bytes:
        """
        For the answer to a request that is no preflight, but for Vary.

        :param origin: empty where the request has none.
        """
        if self.any:
            return b"Access-Control-Allow-Origin: *\r\n" + self._actual
        if origin and self.allows(origin):
            return b"Access-Control-Allow-Origin: " + origin + b"\r\n" + self._actual
        return b""

    def preflight(self, origin: bytes, method: bytes, headers: bytes, private_network: bool) -> bytes:
        """
        For the answer to a preflight, but for Vary; nothing where the origin isn't allowed.

        :param method: a token.
        :param headers: all the values of Access-Control-Request-Headers.
        :param private_network: whether leave for it is asked for.
        """
        if not self.allows(origin):
            return b""
        lines = b"Access-Control-Allow-Origin: " + (b"*" if self.any else origin) + b"\r\n" + self._preflight
        lines += self._methods if self._methods is not None else b"Access-Control-Allow-Methods: %b\r\n" % method
        if self._headers is not None:
            lines += self._headers
        elif headers and _are_tokens(headers):
            lines += b"Access-Control-Allow-Headers: %b\r\n" % headers.strip(b" \t")
        if private_network and self._private_network:
            lines += b"Access-Control-Allow-Private-Network: true\r\n"
        return lines


def same_origin(origin: bytes, authority: bytes) -> bool:
    """
    Whether a page of ``origin`` came from the very host and port that it asks.

    The scheme is left out of it: who ends TLS before the gateway may be unknown here, and a page that was loaded from
    this host without TLS could be anybody's in either case.
    """
    return bool(authority) and origin.partition(b"://")[2] == authority.lower()


def _wildcard(origin: bytes) -> tuple[bytes, bytes]:
    scheme, _, host = origin.partition(b"://*.")
    return scheme, host


def _line(name: bytes, values: Iterable[str]) -> bytes:
    joined = ", ".join(values).encode("ascii")
    return name + b": " + joined + b"\r\n" if joined else b""
