"""
The body of a request as it streams in: fed by a channel, drawn by whatever forwards it, with back-pressure between.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface import classImplements

from apigw.errors import BodyTooLarge, GatewayError

Fields = list[tuple[bytes, bytes]]

HIGH_WATER = 65536
"""Bytes that may wait for a consumer before the client is paused; one read of Twisted's transports."""


class RequestBody:
    """
    :param length: bytes, or ``UNKNOWN_LENGTH``.
    :param pause: called when the client should stop sending.
    :param resume: called when it may go on.

    :ivar received: bytes of the body so far.
    :ivar cap: most bytes that may come, None for no cap; over it the body fails with :class:`BodyTooLarge`.
    :ivar keep: most bytes kept for another ``startProducing`` (a retry); 0 keeps none.
    :ivar ended: the last byte is here.
    :ivar failure: why it will never be complete.
    :ivar trailers: fields that came after the last chunk; complete once ``ended``.
    :ivar outgoing: what of the trailers the service gets; None for all that a request may have.
    :ivar expects: the client waits for 100 (Continue) before it sends anything.
    :ivar on_failure: told of a failure before the consumer is.
    """

    __slots__ = (
        "_buffer",
        "_consumer",
        "_finished",
        "_kept",
        "_pause",
        "_paused",
        "_resume",
        "_size",
        "cap",
        "ended",
        "expects",
        "failure",
        "keep",
        "length",
        "on_failure",
        "outgoing",
        "received",
        "trailers",
    )

    def __init__(
        self,
        length: int | str,
        pause: Callable[[], object],
        resume: Callable[[], object],
        cap: int | None = None,
    ) -> None:
        self.length = length
        self.cap = cap
        self.keep = 0
        self.received = 0
        self.expects = False
        self.ended = False
        self.failure: GatewayError | None = None
        self.trailers: Fields = []
        self.on_failure: Callable[[GatewayError], object] | None = None
        self.outgoing: Callable[[Fields], Fields] | None = None
        self._pause = pause
        self._resume = resume
        self._paused = False
        self._buffer: list[bytes] = []
        self._size = 0
        self._kept: list[bytes] = []
        self._consumer: IConsumer | None = None
        self._finished: Deferred[None] | None = None

    @property
    def replayable(self) -> bool:
        """Whether ``startProducing`` could begin again from the first byte."""
        return self.received == self._size or self.received <= self.keep

    @property
    def kept(self) -> bytes | None:
        """All of it; None where it didn't come to its end, or is larger than :attr:`keep`."""
        if not self.ended or self.received > self.keep:
            return None
        return b"".join([*self._kept, *self._buffer])

    @classmethod
    def whole(cls, data: bytes, trailers: Fields, keep: int = 0) -> RequestBody:
        """One that is all here."""
        body = cls(len(data), _nothing, _nothing)
        body.keep = keep
        if data:
            body.feed(data)
        body.end(trailers)
        return body

    # -- the channel's side ----------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Take bytes off the wire."""
        if self.failure is not None:
            return
        self.received += len(data)
        if self.cap is not None and self.received > self.cap:
            self.fail(BodyTooLarge(f"The body is larger than the {self.cap} bytes allowed here.", close=True))
            return
        if self._consumer is None:
            self._buffer.append(data)
            self._size += len(data)
            if self._size >= HIGH_WATER and not self._paused:
                self._paused = True
                self._pause()
        else:
            self._give(data)

    def end(self, trailers: Fields) -> None:
        """The last byte has been fed."""
        if self.failure is not None:
            return
        self.trailers = trailers
        self.ended = True
        finished, self._finished = self._finished, None
        if finished is not None:
            self._consumer = None
            finished.callback(None)

    def fail(self, error: GatewayError) -> None:
        """The rest will not come: the client went away, sent nonsense, too much, or too slowly."""
        if self.ended or self.failure is not None:
            return
        self.failure = error
        self._buffer.clear()
        self._kept.clear()
        self._consumer = None
        if self.on_failure is not None:
            self.on_failure(error)
        finished, self._finished = self._finished, None
        if finished is not None:
            finished.errback(Failure(error))

    # -- the consumer's side: IBodyProducer --------------------------------------------------------------------

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Write all of the body to ``consumer``: what is here at once, the rest as it comes.

        :return: fires after the last byte; fails with the :class:`GatewayError` that stopped the body; never fires
            after :meth:`stopProducing`.
        """
        finished: Deferred[None] = Deferred()
        if self.failure is not None:
            finished.errback(Failure(self.failure))
            return finished
        self._consumer = consumer
        for data in self._kept:
            consumer.write(data)
        waiting, self._buffer, self._size = self._buffer, [], 0
        for data in waiting:
            self._give(data)
        if self.ended:
            self._consumer = None
            finished.callback(None)
        else:
            self._finished = finished
            self.resumeProducing()
        return finished

    def pauseProducing(self) -> None:
        """The consumer has enough for now."""
        if not self._paused and not self.ended:
            self._paused = True
            self._pause()

    def resumeProducing(self) -> None:
        """The consumer takes more."""
        if self._paused:
            self._paused = False
            self._resume()

    def stopProducing(self) -> None:
        """The consumer takes no more; what still comes waits for the next one, up to the high-water mark."""
        self._consumer = None
        self._finished = None

    def _give(self, data: bytes) -> None:
        if self.keep:
            if self.received <= self.keep:
                self._kept.append(data)
            else:
                self._kept.clear()
        if self._consumer is not None:
            self._consumer.write(data)


classImplements(RequestBody, IBodyProducer)  # not by a decorator, for decorated classes stay interpreted


def _nothing() -> None:
    """It is all here, so nobody has to wait."""
