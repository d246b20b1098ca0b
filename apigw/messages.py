"""
What travels along the path: a request, its answer, and the exchange that holds both while they are under way.

Bodies keep Twisted's own two shapes, so that any client or resource written for Twisted fits in: a request body is an
``IBodyProducer``, a response body is plain bytes or something with ``deliverBody``, as ``IResponse`` has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.interfaces import IProtocol

from apigw.body import RequestBody
from apigw.http1.fields import wire_lines

if TYPE_CHECKING:
    from apigw.errors import GatewayError
    from apigw.pipeline import Route
    from apigw.task import Task

Field = tuple[bytes, bytes]
Fields = list[Field]


def field_value(fields: Fields, name: bytes) -> bytes | None:
    """
    The value of the first field of that name.

    :param name: in lower case.
    """
    for key, value in fields:
        if len(key) == len(name) and key.lower() == name:
            return value
    return None


def field_values(fields: Fields, name: bytes) -> list[bytes]:
    """All values of that name, in order; ``name`` in lower case."""
    return [value for key, value in fields if len(key) == len(name) and key.lower() == name]


class ClientAddress:
    """
    Where a connection comes from; one object a connection.

    :ivar host: the address as text, empty for a UNIX socket.
    :ivar port: the port, 0 for a UNIX socket.
    :ivar scheme: ``http`` or ``https``, as the gateway's listener has it.
    """

    __slots__ = ("host", "port", "scheme")

    def __init__(self, host: str, port: int, scheme: bytes) -> None:
        self.host = host
        self.port = port
        self.scheme = scheme


class Request:
    """
    A request whose head has been read; the body may still be on its way.

    :ivar target: the request target as sent.
    :ivar path: raw path of the target, without the query.
    :ivar query: what follows the path, with its ``?``, or nothing.
    :ivar authority: host and port as the client named them; empty only from an HTTP/1.0 client.
    :ivar fields: names and values in order, names in the case they were sent. Not to be changed in place, for the
        next request may share the list: a stage that wants other fields calls :meth:`replace_fields`.
    :ivar options: lower-cased Connection options.
    :ivar notes: what was derived of the fields; shared with the requests that have the same ones.
    :ivar body: None where the request has none.
    :ivar empty_body: ``Content-Length: 0`` was sent, so a body was meant and is empty.
    """

    __slots__ = (
        "authority",
        "body",
        "client",
        "empty_body",
        "fields",
        "method",
        "notes",
        "options",
        "path",
        "query",
        "target",
        "version",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        path: bytes,
        query: bytes,
        authority: bytes,
        fields: Fields,
        options: tuple[bytes, ...],
        version: bytes,
        client: ClientAddress,
        notes: dict[object, Any],
    ) -> None:
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.authority = authority
        self.fields = fields
        self.options = options
        self.version = version
        self.client = client
        self.notes = notes
        self.body: RequestBody | None = None
        self.empty_body = False

    def replace_fields(self, fields: Fields) -> None:
        """Give the request other fields."""
        self.fields = fields
        self.notes = {}


class DeliverableBody(Protocol):
    """A response body that is still coming in."""

    def deliverBody(self, protocol: IProtocol) -> None:
        """
        Give all bytes to ``protocol.dataReceived``, then call ``connectionLost``.

        ``protocol.makeConnection`` gets an ``IPushProducer`` first. The reason is ``ResponseDone`` at the clean end
        and anything else where the body was cut.
        """


class Response:
    """
    An answer, from a service or of the gateway's own.

    :ivar fields: without framing fields but Content-Length, without hop-by-hop fields. May be changed in place.
    :ivar body: bytes where it is all there, else something to be delivered.
    :ivar lines: more fields, in the form they have on the wire; sent after ``fields``.
    :ivar length: bytes of the body, None while unknown.
    :ivar bodyless: the message has no body, whatever Content-Length says (HEAD, 204, 304).
    :ivar trailers: fields that came after the body; complete once the body is.
    """

    __slots__ = ("_fields", "_wire", "body", "bodyless", "length", "lines", "reason", "status", "trailers")

    def __init__(
        self,
        status: int,
        reason: bytes,
        fields: Fields,
        body: bytes | DeliverableBody = b"",
        length: int | None = None,
        bodyless: bool = False,
    ) -> None:
        self.status = status
        self.reason = reason
        self._fields = fields
        self._wire: bytes | None = None
        self.lines = b""
        self.body = body
        self.length = len(body) if isinstance(body, bytes) and length is None else length
        self.bodyless = bodyless
        self.trailers: Fields = []

    @property
    def fields(self) -> Fields:
        if self._wire is not None:
            self._wire = None
            self._fields = list(self._fields)
        return self._fields

    @fields.setter
    def fields(self, fields: Fields) -> None:
        self._fields = fields
        self._wire = None

    @property
    def seen(self) -> Sequence[Field]:
        """:attr:`fields` for who only looks at them: they aren't copied."""
        return self._fields

    def share_fields(self, fields: Fields, wire: bytes) -> None:
        """
        Give the response fields that others have too, and that were put into the form of the wire already.

        They are copied when somebody asks for :attr:`fields`.
        """
        self._fields = fields
        self._wire = wire

    def field_lines(self) -> bytes:
        """All fields, as they go on the wire."""
        return (wire_lines(self._fields) if self._wire is None else self._wire) + self.lines


