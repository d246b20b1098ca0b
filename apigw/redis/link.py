"""One connection to a Redis server: calls go out as they come, replies come back in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any, cast

from attrs import define
from hiredis import Reader, ReplyError, pack_command
from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from apigw.deadline import Deadline
from apigw.task import Awaited

_NOT_YET = object()

Argument = str | bytes | int | float


class Unavailable(Exception):
    """No reply, or none that is of use; the text says why."""


class Refused(Unavailable):
    """The server replied with an error. :ivar code: its first word, such as ``OOM``."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]


class Script:
    """A Lua script. :param sha: as the server names it once it knows it."""

    def __init__(self, text: str, sha: str) -> None:
        self.text = text
        self.sha = sha


@define(eq=False)
class _Call:
    """:ivar otherwise: what to send where the server doesn't know the script."""

    result: Awaited[Any]
    at: float
    otherwise: bytes = b""


def _packed(arguments: tuple[Argument, ...]) -> bytes:
    packed: bytes = pack_command(cast(Any, arguments))
    return packed


class Link(Protocol):
    """
    :param clock: for deadlines.
    :param seconds: monotonic.
    :param lost: called once, when the connection is gone, before the calls fail.
    :param message: gets what is published on channels that were subscribed to.
    """

    def __init__(
        self,
        clock: IReactorTime,
        seconds: Callable[[], float],
        lost: Callable[[str], object],
        message: Callable[[bytes], object] | None = None,
    ) -> None:
        self._message = message
        self._clock = clock
        self._seconds = seconds
        self._lost: Callable[[str], object] | None = lost
        self._reader = Reader(notEnoughData=_NOT_YET)
        self._calls: deque[_Call] = deque()
        self._deadline = Deadline(clock, self._due, 1.0, seconds)
        self._open = False

    def connectionMade(self) -> None:
        self._open = True
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)

    def call(self, timeout: float, *arguments: Argument) -> Awaited[Any]:
        """
        Send a command.

        :param timeout: seconds until it fails; a reply that comes later is dropped.
        :return: fires with the reply; fails with :class:`Unavailable`.
        """
        return self._send(_packed(arguments), timeout)

    def run(self, script: Script, timeout: float, count: int, *arguments: Argument) -> Awaited[Any]:
        """As :meth:`call`, for a script. :param count: how many of the arguments are keys."""
        otherwise = _packed(("EVAL", script.text, count, *arguments))
        return self._send(_packed(("EVALSHA", script.sha, count, *arguments)), timeout, otherwise)

    def _send(self, data: bytes, timeout: float, otherwise: bytes = b"") -> Awaited[Any]:
        result: Awaited[Any] = Awaited()
        if not self._open:
            result.errback(Failure(Unavailable("the connection is gone")))
            return result
        at = self._seconds() + timeout
        self._calls.append(_Call(result, at, otherwise))
        if at < self._deadline.at:
            self._deadline.set(at)
        assert self.transport is not None
        self.transport.write(data)
        return result

    def dataReceived(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not _NOT_YET:
                self._replied(reply)
        except Exception as wrong:  # what comes is not the protocol, and nothing after it can be made sense of
            self.abort(f"the server doesn't speak the protocol of Redis: {wrong}")

    def _replied(self, reply: Any) -> None:
        if self._message is not None and isinstance(reply, list) and reply[0] == b"message":
            self._message(reply[2])
            return
        if not self._calls:
            raise ValueError("a reply that nobody asked for")
        call = self._calls.popleft()
        if isinstance(reply, ReplyError):
            text = str(reply)
            if call.otherwise and text.startswith("NOSCRIPT"):
                self._calls.append(_Call(call.result, call.at))
                assert self.transport is not None
                self.transport.write(call.otherwise)
            elif not call.result.called:
                call.result.errback(Failure(Refused(text)))
        elif not call.result.called:
            call.result.callback(reply)

    def _due(self) -> None:
        """Replies may be here that weren't read yet, for something else took the time: one more turn of the loop."""
        self._clock.callLater(0.0, self._expire)

    def _expire(self) -> None:
        now = self._seconds()
        nearest = inf
        late = []
        for call in self._calls:
            if call.result.called:
                continue
            if call.at <= now:
                late.append(call.result)
            elif call.at < nearest:
                nearest = call.at
        if self._open:
            self._deadline.set(nearest)
        for result in late:
            if not result.called:
                result.errback(Failure(Unavailable("no reply in time")))

    def abort(self, why: str) -> None:
        """Give it up at once."""
        if self._open:
            cast(ITCPTransport, self.transport).abortConnection()
        self._gone(why)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone(reason.getErrorMessage())

    def _gone(self, why: str) -> None:
        self._open = False
        self._deadline.stop()
        lost, self._lost = self._lost, None
        if lost is not None:
            lost(why)
        calls, self._calls = self._calls, deque()
        for call in calls:
            if not call.result.called:
                call.result.errback(Failure(Unavailable(why)))
