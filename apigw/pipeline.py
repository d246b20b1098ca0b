"""
Stages, and the routes that are built of them: down the stages, across to the service, back up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from apigw.errors import GatewayError
from apigw.messages import Exchange, Response

Verdict = Response | None | Awaitable[Response | None]
Across = Callable[[Exchange], Response | Awaitable[Response]]


@frozen
class Explained:
    """
    What a stage would do with a request.

    :ivar error: by which it would refuse it, None for none. :ivar answers: it would answer by itself.
    :ivar reports: the code of an error that it would only report.
    :ivar unknown: why that can't be known without the request itself, empty where it can.
    :ivar facts: the numbers and words by which it decides.
    """

    facts: Mapping[str, object] = field(factory=dict)
    error: GatewayError | None = None
    answers: bool = False
    reports: str = ""
    unknown: str = ""


class Stage:
    """
    One policy on the path. Override what is needed, in the class or in the object; what isn't is never called.

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

    pure = False
    """:meth:`request` decides at once, and leaves nothing behind but in the exchange."""

    def explain(self, exchange: Exchange) -> Explained | None:
        """
        What :meth:`request` would do now, for operators who ask; no request is counted, sent or waited for by it.

        :param exchange: has what the stages before have put into it, and gets what this one would.
        :return: None for a stage that has no say in what becomes of a request.
        """
        if type(self).request is Stage.request:
            return None
        if not self.pure:
            return Explained(unknown="It decides by the request itself.")
        try:
            verdict = self.request(exchange)
        except GatewayError as error:
            return Explained(self.facts(exchange), error)
        reports, exchange.would_refuse = exchange.would_refuse, ""
        return Explained(self.facts(exchange), answers=verdict is not None, reports=reports)

    def facts(self, exchange: Exchange) -> dict[str, object]:
        """By what a stage that is :attr:`pure` decides."""
        return {}

    def response(self, exchange: Exchange, response: Response) -> None:
        """On the way up, before the head of the answer is sent; may change it. Called for errors too."""

    def done(self, exchange: Exchange) -> None:
        """After the last byte, or when the exchange was cut."""

    def start(self, reactor: Any) -> None:
        """For a stage of one's own: the first configuration that has it is in force. For timers and connections."""

    def stop(self) -> None:
        """For a stage of one's own: no configuration in force has it any more; requests may still be under way."""


class Route:
    """
    A route as it runs: which stages its exchanges pass, and what answers them.

    :ivar name: for logs and metrics; names are unique.
    :ivar service: name of the service that answers, empty for the gateway's own places, and where several may.
    :ivar services: names of all that may answer, for who wants to explain.
    :ivar across: from the exchange to its answer.
    :ivar stages: all of them, for who wants to explain.
    :ivar notes: what was derived of it, by who did; so that nobody has to keep routes to know it.
    """

    __slots__ = ("across", "done", "down", "name", "notes", "service", "services", "stages", "up")

    def __init__(
        self, name: str, service: str, stages: Sequence[Stage], across: Across, services: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.service = service
        self.services = tuple(services) or ((service,) if service else ())
        self.across = across
        self.stages = tuple(stages)
        self.notes: dict[object, bytes] = {}
        self.down = tuple(s.request for s in stages if not _stock(s.request, Stage.request))
        self.up = tuple(s.response for s in reversed(stages) if not _stock(s.response, Stage.response))
        self.done = tuple(s.done for s in reversed(stages) if not _stock(s.done, Stage.done))


def _stock(bound: object, stock: object) -> bool:
    return getattr(bound, "__func__", None) is stock
