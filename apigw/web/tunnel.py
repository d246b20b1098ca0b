"""Carries bytes both ways after a 101, and ends that in a way that both sides understand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import UNKNOWN_LENGTH
from zope.interface import implementer

from apigw.body import RequestBody
from apigw.deadline import Deadline
from apigw.errors import GatewayError, StreamEnded
from apigw.messages import Exchange, Fields, Response
from apigw.policy.websocket import PROTOCOL, Frames, close_frame
from apigw.streams import GOING_AWAY

if TYPE_CHECKING:
    from apigw.upstream.response import PeerResponse
    from apigw.web.channel import Channel
    from apigw.web.site import Site

CLOSE_GRACE = 5.0
"""Seconds in which both sides may answer a Close frame and finish what they are at."""


class UpgradeOutlet:
    """The outlet of an exchange that asks for another protocol, on a connection of HTTP/1.1."""

    def __init__(self, channel: Channel, site: Site) -> None:
        self._channel = channel
        self._site = site

    def inform(self, exchange: Exchange, status: int, fields: Fields) -> None:
        """As :class:`~apigw.messages.Outlet` has it."""
        self._channel.inform(exchange, status, fields)

    def respond(self, exchange: Exchange, response: Response) -> None:
        """Switch, or send an answer like any other, after which the connection ends: see :meth:`Channel.last`."""
        if response.status == 101:
            self._channel.switch(exchange, response, Tunnel(self._channel, self._site, exchange, response))
        else:
            self._channel.last(exchange)
            self._channel.respond(exchange, response)

    def upgrading(self) -> UpgradeOutlet:
        """It takes a 101 already."""
        return self


@implementer(IProtocol)
class Tunnel:
    """
    For its channel what a :class:`~apigw.web.pump.Pump` is for an answer.

    :param response: the 101; its body is all that comes from the service, up to the close.

    :ivar protocol: that was switched to.
    """

    def __init__(self, channel: Channel, site: Site, exchange: Exchange, response: Any) -> None:
        upgrade = exchange.upgrade
        assert upgrade is not None
        self.exchange = exchange
        self._channel = channel
        self._seconds = site.seconds
        self._response: PeerResponse = response
        head = self._response.head
        self.protocol = next(value.strip() for name, value in head.fields if name.lower() == b"upgrade").lower()
        self._idle = upgrade.idle
        self._until = site.seconds() + upgrade.total
        self._streams = upgrade.streams
        self._deadline = Deadline(site.clock, self._expired, max(upgrade.idle, CLOSE_GRACE), site.seconds)
        body = self._body = RequestBody(UNKNOWN_LENGTH, channel.pause_client, channel.resume_client)
        exchange.request.body = body
        self._stopped = False
        self._ending: StreamEnded | None = None
        self._client_closed = False
        self._service_closed = False
        self._from_client = self._from_service = None
        self._screen = upgrade.screen
        if self.protocol == PROTOCOL:
            self._from_client, self._from_service = Frames(), Frames()

    @property
    def kind(self) -> str:
        """As :meth:`~apigw.streams.Streams.opening` wants it."""
        return "tunnel" if self._from_client is None else "websocket"

    @property
    def client_done(self) -> bool:
        """The client has said goodbye, so that it may close its connection in whatever way."""
        return self._from_client is not None and self._from_client.closed

    def start(self) -> None:
        """The client has the 101."""
        self._streams.opening(self, self.kind)
        self._touch()
        self._response.deliverBody(self)
        if not self._stopped:
            self._response.send(self._body)

    # -- from the client ---------------------------------------------------------------------------------------------

    def client_sent(self, data: bytes) -> None:
        """Bytes for the service."""
        if self._stopped:
            return
        screen = self._screen
        if screen is not None:
            data = screen(data)
            if data:
                self._client_said(data)
            if screen.ended is not None:
                self.end(screen.ended)
        else:
            self._client_said(data)

    def _client_said(self, data: bytes) -> None:
        frames = self._from_client
        if frames is None:
            self._pass_on(data)
        elif self._ending is None:
            frames.follow(data)
            self._pass_on(data)
        else:
            self._last_of_client(frames, data)

    def _pass_on(self, data: bytes) -> None:
        self._touch()
        self._body.feed(data)

    def _last_of_client(self, frames: Frames, data: bytes) -> None:
        """What has begun reaches the service, then the Close frame; of the rest only the client's own Close counts."""
        assert self._ending is not None
        if not self._service_closed:
            at = frames.follow(data, True)
            self._body.feed(data[:at])
            self._close_service()
            data = data[at:]
        frames.follow(data)
        if frames.closed and self._client_closed:
            self._finish(True)

    def client_shut(self) -> None:
        """The client sends no more."""
        if self._ending is not None:
            self._finish(True)
        else:
            self._body.end([])

    def client_gone(self) -> None:
        """The client has closed its connection in order: what it sent last still reaches the service."""
        if not self._stopped:
            self._over()
            self._response.finish()

    def stop(self) -> None:
        """The client is gone."""
        if not self._stopped:
            self._over()
            self._response.discard()

    # -- from the service: IProtocol ---------------------------------------------------------------------------------

    def makeConnection(self, transport: object) -> None:
        """Part of IProtocol; it is the response itself."""

    def connectionMade(self) -> None:
        """Part of IProtocol."""

    def dataReceived(self, data: bytes) -> None:
        if self._stopped or self._client_closed:
            return
        frames = self._from_service
        if frames is None:
            self._give(data)
        elif self._ending is None:
            frames.follow(data)
            self._give(data)
        else:
            self._give(data[: frames.follow(data, True)])
            self._close_client()

    def _give(self, data: bytes) -> None:
        self._touch()
        self.exchange.sent += len(data)
        self._channel.transport.write(data)

    def connectionLost(self, reason: Failure) -> None:
        if self._stopped:
            return
        # Many close a TLS connection without a word of it; what counts for a WebSocket is the Close frame.
        said = self._from_service is not None and self._from_service.closed
        complete = said or isinstance(reason.value, ResponseDone)
        if self._ending is not None and self._client_closed:
            # The client has its Close frame, and its grace.
            self._service_closed = True
            return
        if not complete and self.exchange.error is None and isinstance(reason.value, GatewayError):
            self.exchange.error = reason.value
        self._over()
        self._channel.pumped(self.exchange, complete)

    # -- from the channel: the pace of the client -----------------------------------------------------------------

    def pause(self) -> None:
        """The client doesn't keep up."""
        if not self._stopped:
            self._response.pauseProducing()

    def resume(self) -> None:
        if not self._stopped:
            self._response.resumeProducing()

    def provoke(self) -> None:
        """There is nothing in a tunnel that means nothing."""

    # -- the end -----------------------------------------------------------------------------------------------------

    def end(self, why: StreamEnded) -> None:
        """
        Say goodbye to both sides of a WebSocket, each at the end of a frame. Another protocol goes on where the
        gateway is about to stop, until it is cut with all that is left; for any other reason it is cut now.
        """
        if self._stopped or self._ending is not None:
            return
        if self._from_client is None or self._from_service is None:
            if why.close_code != GOING_AWAY or why.code != "shutting-down":
                self.exchange.error = why
                self._finish(False)
            return
        self._ending = self.exchange.error = why
        self._deadline.set(self._seconds() + CLOSE_GRACE)
        if self._from_client.between:
            self._close_service()
        if self._from_service.between:
            self._close_client()

    def _close_service(self) -> None:
        frames = self._from_client
        assert frames is not None
        assert self._ending is not None
        if frames.between and not self._service_closed:
            self._service_closed = True
            if not frames.closed:
                frame = close_frame(self._ending.close_code, self._ending.detail, os.urandom(4))
                self._body.feed(frame)
                self._body.received -= len(frame)  # the client didn't send it

    def _close_client(self) -> None:
        frames = self._from_service
        assert frames is not None
        assert self._ending is not None
        if frames.between and not self._client_closed:
            self._client_closed = True
            if not frames.closed:
                self._channel.transport.write(close_frame(self._ending.close_code, self._ending.detail))
            if self._from_client is not None and self._from_client.closed:
                self._finish(True)

    def _touch(self) -> None:
        if self._ending is None:
            self._deadline.set(min(self._seconds() + self._idle, self._until))

    def _expired(self) -> None:
        if self._ending is not None:
            self._finish(False)
        elif self._seconds() >= self._until:
            self.end(StreamEnded("tunnel-total-timeout", "The tunnel has lasted as long as it may.", GOING_AWAY))
        else:
            self.end(StreamEnded("tunnel-idle-timeout", "Nothing was sent for too long.", GOING_AWAY))

    def _finish(self, complete: bool) -> None:
        """Close both sides, in order or not."""
        if self._stopped:
            return
        self._over()
        if complete:
            self._response.finish()
        else:
            self._response.discard()
        self._channel.pumped(self.exchange, complete)

    def _over(self) -> None:
        self._stopped = True
        self._deadline.stop()
        self._streams.over(self, self.kind)
