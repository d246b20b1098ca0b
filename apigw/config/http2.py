"""What ``[http2]`` says: what a connection of HTTP/2 may cost."""

# ruff: noqa: RUF009 (option is an attrs field)
from __future__ import annotations

from attrs import frozen

from apigw.config.kind import Kind
from apigw.config.option import option
from apigw.config.units import Rate, integer, parse_rate, render_rate, size_between
from apigw.policy.http2 import Allowed, Http2Limits


def _parse(text: str) -> Rate:
    rate = parse_rate(text)
    if rate is None:
        raise ValueError("'off' would let any client stop the gateway, write a rate, such as 100/s burst 1000")
    return rate


BOUND: Kind[Rate] = Kind("rate", _parse, render_rate)
WINDOW = size_between(65536, 16 * 1024**2)


@frozen(kw_only=True)
class Http2Section:
    """
    What each connection of HTTP/2 may cost. A client that goes beyond a rate is told so, and its connection is closed.
    """

    max_streams: int = option(integer(1, 10_000), default=100, help="Requests at once; one more is refused, unharmed.")
    resets: Rate = option(
        BOUND, default=Rate(50, 1.0, 100), help="Requests that a client gives up, or that end for its mistakes."
    )
    pings: Rate = option(BOUND, default=Rate(2, 1.0, 20), help="PING frames.")
    settings: Rate = option(BOUND, default=Rate(1, 1.0, 10), help="SETTINGS frames.")
    idle_frames: Rate = option(
        BOUND,
        default=Rate(100, 1.0, 1000),
        help="Frames that carry nothing: DATA without data, WINDOW_UPDATE beyond what the answers are worth, PRIORITY,"
        " and unknown ones. DATA of fewer than 64 bytes counts a tenth.",
    )
    max_continuations: int = option(integer(0, 1000), default=8, help="CONTINUATION frames of one head.")
    window: int = option(WINDOW, default=65536, help="Bytes of a request's body that may come before they are wanted.")
    connection_window: int = option(WINDOW, default=1024**2, help="The same, of all requests of a connection together.")

    @property
    def limits(self) -> Http2Limits:
        return Http2Limits(
            self.max_streams,
            _allowed(self.resets),
            _allowed(self.pings),
            _allowed(self.settings),
            _allowed(self.idle_frames),
            self.max_continuations,
            self.window,
            self.connection_window,
        )


def _allowed(rate: Rate) -> Allowed:
    return Allowed(rate.count / rate.period, rate.burst)
