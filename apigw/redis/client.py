"""A Redis server, or the master that Sentinels know: kept connected, asked only while it answers in time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha1
from random import Random
from typing import Any, cast

from attrs import frozen
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger

from apigw.policy.redis_url import RedisUrl
from apigw.redis.link import Argument, Link, Refused, Script, Unavailable
from apigw.task import Task

DEADLINE = 0.02
"""Seconds that a request waits for a reply."""

FAILURES = 3
"""Calls in a row without a reply in time after which nobody asks any more."""

ATTEMPT = 2.0
"""Seconds for what no request waits for: to connect, to sign in, to ask a Sentinel."""

PAUSES = (0.05, 1.0)
"""Seconds between looks at a server that isn't asked: the first and the longest."""

HEARTBEAT = 0.5
"""Seconds between signs of life of this instance."""

GONE_AFTER = 5
"""Seconds without one after which an instance doesn't count."""


def script(text: str) -> Script:
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


_ALIVE = script(
    """\
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[2] * 2)
return redis.call('ZCARD', KEYS[1])
"""
)


Lost = Callable[[Link, str], object]
"""Told of a connection that is gone, and why."""


@frozen
class RedisSettings:
    """
    :ivar instance: by what name this gateway counts as one of those that share the server.
    :ivar deadline: seconds that :meth:`Redis.run` takes at most.
    :ivar prefix: of all keys.
    """

    url: RedisUrl
    instance: str
    deadline: float = DEADLINE
    prefix: str = "apigw:"


