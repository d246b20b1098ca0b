"""Compresses answers for clients that take it, as they stream."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from zope.interface import implementer

from apigw.messages import DeliverableBody, Exchange, Response, field_value, field_values
from apigw.pipeline import Stage
from apigw.policy.encoding import accepted, compressible, encoded, known_weak, varying, weak
from apigw.stages.codings import Coding

_SECRETS = frozenset((b"cookie", b"authorization", b"proxy-authorization"))


class Compression(Stage):
    """
    :param codings: that there are, the best first.
    :param types: media types, see :func:`~apigw.policy.encoding.compressible`.
    :param smallest: bytes from which on a body of known length is compressed.
    :param public: only answers in which there is no secret: nobody has said who asks, and no cookie is set.

    Stands before the stages whose ``response`` may change a body, for it comes after them on the way up.
    """

    def __init__(
        self,
        codings: Mapping[str, Callable[[], Coding]],
        types: Collection[str],
        smallest: int,
        public: bool = False,
    ) -> None:
        self._codings = codings
        self._known = tuple(codings)
        self._types = frozenset(types)
        self._smallest = smallest
        self._public = public

    def response(self, exchange: Exchange, response: Response) -> None:
        request, status = exchange.request, response.status
        if status == 304:
            self._not_modified(exchange, response)
            return
        if status < 200 or status in (204, 205, 206):
            return
        body = response.body
        bodyless = response.bodyless or request.method == b"HEAD"
        length = None if bodyless else len(body) if isinstance(body, bytes) else response.length
        if not compressible(response.seen, self._types, self._smallest, length):
            return
        if self._public and _secret(exchange, response):
            return
        if bodyless:
            # Of which coding the body would be isn't told: who wants to know may ask for it.
            response.fields = varying(response.seen)
            return
        coding = accepted(b",".join(field_values(request.fields, b"accept-encoding")), self._known)
        if not coding or any(
            b"no-transform" in value.lower() for value in field_values(request.fields, b"cache-control")
        ):
            response.fields = varying(response.seen)
            return
        response.fields = varying(encoded(response.seen, coding))
        stream = self._codings[coding]()
        if isinstance(body, bytes):
            response.body = stream.feed(body) + stream.end()
            response.length = len(response.body)
            response.fields.append((b"Content-Length", b"%d" % response.length))
        else:
            response.length = None
            response.body = CompressedBody(body, stream)

    def _not_modified(self, exchange: Exchange, response: Response) -> None:
        """What is still good was compressed: its tag stays a weak one."""
        tag = field_value(response.seen, b"etag")
        if tag is not None and not tag.startswith(b"W/") and known_weak(exchange.request.fields, tag):
            response.fields = [
                (name, weak(value) if name.lower() == b"etag" else value) for name, value in response.seen
            ]


def _secret(exchange: Exchange, response: Response) -> bool:
    return (
        exchange.identity is not None
        or (exchange.request.client.tls is not None and exchange.request.client.tls.certificate is not None)
        or any(name.lower() in _SECRETS for name, _ in exchange.request.fields)
        or any(name.lower() == b"set-cookie" for name, _ in response.seen)
    )


@implementer(IProtocol)
class CompressedBody:
    """A body, encoded on its way to whoever wants it."""

    def __init__(self, body: DeliverableBody, stream: Coding) -> None:
        self._body = body
        self._stream = stream
        self._protocol: Any = None

    def deliverBody(self, protocol: IProtocol) -> None:
        """As :class:`~apigw.messages.DeliverableBody` has it."""
        self._protocol = protocol
        self._body.deliverBody(self)

    def makeConnection(self, transport: Any) -> None:
        self._protocol.makeConnection(transport)

    def connectionMade(self) -> None:
        """Part of IProtocol."""

    def dataReceived(self, data: bytes) -> None:
        if data:
            self._protocol.dataReceived(self._stream.feed(data))

    def connectionLost(self, reason: Failure) -> None:
        if isinstance(reason.value, ResponseDone):
            self._protocol.dataReceived(self._stream.end())
        self._protocol.connectionLost(reason)
