"""The gateway of a configuration, in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from time import time
from typing import Any

from attrs import evolve, frozen
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from apigw.admin.actions import Steering
from apigw.config.loader import loading, loads
from apigw.config.steps import whole
from apigw.dates import HttpDate
from apigw.doors import channel_settings
from apigw.http1.body import ChunkedDecoder, CloseDecoder, LengthDecoder
from apigw.http1.response import CHUNKED, LENGTH, NONE, parse_response_head
from apigw.policy.token_counts import TokenCounts
from apigw.telemetry.levels import LogLevels
from apigw.telemetry.reloads import Reloads
from apigw.testing.ends import End
from apigw.testing.services import LIMITS, Asked, Service, Services
from apigw.upstreams import UpstreamBuilder
from apigw.web.site import Site
from apigw.wiring import Around, Wiring

NAME = "test.ini"
"""What errors call the configuration."""


@frozen
class Answer:
    """
    What a client got.

    :ivar headers: by name in lower case; several of a name with ``", "`` between them.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """:raises ValueError: it is none."""
        return json.loads(self.body)


class Call:
    """
    A request under way.

    :ivar answer: None as long as there is none.
    :ivar cut: the gateway has closed the connection before a whole answer.
    """

    def __init__(self, method: str) -> None:
        self._method = method.encode()
        self._buffer = b""
        self._head: Any = None
        self._decoder: Any = None
        self._body = b""
        self.answer: Answer | None = None
        self.cut = False
        self.end: End | None = None

    def received(self, data: bytes) -> None:
        """From the gateway."""
        if self._head is None:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n") + 4
            if end < 4:
                return
            head = parse_response_head(self._buffer[:end], self._method)
            data, self._buffer = self._buffer[end:], b""
            if 100 <= head.status < 200:
                self.received(data)
                return
            self._head = head
            kinds: dict[int, Callable[[], Any]] = {
                NONE: partial(LengthDecoder, 0),
                CHUNKED: partial(ChunkedDecoder, LIMITS),
            }
            kinds[LENGTH] = partial(LengthDecoder, head.content_length or 0)
            self._decoder = kinds.get(head.framing, CloseDecoder)()
        if not self._decoder.done:
            self._body += b"".join(self._decoder.feed(data))
        self._settle()

    def ended(self) -> None:
        """The gateway has closed."""
        if isinstance(self._decoder, CloseDecoder):
            self._decoder.eof()
            self._settle()
        self.cut = self.answer is None

    def close(self) -> None:
        """The client goes away."""
        if self.end is not None:
            self.end.end()

    def _settle(self) -> None:
        if self._decoder.done and self.answer is None:
            headers: dict[str, str] = {}
            for name, value in self._head.fields:
                key, text = name.decode("latin-1").lower(), value.decode("latin-1")
                headers[key] = f"{headers[key]}, {text}" if key in headers else text
            self.answer = Answer(self._head.status, headers, self._body)


class MemoryGateway:
    """
    All of the gateway but its sockets: routes, stages, retries, breakers, limits, your own stages. Health checks,
    discovery, keys from URLs, Redis and the admin listener need a network, and take no part.

    :param ini: the text of the configuration; listeners don't matter.
    :param services: what answers, by ``host:port`` as in ``urls``; others refuse connections.
    :param environ: for ``${NAME}`` and secrets; nothing of this process.
    :raises ConfigErrors: the configuration is wrong.

    :ivar clock: stands still until :meth:`advance`.
    :ivar services: as given; may be changed at any time.
    :ivar asked: what services got, in order.
    :ivar log: lines of the access log, as they are parsed.
    """

    def __init__(
        self, ini: str, services: Mapping[str, Service] | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        clock = self.clock = Clock()
        begun = time()
        self.log: list[dict[str, Any]] = []
        self._services = Services(clock)
        self._services.by_peer.update(services or {})
        config = loads(ini, NAME, environ or {})
        config = evolve(config, admin=None)

        def epoch() -> float:
            return begun + clock.seconds()

        builder = UpstreamBuilder(clock, clock.seconds, Random(1), config.discovery, self._services)
        around = Around(
            clock,
            clock.seconds,
            epoch,
            HttpDate(),
            builder,
            _Lines(self.log),
            None,
            Reloads(begun),
            _never,
            "apigw-test",
            clock.seconds,
            lambda: False,
            TokenCounts(),
            None,
            Steering(_never, dict, LogLevels(globalLogPublisher), partial(loading, name=NAME, environ=environ or {})),
        )
        self._wiring = Wiring(config, around)
        whole(self._wiring.build())
        self._wiring.commit()
        settings = channel_settings(config.gateway, config.http2)
        self._site = Site(self._wiring.routes, self._wiring.core, settings, clock, seconds=clock.seconds)
        self._settle()

    @property
    def services(self) -> dict[str, Service]:
        return self._services.by_peer

    @property
    def asked(self) -> list[Asked]:
        return self._services.asked

    def begin(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        client: str = "203.0.113.7",
    ) -> Call:
        """
        Send a request on a connection of its own.

        :param client: the address that it comes from.
        """
        given = {"Host": "gateway.test", **(headers or {})}
        if body or method not in ("GET", "HEAD", "OPTIONS", "DELETE"):
            given.setdefault("Content-Length", str(len(body)))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
        call = Call(method)
        call.end = End(self.clock, self._site.buildProtocol(None), call, client)
        call.end.feed("\r\n".join(lines).encode("latin-1") + body)
        self._settle()
        return call

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        client: str = "203.0.113.7",
    ) -> Answer:
        """
        As :meth:`begin`, for what is answered at once.

        :raises AssertionError: it isn't; it waits for the clock, or was cut.
        """
        call = self.begin(method, target, headers, body, client)
        assert not call.cut, f"{method} {target}: the gateway has closed the connection without an answer"
        assert call.answer is not None, f"{method} {target}: no answer yet, use begin() and advance()"
        call.close()
        self._settle()
        return call.answer

    def get(self, target: str, headers: Mapping[str, str] | None = None, client: str = "203.0.113.7") -> Answer:
        return self.ask("GET", target, headers, client=client)

    def advance(self, seconds: float) -> None:
        """Let time pass; what becomes due on the way happens at its own time."""
        clock = self.clock
        end = clock.seconds() + seconds
        while due := [call.getTime() for call in clock.getDelayedCalls() if call.getTime() <= end]:
            clock.advance(max(0.0, min(due) - clock.seconds()))
        clock.advance(max(0.0, end - clock.seconds()))
        self._settle()

    def _settle(self) -> None:
        """All that is due now."""
        clock = self.clock
        while any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
            clock.advance(0)


class _Lines:
    def __init__(self, log: list[dict[str, Any]]) -> None:
        self._log = log

    def write(self, line: bytes) -> None:
        self._log.append(json.loads(line))


async def _never(*_: object) -> Any:
    raise AssertionError("there is no admin listener")
