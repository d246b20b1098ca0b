"""
The services behind the example configuration: user, ai and music, three small Twisted web servers on loopback.

user
    ``GET /users``; ``POST /users`` with ``{"name": ...}``; ``GET /users/NUMBER``
ai
    ``/ai/echo``, any method: what arrived, as JSON; ``GET /ai/stream?n=5&interval=0.2``: that many lines, so many
    seconds apart, as server-sent events where the client accepts those; ``/ai/slow?ms=1000``: an answer that takes its
    time; ``/ai/status/503``: any status from 200 to 599
music
    ``GET /music/tracks``; ``POST`` or ``PUT /music/upload``: how many bytes, and their SHA-256
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import islice
from os import SEEK_END
from typing import IO, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort, ITCPTransport
from twisted.internet.task import Cooperator
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

MAX_LINES = 100_000
"""What one stream sends at most."""
MAX_USERS = 1_000
"""What a service that is only looked at keeps at most."""
MAX_WAIT = 60.0
"""Seconds: the longest that ``slow`` waits, and a stream between two lines."""
MAX_ECHO = 64 * 1024
"""Bytes of a body that come back; the count is always of all."""
HASH_STEP = 64 * 1024
"""Bytes that are hashed before other connections get their turn."""

ANY = "*"
"""Stands for every method."""


class _Refused(Exception):
    """The request is wrong: status 400 with this text."""


def _reply(request: Request, status: int, value: object) -> bytes:
    """Set status and type, and give the body: ``value`` as one line of JSON."""
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"application/json")
    return json.dumps(value).encode() + b"\n"


def _body(request: Request) -> IO[bytes]:
    """The body, which twisted.web has whole before it asks for an answer."""
    body: IO[bytes] | None = request.content
    assert body is not None
    return body


def _number(request: Request, name: str, default: float, most: float) -> float:
    """
    A number of the query.

    :raises _Refused: it isn't one from 0 to ``most``.
    """
    given = request.args.get(name.encode(), [])
    try:
        value = float(given[0]) if given else default
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise _Refused(f"{name} must be a number from 0 to {most:g}")
    return value


class _Leaf(Resource):
    """
    A path that answers.

    :param answer: what twisted.web calls a render method.
    :param methods: those allowed; reading when none is named, and ``ANY``.
    """

    isLeaf = True

    def __init__(self, answer: Callable[[Request], Any], *methods: str) -> None:
        super().__init__()
        self._answer = answer
        self._methods = [method.encode() for method in methods or ("GET", "HEAD")]

    def render(self, request: Request) -> Any:
        if request.method not in self._methods and ANY.encode() not in self._methods:
            request.setHeader(b"allow", b", ".join(self._methods))
            return _reply(request, 405, {"error": "method not allowed"})
        try:
            return self._answer(request)
        except _Refused as refused:
            return _reply(request, 400, {"error": str(refused)})


class _Place(Resource):
    """
    A path with others below it.

    :param below: what answers for a child that no other was put for, given its name.
    """

    def __init__(self, below: Callable[[Request, bytes], Any] | None = None, **children: Resource) -> None:
        super().__init__()
        self._below = below
        for name, child in children.items():
            self.putChild(name.encode(), child)

    def getChild(self, path: bytes, request: Request) -> Resource:
        below = self._below
        if below is None or request.postpath:
            return _Leaf(lambda request: _reply(request, 404, {"error": "no such path"}), ANY)
        return _Leaf(lambda request: below(request, path), ANY)

    def render(self, request: Request) -> Any:
        return self.getChild(b"", request).render(request)


class _Users:
    """The user service: people, kept in memory."""

    def __init__(self) -> None:
        names = ("Ada", "Blaise", "Carl", "Dorothy", "Emmy", "Felix", "Grace")
        self._users = {number: {"id": number, "name": name} for number, name in enumerate(names, 1)}

    def tree(self) -> Resource:
        return _Place(users=_UsersPlace(_Leaf(self.all_or_new, "GET", "HEAD", "POST"), self.one))

    def all_or_new(self, request: Request) -> bytes:
        if request.method != b"POST":
            return _reply(request, 200, {"users": list(self._users.values())})
        try:
            body = json.load(_body(request))
        except ValueError:
            raise _Refused("the body is not JSON") from None
        name = body.get("name") if isinstance(body, dict) else None
        if not isinstance(name, str) or not 0 < len(name) <= 100:
            raise _Refused("name must be a text of 1 to 100 characters")
        if len(self._users) >= MAX_USERS:
            return _reply(request, 507, {"error": "no room for more users"})
        user = {"id": len(self._users) + 1, "name": name}
        self._users[len(self._users) + 1] = user
        # Relative, so that it stays true behind a gateway that takes a prefix off (RFC 9110 section 10.2.2).
        request.setHeader(b"location", f"users/{user['id']}".encode())
        return _reply(request, 201, user)

    def one(self, request: Request, name: bytes) -> bytes:
        user = self._users.get(int(name)) if name.isdigit() and len(name) < 10 else None
        if user is None:
            return _reply(request, 404, {"error": "no such user"})
        return _reply(request, 200, user)


class _UsersPlace(_Place):
    """``/users`` answers itself, and for what is below it."""

    def __init__(self, itself: Resource, below: Callable[[Request, bytes], Any]) -> None:
        super().__init__(below)
        self._itself = itself

    def render(self, request: Request) -> Any:
        return self._itself.render(request)


class _Ai:
    """The ai service: answers that take their time, come in pieces, or fail on demand."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def tree(self) -> Resource:
        return _Place(
            ai=_Place(
                echo=_Leaf(self.echo, ANY),
                slow=_Leaf(self.slow, ANY),
                stream=_Leaf(self.stream),
                status=_Place(self.status),
            )
        )

    def echo(self, request: Request) -> bytes:
        fields = [
            [name.decode("latin-1"), value.decode("latin-1")]
            for name, values in request.requestHeaders.getAllRawHeaders()
            for value in values
        ]
        body = _body(request)
        text = body.read(MAX_ECHO).decode("utf-8", "replace")
        line = {
            "method": request.method.decode("latin-1"),
            "path": request.uri.decode("latin-1"),
            "fields": fields,
            "body_bytes": body.seek(0, SEEK_END),
            "body": text,
        }
        return _reply(request, 200, line)

    def status(self, request: Request, name: bytes) -> bytes:
        if not name.isdigit() or not 200 <= int(name) <= 599:
            raise _Refused("the status must be from 200 to 599")
        body = _reply(request, int(name), {"status": int(name)})
        if int(name) in (204, 304):
            return b""
        return body

    def slow(self, request: Request) -> int:
        wait = _number(request, "ms", 1000, MAX_WAIT * 1000)

        def answer() -> None:
            request.write(_reply(request, 200, {"waited_ms": wait}))
            request.finish()

        call = self._reactor.callLater(wait / 1000, answer)
        request.notifyFinish().addErrback(lambda gone: call.cancel() if call.active() else None)
        return NOT_DONE_YET

    def stream(self, request: Request) -> int | bytes:
        """``n`` numbered lines, one each ``interval`` seconds; server-sent events if the client asks for those."""
        count = int(_number(request, "n", 5, MAX_LINES))
        interval = _number(request, "interval", 0.2, MAX_WAIT)
        events = b"text/event-stream" in (request.getHeader(b"accept") or b"")
        request.setHeader(b"content-type", b"text/event-stream" if events else b"text/plain; charset=utf-8")
        request.setHeader(b"cache-control", b"no-store")
        if request.method == b"HEAD":
            return b""
        form = "id: {0}\ndata: token {0} of {1}\n\n" if events else "token {0} of {1}\n"
        _Lines(self._reactor, request, (form.format(n, count).encode() for n in range(1, count + 1)), interval)
        return NOT_DONE_YET