class Outlet(Protocol):
    """Where the answer to one exchange goes: an HTTP/1.1 connection or an HTTP/2 stream."""

    def inform(self, exchange: Exchange, status: int, fields: Fields) -> None:
        """Send a 1xx answer, before the final one."""

    def respond(self, exchange: Exchange, response: Response) -> None:
        """Send the final answer; ``exchange.finish`` is called once its last byte is written, or is lost."""


class Attempt:
    """
    One try to get an answer from one peer. Times are monotonic seconds, 0.0 where it didn't come to that.

    :ivar deadline: when the head of the answer must be here; ``inf`` while the request is still being sent, whose
        pace is the client's, and ``total_timeout`` seconds from then on.

    :ivar peer: the label of the peer that was picked.
    :ivar candidate: the same as the balancer knows it, for another attempt to avoid.
    :ivar reused: a kept connection was used, so the peer may have closed it already.
    :ivar sent: some byte of the request may have reached the peer.
    :ivar inform: where 1xx answers go; dropped with the final one, since it leads back to the exchange, and a cycle
        would keep all of it until the garbage collector runs.
    """

    __slots__ = (
        "begun",
        "candidate",
        "connect",
        "connected",
        "deadline",
        "error",
        "first_byte",
        "first_byte_timeout",
        "idle_timeout",
        "inform",
        "peer",
        "queued",
        "reused",
        "sent",
        "status",
        "total_timeout",
    )

    def __init__(
        self,
        begun: float,
        inform: Callable[[int, Fields], None] | None = None,
        *,
        deadline: float = inf,
        total_timeout: float = inf,
        first_byte_timeout: float = inf,
        idle_timeout: float = inf,
    ) -> None:
        self.begun = begun
        self.inform = inform
        self.deadline = deadline
        self.total_timeout = total_timeout
        self.first_byte_timeout = first_byte_timeout
        self.idle_timeout = idle_timeout
        self.peer = ""
        self.candidate: Any = None
        self.queued = 0.0
        self.connect = 0.0
        self.connected = 0.0
        self.first_byte = 0.0
        self.reused = False
        self.sent = False
        self.status = 0
        self.error: GatewayError | None = None

    @property
    def remaining(self) -> float:
        """Seconds that the service has, as far as is known when the attempt begins."""
        return self.total_timeout if self.deadline == inf else self.deadline - self.begun


class Exchange:
    """
    One request and all that is known of it: the only per-request state there is.

    :ivar id: the request id, in the answer, at the service and in the log.
    :ivar begun: monotonic seconds when the first byte of the head was there.
    :ivar client_ip: the client's address as far as trusted proxies tell it.
    :ivar params: raw path parameters of the route's pattern.
    :ivar forwarding: X-Forwarded-*, Forwarded and their like, for the service.
    :ivar principal: who the client's token says it is, None for a guest.
    :ivar sent: bytes of the response body written to the client.
    :ivar started: the head of the final answer is on its way, so no other answer can follow.
    :ivar complete: all of the answer was written; False in ``done`` stages means that it was cut.
    """

    __slots__ = (
        "attempts",
        "begun",
        "client_ip",
        "complete",
        "correlation_id",
        "error",
        "forwarding",
        "id",
        "outlet",
        "params",
        "principal",
        "request",
        "response",
        "route",
        "sent",
        "started",
        "task",
    )

    def __init__(self, request: Request, outlet: Outlet, begun: float) -> None:
        self.request = request
        self.outlet = outlet
        self.begun = begun
        self.id = b""
        self.correlation_id = b""
        self.client_ip = request.client.host
        self.route: Route | None = None
        self.params: dict[str, bytes] | None = None
        self.forwarding: Sequence[Field] = ()
        self.principal: str | None = None
        self.attempts: list[Attempt] = []
        self.response: Response | None = None
        self.error: GatewayError | None = None
        self.sent = 0
        self.started = False
        self.complete = False
        self.task: Task | None = None

    def inform(self, status: int, fields: Fields) -> None:
        """Pass a 1xx answer on to the client."""
        self.outlet.inform(self, status, fields)

    def finish(self, complete: bool) -> None:
        """The outlet has written the last byte of the answer, or never will: run what waits for the end."""
        self.complete = complete
        route = self.route
        if route is not None:
            for done in route.done:
                done(self)

    def cancel(self, error: GatewayError) -> None:
        """Nobody waits for the answer any more: stop the work for it."""
        if self.error is None:
            self.error = error
        task = self.task
        if task is not None:
            task.cancel()
