"""Active health checks: a LoopingCall for each peer, plain treq, and thresholds."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from attrs import frozen
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from apigw.policy.health import Health, HealthPolicy
from apigw.upstream.peer import Peer

MAX_BODY = 65536
"""Bytes of the answer to a check that are read."""


@frozen
class CheckSettings:
    """
    :ivar path: and query, asked for with GET.
    :ivar timeout: seconds for connecting and the whole answer.
    :ivar host: value of Host, empty for the peer's own.
    """

    policy: HealthPolicy
    path: str = "/health"
    timeout: float = 2.0
    host: str = ""


class Changed(Protocol):
    """Told when a peer became healthy or unhealthy."""

    def __call__(self, peer: Peer) -> None: ...


class HealthCheck:
    """
    The checks of one peer: never two at once, whatever one raises, spread by chance.

    :param agent: connects to the peer, whatever the URL says.
    :param changed: called after ``peer.health`` has changed.
    :param checked: called after each check.
    """

    _log = Logger()

    def __init__(
        self,
        peer: Peer,
        agent: IAgent,
        settings: CheckSettings,
        clock: Any,
        seconds: Callable[[], float],
        chance: Random,
        changed: Changed,
        checked: Changed | None = None,
    ) -> None:
        self._peer = peer
        self._agent = agent
        self._settings = settings
        self._clock = clock
        self._seconds = seconds
        self._chance = chance
        self._changed = changed
        self._checked = checked
        self._health = peer.health = Health(settings.policy)
        self._first: IDelayedCall | None = None
        self._under_way: Deferred[None] | None = None
        self._loop = LoopingCall(self._check)
        self._loop.clock = clock

    def start(self) -> None:
        policy = self._settings.policy
        self._first = self._clock.callLater(policy.first_pause(self._chance), self._begin)

    def told(self, healthy: bool, reason: str) -> None:
        """What another process has found, which checks for this one too."""
        if self._health.told(healthy, reason, self._seconds()):
            self._changed(self._peer)

    def stop(self) -> None:
        """Give up on the check under way, too."""
        if self._first is not None and self._first.active():
            self._first.cancel()
        if self._loop.running:
            self._loop.stop()
        if self._under_way is not None:
            self._under_way.cancel()

    def _begin(self) -> None:
        self._loop.start(self._settings.policy.pause(True, self._chance), now=True)

    def _check(self) -> Deferred[None]:
        self._under_way = Deferred.fromCoroutine(self._judge())
        return self._under_way

    async def _judge(self) -> None:
        policy, health = self._settings.policy, self._health
        try:
            verdict = await self._ask()
        except CancelledError:
            if not self._loop.running:
                return
            verdict = "no answer in time"
        except Exception as error:
            verdict = type(error).__name__
        finally:
            self._under_way = None
        if health.checked(verdict, self._seconds()):
            self._log.warn(
                "{peer} is {state}{why}",
                peer=self._peer.label,
                state="healthy" if health.healthy else "unhealthy",
                why=f": {verdict}" if verdict else "",
            )
            self._changed(self._peer)
        if self._checked is not None:
            self._checked(self._peer)
        self._loop.interval = policy.pause(health.healthy, self._chance)
        self._loop.starttime = self._clock.seconds()  # else the pause is what is left of a multiple of the new interval

    async def _ask(self) -> str:
        """:return: the verdict."""
        settings = self._settings
        url = self._peer.origin.decode("ascii") + settings.path
        headers = Headers({"User-Agent": ["apigw health check"]})
        if settings.host:
            headers.setRawHeaders("Host", [settings.host])
        # A client for each check: its cookie jar is empty, and stays so.
        response = await HTTPClient(self._agent).get(
            url,
            headers=headers,
            allow_redirects=False,
            unbuffered=True,
            timeout=settings.timeout,
            reactor=self._clock,
        )
        reading = _Reading()
        response.deliverBody(reading)
        timer = self._clock.callLater(settings.timeout, reading.stop)
        try:
            body = await reading.done
        finally:
            if timer.active():
                timer.cancel()
        return settings.policy.judge(response.code, body)


class _Reading(TwistedProtocol):
    """Reads the beginning of a body, and lets go of the rest."""

    transport: Any

    def __init__(self) -> None:
        self._data = b""
        self.done: Deferred[bytes] = Deferred(lambda _: self.stop())

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if len(self._data) >= MAX_BODY:
            self.stop()

    def stop(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        if not self.done.called:
            self.done.callback(self._data)
