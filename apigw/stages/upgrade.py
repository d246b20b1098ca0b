"""Lets requests ask for another protocol where the route allows it; the other stages have let them in by then."""

from __future__ import annotations

from math import inf

from attrs import frozen

from apigw.errors import BadUpgrade, OriginRefused, UpgradeLimited
from apigw.messages import Exchange, Request, Upgrade, field_values
from apigw.pipeline import Stage
from apigw.policy import websocket
from apigw.policy.cors import Cors, same_origin
from apigw.policy.ip_lists import client_key
from apigw.stages.concurrency import InFlight
from apigw.streams import Streams


@frozen
class TunnelBounds:
    """
    How many tunnels may be open at once; 0 for any number.

    :ivar name: of the route.
    :ivar user: of one user, or of one address that is a guest's.
    :ivar route: in all.
    """

    name: str
    user: int = 0
    route: int = 0


class Upgrades(Stage):
    """
    :param protocols: that may be asked for, in lower case; others are passed over, as RFC 9110 section 7.8 has it.
    :param streams: where tunnels are known while they are open.
    :param cors: which pages may ask for WebSocket besides those of the same origin; None for all of them. Browsers
        keep answers from pages of other origins, but not WebSockets.
    :param idle: and ``total``: seconds, as :class:`~apigw.messages.Upgrade` has them.
    """

    def __init__(
        self,
        protocols: tuple[bytes, ...],
        streams: Streams,
        in_flight: InFlight,
        bounds: TunnelBounds,
        cors: Cors | None = None,
        *,
        idle: float = inf,
        total: float = inf,
    ) -> None:
        self._protocols = frozenset(protocols)
        self._streams = streams
        self._in_flight = in_flight
        self._bounds = bounds
        self._cors = cors
        self._idle = idle
        self._total = total

    def request(self, exchange: Exchange) -> None:
        """
        :raises BadUpgrade: see :func:`_check_websocket`.
        :raises OriginRefused: the page's origin isn't allowed.
        :raises UpgradeLimited: as many tunnels are open as may be.
        """
        request = exchange.request
        if b"upgrade" not in request.options or request.body is not None or request.version != b"1.1":
            return
        wanted = dict.fromkeys(
            word.strip() for value in field_values(request.fields, b"upgrade") for word in value.lower().split(b",")
        )
        offered = tuple(word for word in wanted if word in self._protocols)
        if not offered:
            return
        if websocket.PROTOCOL in offered:
            _check_websocket(request)
            self._check_origin(request)
        self._count(exchange)
        exchange.upgrade = Upgrade(offered, self._idle, self._total, self._streams)
        exchange.lines += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % b", ".join(offered)
        exchange.outlet = exchange.outlet.upgrading()

    def _check_origin(self, request: Request) -> None:
        if self._cors is None:
            return
        origins = field_values(request.fields, b"origin")
        for origin in origins:
            if len(origins) > 1 or not (self._cors.allows(origin) or same_origin(origin, request.authority)):
                raise OriginRefused

    def _count(self, exchange: Exchange) -> None:
        bounds = self._bounds
        counted = []
        if bounds.user:
            guest = exchange.principal is None
            who = f"address {client_key(exchange.client_ip)}" if guest else f"user {exchange.user_key}"
            counted.append((bounds.user, f"tunnels {bounds.name} {who}"))
        if bounds.route:
            counted.append((bounds.route, f"tunnels {bounds.name}"))
        if not counted:
            return
        reached = self._in_flight.enter(counted)
        if reached < 0:
            exchange.upgrade_counted = counted
        elif bounds.user and reached == 0:
            raise UpgradeLimited("This client has as many tunnels open as it may.", status=429, retry_after=10)
        else:
            raise UpgradeLimited("The route has as many tunnels open as it may.", retry_after=10)

    def done(self, exchange: Exchange) -> None:
        counted = exchange.upgrade_counted
        if counted:
            exchange.upgrade_counted = ()
            self._in_flight.leave(counted)


def _check_websocket(request: Request) -> None:
    """
    :raises BadUpgrade: no WebSocket could come of it (RFC 6455 section 4.2.1). Which versions there are is the
        service's affair.
    """
    keys = field_values(request.fields, b"sec-websocket-key")
    if request.method != b"GET":
        raise BadUpgrade("WebSocket is asked for by GET.")
    if len(keys) != 1 or not websocket.is_key(keys[0]):
        raise BadUpgrade("Sec-WebSocket-Key is not 16 bytes in base64.")