class Redis:
    """
    :param seconds: monotonic.
    :param chance: of pauses.
    :param tls: from a host to what checks its certificate, for ``rediss``.

    :ivar ready: it is connected and answers in time; calls fail at once while it isn't.
    :ivar instances: gateways that share the server, as far as known; 1 or more.
    :ivar failures: calls that failed, of those that were sent.
    :ivar fallbacks: what was decided without it, counted by who did.
    """

    _log = Logger()

    def __init__(
        self,
        settings: RedisSettings,
        reactor: Any,
        seconds: Callable[[], float],
        chance: Random,
        tls: Callable[[str], IOpenSSLClientConnectionCreator] | None = None,
    ) -> None:
        self._settings = settings
        self._url = settings.url
        self._reactor = reactor
        self._seconds = seconds
        self._chance = chance
        self._tls = tls
        self._link: Link | None = None
        self._task: Task | None = None
        self._in_a_row = 0
        self._why = "not connected yet"
        self._told = False
        self.ready = False
        self.instances = 1
        self.failures = 0
        self.fallbacks = 0

    def start(self) -> None:
        """Connect, and stay connected."""
        self._task = Task(self._live())

    def stop(self) -> None:
        """End all; calls fail from now on."""
        task, self._task = self._task, None
        self.ready = False
        if task is not None:
            task.cancel()
        if self._link is not None:
            self._link.abort("the gateway stops")

    @property
    def deadline(self) -> float:
        """Seconds that a reply may take."""
        return self._settings.deadline

    def key(self, name: str) -> str:
        """As the server has it, where others use it too."""
        return self._settings.prefix + name

    # -- asking --------------------------------------------------------------------------------------------------------

    async def run(self, script: Script, keys: Iterable[str], *arguments: Argument, timeout: float | None = None) -> Any:
        """
        Run a script.

        :param keys: without the prefix of all keys.
        :param timeout: seconds, in place of the deadline.
        :raises Unavailable: no reply in time, an error, or nobody to ask.
        """
        link = self._link
        if link is None or not self.ready:
            raise Unavailable(self._why)
        prefix = self._settings.prefix
        named = [prefix + key for key in keys]
        try:
            reply = await link.run(script, timeout or self._settings.deadline, len(named), *named, *arguments)
        except Unavailable as error:
            self._failed(link, error)
            raise
        self._in_a_row = 0
        return reply

    def _failed(self, link: Link, error: Unavailable) -> None:
        self.failures += 1
        self._in_a_row += 1
        if link is not self._link:
            return
        if isinstance(error, Refused) and error.code == "READONLY":
            link.abort(str(error))  # it is no master any more: look for the one that is
        elif self._in_a_row >= FAILURES:
            self._leave_alone(str(error))

    def _leave_alone(self, why: str) -> None:
        self.ready = False
        self._why = why
        if self._task is not None and not self._told:
            self._told = True
            self._log.warn("redis {url} is left alone: {why}", url=str(self._url), why=why)

    def _back(self) -> None:
        self._in_a_row = 0
        if not self.ready:
            self.ready = True
            self._told = False
            self._log.info("redis {url} answers", url=str(self._url))

    # -- staying connected ---------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        pause = PAUSES[0]
        while True:
            try:
                await self._look()
                if self.ready:
                    pause = PAUSES[0]
                    rest = HEARTBEAT
                else:
                    rest = pause * (0.5 + self._chance.random() / 2)
                    pause = min(pause * 2, PAUSES[1])
                await deferLater(self._reactor, rest)
            except CancelledError:
                return

    async def _look(self) -> None:
        """Give a sign of life, which shows whether the server takes writes, and how long it takes to answer."""
        try:
            link = self._link
            if link is None:
                link = self._link = await self.connect(self._lost)
        except CancelledError:
            raise
        except Exception as error:  # whatever it is, it is tried again
            self._leave_alone(str(error) or type(error).__name__)
            return
        begun = self._seconds()
        try:
            key = f"{self._settings.prefix}instances"
            count = await link.run(_ALIVE, ATTEMPT, 1, key, self._settings.instance, GONE_AFTER)
        except Refused as error:
            self._leave_alone(str(error))
            if error.code == "READONLY":
                link.abort(str(error))
        except Unavailable as error:
            link.abort(str(error))
        else:
            if count != self.instances:
                self.instances = max(1, int(count))
                self._log.info("redis {url} is shared by {count} gateways", url=str(self._url), count=self.instances)
            took = self._seconds() - begun
            if took <= self._settings.deadline:
                self._back()
            elif not self.ready:
                self._leave_alone(f"it takes {took * 1000.0:.0f} ms to answer")

    async def connect(self, lost: Lost, message: Callable[[bytes], object] | None = None) -> Link:
        """
        A connection beside the one that calls go by, signed in.

        :param lost: told of its end. :param message: see :class:`Link`.
        :raises Exception: of whatever kind; there is none.
        """
        url = self._url
        if url.path:
            link = await self._open(UNIXClientEndpoint(self._reactor, url.path, ATTEMPT), lost, message)
        else:
            host, port = await self._master() if url.master else url.hosts[0]
            link = await self._open(self._endpoint(host, port), lost, message)
        try:
            if url.password:
                await link.call(ATTEMPT, "AUTH", *((url.user,) if url.user else ()), url.password)
            if url.database:
                await link.call(ATTEMPT, "SELECT", url.database)
            if url.master and (await link.call(ATTEMPT, "ROLE"))[0] != b"master":
                raise Unavailable("what the Sentinels call the master is none")
        except BaseException:
            link.abort("it can't be used")
            raise
        return link

    async def _master(self) -> tuple[str, int]:
        """:raises Unavailable: no Sentinel answers that knows it."""
        failed = []
        for host, port in self._url.hosts:
            try:
                link = await self._open(self._endpoint(host, port))
            except CancelledError:
                raise
            except Exception as error:
                failed.append(f"{host}:{port}: {error}")
                continue
            try:
                if self._url.sentinel_password:
                    await link.call(ATTEMPT, "AUTH", self._url.sentinel_password)
                found = await link.call(ATTEMPT, "SENTINEL", "get-master-addr-by-name", self._url.master)
            except Unavailable as error:
                failed.append(f"{host}:{port}: {error}")
                continue
            finally:
                link.abort("asked")
            if found is not None:
                return found[0].decode(), int(found[1])
            failed.append(f"{host}:{port} knows no master {self._url.master}")
        raise Unavailable("; ".join(failed))

    def _endpoint(self, host: str, port: int) -> IStreamClientEndpoint:
        endpoint: IStreamClientEndpoint = HostnameEndpoint(self._reactor, host, port, ATTEMPT)
        if self._url.tls:
            assert self._tls is not None
            endpoint = wrapClientTLS(self._tls(host), endpoint)
        return endpoint

    async def _open(
        self,
        endpoint: IStreamClientEndpoint,
        lost: Lost = lambda link, why: None,
        message: Callable[[bytes], object] | None = None,
    ) -> Link:
        def made() -> Link:
            link = Link(self._reactor, self._seconds, lambda why: lost(link, why), message)
            return link

        factory = Factory()
        factory.noisy = False
        factory.protocol = made
        return cast(Link, await endpoint.connect(factory))

    def _lost(self, link: Link, why: str) -> None:
        if link is self._link:
            self._link = None
            self._leave_alone(why)
