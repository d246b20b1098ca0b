"""
What travels along the path: a request, its answer, and the exchange that holds both while they are under way.

Bodies keep Twisted's own two shapes, so that any client or resource written for Twisted fits in: a request body is an
``IBodyProducer``, a response body is plain bytes or something with ``deliverBody``, as ``IResponse`` has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen
from twisted.internet.interfaces import IProtocol
from twisted.logger import Logger

from apigw.body import RequestBody
from apigw.http1.fields import wire_lines

if TYPE_CHECKING:
    from apigw.errors import GatewayError, StreamEnded
    from apigw.pipeline import Route
    from apigw.policy.client_auth import ClientTls
    from apigw.policy.gcra import Spend, Standing
    from apigw.policy.graphql.rules import Judged
    from apigw.policy.principal import Principal
    from apigw.streams import Stream, Streams
    from apigw.task import Task

Field = tuple[bytes, bytes]
Fields = list[Field]

_log = Logger()


def field_value(fields: Sequence[Field], name: bytes) -> bytes | None:
    """
    The value of the first field of that name.

    :param name: in lower case.
    """
    for key, value in fields:
        if len(key) == len(name) and key.lower() == name:
            return value
    return None


def field_values(fields: Sequence[Field], name: bytes) -> list[bytes]:
    """All values of that name, in order; ``name`` in lower case."""
    return [value for key, value in fields if len(key) == len(name) and key.lower() == name]


class ClientAddress:
    """
    Where a connection comes from; one object a connection.

    :ivar host: the address as text, empty for a UNIX socket.
    :ivar port: the port, 0 for a UNIX socket.
    :ivar scheme: ``http`` or ``https``, as the gateway's listener has it.
    :ivar tls: what the handshake has told, None without TLS.
    """

    __slots__ = ("host", "port", "scheme", "tls")

    def __init__(self, host: str, port: int, scheme: bytes, tls: ClientTls | None = None) -> None:
        self.host = host
        self.port = port
        self.scheme = scheme
        self.tls = tls


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
    :ivar length: bytes of the body, None while unknown.
    :ivar bodyless: the message has no body, whatever Content-Length says (HEAD, 204, 304).
    """

    lines = b""
    """More fields, in the form they have on the wire; sent after ``fields``."""
    trailers: Sequence[Field] = ()
    """Fields that came after the body; complete once the body is."""
    trailing: Callable[[Sequence[Field]], list[Field]] | None = None
    """What of :attr:`trailers` the client gets, None for all."""
    _wire: bytes | None = None

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
        self.body: Any = body
        self.length = len(body) if isinstance(body, bytes) and length is None else length
        self.bodyless = bodyless

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
    def notes(self) -> dict[object, Any] | None:
        """What was derived of :attr:`seen`, for the answers that have the same; None where no other one may."""
        return None

    @property
    def seen(self) -> Sequence[Field]:
        """:attr:`fields` for who only looks at them: they aren't copied."""
        return self._fields

    def last_fields(self) -> Sequence[Field]:
        """What of the trailers the client gets, once the body is complete."""
        trailers = self.trailers
        return trailers if self.trailing is None or not trailers else self.trailing(trailers)

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

    def upgrading(self) -> Outlet:
        """For an exchange that asks for another protocol: takes a 101 as the final answer too."""


@frozen
class Timeouts:
    """
    Of an attempt, seconds. ``total`` counts from the moment the request is complete to the head of the answer, over
    all attempts: a long upload or a long answer isn't cut by it.
    """

    first_byte: float = 15.0
    idle: float = 60.0
    total: float = 30.0


class Screen(Protocol):
    """
    Looks at what a client sends in a tunnel.
    """

    @property
    def ended(self) -> StreamEnded | None:
        """Why it is to be ended, None while it may go on."""

    def __call__(self, data: bytes) -> bytes:
        """
        :param data: as it came.
        :return: what may go on now: whole frames.
        """


class Upgrade:
    """
    What an exchange asks for that wants to leave HTTP (RFC 9110 section 7.8).

    :ivar offered: names of protocols, in lower case, of which the service may choose.
    :ivar idle: seconds without a byte in either direction, after which the tunnel is closed.
    :ivar total: seconds that it may last.
    :ivar streams: knows the tunnel while it is open.
    :ivar screen: what the client sends goes through it, frame by frame of WebSocket; None for all as it comes.
    """

    __slots__ = ("idle", "offered", "screen", "streams", "total")

    def __init__(self, offered: tuple[bytes, ...], idle: float, total: float, streams: Streams) -> None:
        self.offered = offered
        self.idle = idle
        self.total = total
        self.streams = streams
        self.screen: Screen | None = None


