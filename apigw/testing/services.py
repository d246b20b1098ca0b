"""Services in memory: a function says what becomes of each request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http.client import responses
from typing import Any

from attrs import field, frozen
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from apigw.http1.body import ChunkedDecoder, LengthDecoder
from apigw.http1.head import HeadLimits
from apigw.http1.request import parse_request_head
from apigw.testing.ends import End
from apigw.upstream.pool import Dial

LIMITS = HeadLimits(size=1 << 20, line=1 << 20, fields=1000)


@frozen
class Asked:
    """
    What a service got.

    :ivar peer: ``host:port`` that it was sent to.
    :ivar headers: by name in lower case; of several of a name the last.
    """

    peer: str
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@frozen
class Reply:
    """:ivar after: seconds that it takes."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(factory=dict)
    after: float = 0.0


class _Fate:
    """Something that a service does instead of answering."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


HANG = _Fate("HANG")
"""It never answers."""

CUT = _Fate("CUT")
"""It closes the connection in place of an answer."""

REFUSE = _Fate("REFUSE")
"""It doesn't take the connection; only in place of the whole function."""

Service = Callable[[Asked], "Reply | _Fate"] | _Fate


class Services:
    """
    What the gateway connects to; stands in place of :mod:`apigw.upstream.dial`.

    :ivar by_peer: what answers at ``host:port``, or at the path of a socket. May be changed at any time.
    :ivar asked: what all of them got, in order.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.by_peer: dict[str, Service] = {}
        self.asked: list[Asked] = []

    def tcp(self, _: Any, host: str, port: int) -> Dial:
        return self._dial(f"{host}:{port}")

    def unix(self, _: Any, path: str) -> Dial:
        return self._dial(path)

    def tls(self, plain: Dial, *_: Any) -> Dial:
        """There is nobody to hide from."""
        return plain

    def _dial(self, peer: str) -> Dial:
        def dial(factory: Any, timeout: float) -> Any:
            service = self.by_peer.get(peer, REFUSE)
            if service is REFUSE:
                refused = Failure(ConnectionRefusedError())
                self._clock.callLater(0, factory.clientConnectionFailed, None, refused)
            else:
                _Served(self, self._clock, peer, factory)
            return _Connector()

        return dial

    def answer(self, asked: Asked) -> Reply | _Fate:
        """What the service at its peer does."""
        self.asked.append(asked)
        service = self.by_peer.get(asked.peer, REFUSE)
        return service if isinstance(service, _Fate) else service(asked)


class _Connector:
    def disconnect(self) -> None:
        """Nothing is on its way for long."""


class _Served:
    """The service's side of one connection."""

    def __init__(self, services: Services, clock: Clock, peer: str, factory: Any) -> None:
        self._services = services
        self._clock = clock
        self._peer = peer
        self._buffer = b""
        self._head: Any = None
        self._decoder: LengthDecoder | ChunkedDecoder | None = None
        self._body = b""
        self._end = End(clock, factory.buildProtocol(None), self, peer.partition(":")[0])

    def received(self, data: bytes) -> None:
        if self._head is None:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n") + 4
            if end < 4:
                return
            head = self._head = parse_request_head(self._buffer[:end])
            data, self._buffer, self._body = self._buffer[end:], b"", b""
            self._decoder = ChunkedDecoder(LIMITS) if head.chunked else LengthDecoder(head.content_length or 0)
        assert self._decoder is not None
        self._body += b"".join(self._decoder.feed(data))
        if self._decoder.done:
            head, self._head = self._head, None
            self._buffer = self._decoder.rest
            self._answer(head)

    def ended(self) -> None:
        """The gateway has closed."""

    def _answer(self, head: Any) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head.fields}
        asked = Asked(self._peer, head.method.decode(), head.target.decode("latin-1"), headers, self._body)
        reply = self._services.answer(asked)
        if isinstance(reply, Reply):
            self._clock.callLater(reply.after, self._end.feed, _message(reply, asked.method))
        elif reply is not HANG:
            self._end.end(ConnectionLost)


def _message(reply: Reply, method: str) -> bytes:
    bodyless = reply.status in (204, 304)
    given = {name.lower() for name in reply.headers}
    lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, '')}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    if not bodyless and "content-length" not in given:
        lines.append(f"Content-Length: {len(reply.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if bodyless or method == "HEAD" else reply.body)
