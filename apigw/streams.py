"""What goes on long after its head was sent, tunnels and streams of events: which there are, and when they must end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from apigw.errors import StreamEnded
from apigw.messages import Exchange
from apigw.policy.principal import Principal
from apigw.policy.revocations import Revocation

MAX_WAIT = 86400.0
"""Seconds until it is looked again whether a token has expired, for the wall clock may have been set."""

GOING_AWAY, TOKEN = 1001, 4001
"""Close codes: of RFC 6455 section 7.4.1, and one of those for private use."""


def shutting_down() -> StreamEnded:
    return StreamEnded("shutting-down", "The gateway is about to stop.", GOING_AWAY)


def token_expired() -> StreamEnded:
    return StreamEnded("token-expired", "The token has expired.", TOKEN)


def token_revoked() -> StreamEnded:
    return StreamEnded("token-revoked", "The token counts no more.", TOKEN)


class Stream(Protocol):
    """:ivar exchange: that it belongs to."""

    exchange: Exchange

    def end(self, why: StreamEnded) -> None:
        """Come to an end in a way that the client understands, soon; may be called again."""


class Streams:
    """
    :param clock: for when tokens expire.
    :param wall: seconds since 1970.
    :param revoked: whether a token counts no more.

    :ivar active: how many there are, by kind and route.
    :ivar opened: how many there have been, by the same.
    """

    def __init__(
        self, clock: IReactorTime, wall: Callable[[], float], revoked: Callable[[Principal], bool] = lambda who: False
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._revoked = revoked
        self._timers: dict[Stream, IDelayedCall | None] = {}
        self.active: Counter[tuple[str, str]] = Counter()
        self.opened: Counter[tuple[str, str]] = Counter()

    def opening(self, stream: Stream, kind: str) -> None:
        """
        A stream begins. Where its token has expired or was revoked meanwhile, it is ended by the next turn of the
        loop.

        :param kind: ``websocket``, ``tunnel`` or ``events``.
        """
        self._timers[stream] = None
        key = kind, _route(stream)
        self.active[key] += 1
        self.opened[key] += 1
        stream.exchange.stream = stream
        who = stream.exchange.identity
        if who is None:
            return
        if self._revoked(who):
            self._timers[stream] = self._clock.callLater(0.0, stream.end, token_revoked())
        elif who.expires != inf:
            self._await(stream, who.expires)

    def _await(self, stream: Stream, expires: float) -> None:
        wait = max(0.0, min(expires - self._wall(), MAX_WAIT))
        self._timers[stream] = self._clock.callLater(wait, self._look, stream, expires)

    def _look(self, stream: Stream, expires: float) -> None:
        if expires <= self._wall():
            stream.end(token_expired())
        else:
            self._await(stream, expires)

    def over(self, stream: Stream, kind: str) -> None:
        """A stream has ended; ``kind`` as it was opened."""
        timer = self._timers.pop(stream, None)
        if timer is not None and timer.active():
            timer.cancel()
        stream.exchange.stream = None
        self.active[kind, _route(stream)] -= 1

    def revoked(self, entry: Revocation) -> None:
        """Tokens count no more: end what they have let in."""
        concerned = [
            stream
            for stream in self._timers
            if stream.exchange.identity is not None and entry.concerns(stream.exchange.identity)
        ]
        for stream in concerned:
            stream.end(token_revoked())


def _route(stream: Stream) -> str:
    route = stream.exchange.route
    return "" if route is None else route.name