class _Lines:
    """Writes ``lines`` to ``request``, ``interval`` seconds apart, and not while the client reads more slowly."""

    def __init__(self, reactor: Any, request: Request, lines: Iterator[bytes], interval: float) -> None:
        self._reactor = reactor
        self._request = request
        self._lines = lines
        self._interval = interval
        self._call: Any = None
        self._paused = False
        request.notifyFinish().addErrback(self._gone)
        request.registerProducer(self, True)
        self._next()

    def _next(self) -> None:
        self._call = None
        for line in islice(self._lines, 1):
            self._request.write(line)
            if not self._paused:
                self._call = self._reactor.callLater(self._interval, self._next)
            return
        self._request.unregisterProducer()
        self._request.finish()

    def pauseProducing(self) -> None:
        self._paused = True
        self._cancel()

    def resumeProducing(self) -> None:
        self._paused = False
        if self._call is None:
            self._call = self._reactor.callLater(self._interval, self._next)

    def stopProducing(self) -> None:
        self._cancel()

    def _gone(self, reason: Failure) -> None:
        self._cancel()

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None


class _Music:
    """The music service: a list, and uploads that are counted."""

    TRACKS = (
        {"id": 1, "title": "Canon in D", "seconds": 310},
        {"id": 2, "title": "Clair de lune", "seconds": 305},
        {"id": 3, "title": "Spiegel im Spiegel", "seconds": 480},
    )

    def __init__(self, reactor: Any) -> None:
        self._turns = Cooperator(scheduler=lambda step: reactor.callLater(0, step))

    def tree(self) -> Resource:
        tracks = _Leaf(lambda request: _reply(request, 200, {"tracks": self.TRACKS}))
        return _Place(music=_Place(tracks=tracks, upload=_Leaf(self.upload, "POST", "PUT")))

    def upload(self, request: Request) -> int:
        digest = sha256()

        def steps() -> Iterator[None]:
            while piece := _body(request).read(HASH_STEP):
                digest.update(piece)
                yield None

        def answer(done: object) -> None:
            counted = {"bytes": _body(request).tell(), "sha256": digest.hexdigest()}
            request.write(_reply(request, 200, counted))
            request.finish()

        task = self._turns.cooperate(steps())
        task.whenDone().addCallbacks(answer, lambda stopped: None)
        request.notifyFinish().addErrback(lambda gone: task.stop())
        return NOT_DONE_YET


