"""
Stages, and the routes that are built of them: down the stages, across to the service, back up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from apigw.messages import Exchange, Response

Verdict = Response | None | Awaitable[Response | None]
Across = Callable[[Exchange], Response | Awaitable[Response]]


class Stage:
    """
    One policy on the path. Override what is needed; what isn't overridden is never called.

    A stage object holds its own state and serves all the routes it was added to; what concerns one request is kept in
    the exchange.
    """

    def request(self, exchange: Exchange) -> Verdict:
        """
        On the way down.

        :return: None to go on, or an answer, which ends the way down; an awaitable of either where it must wait.
        :raises GatewayError: to refuse the request.
        """
        return None

    def response(self, exchange: Exchange, response: Response) -> None:
        """On the way up, before the head of the answer is sent; may change it. Called for errors too."""

    def done(self, exchange: Exchange) -> None:
        """After the last byte, or when the exchange was cut; may not fail."""


class Route:
    """
    A route as it runs: which stages its exchanges pass, and what answers them.

    :ivar name: for logs and metrics; names are unique.
    :ivar service: name of the service that answers, empty for the gateway's own places.
    :ivar across: from the exchange to its answer.
    """

    __slots__ = ("across", "done", "down", "name", "service", "up")

    def __init__(self, name: str, service: str, stages: Sequence[Stage], across: Across) -> None:
        self.name = name
        self.service = service
        self.across = across
        self.down = tuple(s.request for s in stages if type(s).request is not Stage.request)
        self.up = tuple(s.response for s in reversed(stages) if type(s).response is not Stage.response)
        self.done = tuple(s.done for s in reversed(stages) if type(s).done is not Stage.done)