class Trace:
    """
    Where an exchange stands in a trace (W3C Trace Context).

    :ivar trace_id: 32 hexadecimal digits. :ivar span_id: 16 of them, of the exchange.
    :ivar parent_id: of who calls, empty for none. :ivar sampled: somebody will be told of it.
    :ivar flags: for who is called. :ivar state: the line with tracestate, empty for none.
    """

    __slots__ = ("flags", "parent_id", "sampled", "span_id", "state", "trace_id")

    def __init__(
        self, trace_id: bytes, span_id: bytes, parent_id: bytes, sampled: bool, flags: int, state: bytes
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.sampled = sampled
        self.flags = flags
        self.state = state


NO_TIMEOUTS = Timeouts(inf, inf, inf)


class Attempt:
    """
    One try to get an answer from one peer. Times are monotonic seconds, 0.0 where it didn't come to that.

    :ivar deadline: when the head of the answer must be here; ``inf`` while the request is still being sent, whose
        pace is the client's, and ``timeouts.total`` seconds from then on.
    :ivar inform: where 1xx answers go; dropped with the final one, since it leads back to the exchange, and a cycle
        would keep all of it until the garbage collector runs.
    """

    peer = ""
    """The label of the peer that was picked."""
    candidate: Any = None
    """The same as the balancer knows it, for another attempt to avoid."""
    queued = 0.0
    """Seconds in line for a connection."""
    connect = 0.0
    """Seconds to make one."""
    first_byte = 0.0
    """When the head of the answer was here."""
    reused = False
    """A kept connection was used, so the peer may have closed it already."""
    sent = False
    """Some byte of the request may have reached the peer."""
    status = 0
    span_id = b""
    """Of a sampled trace."""
    error: GatewayError | None = None
    upgrade: Upgrade | None = None
    """Protocols of which the peer may choose one by a 101; without them that is no answer."""

    def __init__(
        self,
        begun: float,
        inform: Callable[[int, Fields], None] | None = None,
        deadline: float = inf,
        timeouts: Timeouts = NO_TIMEOUTS,
    ) -> None:
        self.begun = begun
        self.inform = inform
        self.deadline = deadline
        self.timeouts = timeouts


class Exchange:
    """
    One request and all that is known of it: the only per-request state there is.

    :ivar begun: monotonic seconds when the first byte of the head was there.
    :ivar client_ip: the client's address as far as trusted proxies tell it.
    """

    id = b""
    """The request id, in the answer, at the service and in the log."""
    correlation_id = b""
    id_lines = b""
    """Both ids, in the form they have on the wire: for the answer and for the service."""
    route: Route | None = None
    params: dict[str, bytes] | None = None
    """Raw path parameters of the route's pattern."""
    version: str = ""
    """Of the API that it asks for."""
    forwarding: Sequence[Field] = ()
    """X-Forwarded-*, Forwarded and their like, for the service."""
    budget: float | None = None
    """Seconds that a trusted caller leaves for the answer."""
    principal: str | None = None
    """Who the client's token says it is, None for a guest."""
    identity: Principal | None = None
    """The same with roles, scopes and claims."""
    lines = b""
    """Fields for the service that hold for this request alone, in the form they have on the wire."""
    repeatable = False
    """It may be sent twice although its method doesn't say so, for an idempotency key does."""
    uncounted: Spend | None = None
    """What the client's address will spend, once it is known what else is to be spent."""
    standings: Sequence[Standing] = ()
    """What is left of the quotas that it was counted against."""
    under_way: Sequence[tuple[int, str]] = ()
    """What it is counted for until it is over."""
    graphql: Judged | None = None
    """What it asks for in GraphQL."""
    upgrade: Upgrade | None = None
    """The request asks for another protocol, and may."""
    upgrade_counted: Sequence[tuple[int, str]] = ()
    """What it is counted for as a tunnel."""
    stream: Stream | None = None
    """What has begun and goes on until it is ended."""
    trace: Trace | None = None
    would_refuse = ""
    """The code of an error that a policy would have made, had it not been told to report only."""
    response: Response | None = None
    error: GatewayError | None = None
    sent = 0
    """Bytes of the response body written to the client."""
    started = False
    """The head of the final answer is on its way, so no other answer can follow."""
    complete = False
    """All of the answer was written; False in ``done`` stages means that it was cut."""
    task: Task | None = None
    _kept: dict[object, Any] | None = None

    def __init__(self, request: Request, outlet: Outlet, begun: float) -> None:
        self.request = request
        self.outlet = outlet
        self.begun = begun
        self.client_ip = request.client.host
        self.attempts: list[Attempt] = []

    @property
    def kept(self) -> dict[object, Any]:
        """For stages that keep something of the request that has no other place, each by itself as the key."""
        kept = self._kept
        if kept is None:
            kept = self._kept = {}
        return kept

    @property
    def user_key(self) -> str | None:
        """Tells users apart, also those of several issuers; None for a guest. ``principal`` is what services know."""
        who = self.identity
        return self.principal if who is None else who.key or self.principal

    def inform(self, status: int, fields: Fields) -> None:
        """Pass a 1xx answer on to the client."""
        self.outlet.inform(self, status, fields)

    def finish(self, complete: bool) -> None:
        """The outlet has written the last byte of the answer, or never will: run what waits for the end."""
        self.complete = complete
        route = self.route
        if route is not None:
            for done in route.done:
                try:
                    done(self)
                except Exception:
                    _log.failure(
                        "{route} failed at the end of request {request_id}",
                        route=route.name,
                        request_id=self.id.decode(),
                    )

    def cancel(self, error: GatewayError) -> None:
        """Nobody waits for the answer any more: stop the work for it."""
        if self.error is None:
            self.error = error
        task = self.task
        if task is not None:
            task.cancel()