class _QuietSite(Site):
    """A site without an access log of its own: the gateway's tells of each request already."""

    noisy = False

    def log(self, request: http.Request) -> None:
        """Nothing."""


class _Connection(ProtocolWrapper):
    """One connection, which tells when it is over."""

    over: Deferred[None] | None = None

    def end(self) -> Deferred[None]:
        """Cut it; fires when it is gone."""
        self.over = Deferred()
        ITCPTransport(self.transport).abortConnection()
        return self.over

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        super().connectionLost(reason)
        if self.over is not None:
            self.over.callback(None)


class _Connections(WrappingFactory[Any]):
    """Knows the connections that are open, since a site doesn't."""

    noisy = False
    protocol = _Connection


class DemoService(Service):
    """
    One embedded service.

    :param reactor: provides IReactorTCP and IReactorTime.
    :param name: ``user``, ``ai`` or ``music``.
    :raises ValueError: there is no such service.
    """

    NAMES = ("user", "ai", "music")

    def __init__(self, reactor: Any, name: str) -> None:
        if name not in self.NAMES:
            raise ValueError(f"no demo service {name!r}, there are: {', '.join(self.NAMES)}")
        self.name = f"demo-{name}"
        self._reactor = reactor
        trees = {"user": _Users().tree, "ai": _Ai(reactor).tree, "music": _Music(reactor).tree}
        site = _QuietSite(trees[name](), reactor=reactor)
        self._connections = _Connections(site)
        self._port: IListeningPort | None = None

    def listen(self) -> int:
        """
        Take a free port of 127.0.0.1, before anything else starts, so that the gateway can be told of it.

        :return: the port.
        """
        self._port = port = self._reactor.listenTCP(0, self._connections, interface="127.0.0.1")
        return int(port.getHost().port)

    def stopService(self) -> Deferred[Any]:
        """Stop listening and cut what is open; fires when all of it is gone."""
        super().stopService()
        port, self._port = self._port, None
        closed = [maybeDeferred(port.stopListening)] if port is not None else []
        return gatherResults([*closed, *(connection.end() for connection in list(self._connections.protocols))])


def tour(base_url: str) -> list[str]:
    """
    Commands that show the demo services through the gateway.

    :param base_url: the gateway's own, such as ``http://localhost:8080``, without a slash at its end.
    """
    api = f"{base_url}/api/v1"
    return [
        f"curl -i {api}/users/7",
        f'curl -i {api}/users -d \'{{"name": "Hedy"}}\'',
        f"curl -N '{api}/ai/stream?n=5&interval=0.2'",
        f"curl -N -H 'accept: text/event-stream' '{api}/ai/stream?n=5'",
        f"curl -g -X PUT '{api}/ai/echo?x=[1]' -d hello",
        f"curl {api}/music/tracks",
        f"head -c 1000000 /dev/zero | curl -T - {api}/music/upload",
        f"curl -i {api}/ai/status/503    # twice: after the attempts of the first one the breaker is open for a while",
    ]
