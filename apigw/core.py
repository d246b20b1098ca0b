"""The path of a request: route, down the stages, across to the service, back up, out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from apigw.errors import ClientDisconnected, GatewayError, InternalError, without_frames
from apigw.messages import Exchange, Response
from apigw.pipeline import Route
from apigw.task import Task

Problem = Callable[[Exchange, GatewayError], Response]


class RouteFinder(Protocol):
    """Finds the route of a request; "no route" is a route too, so that misses are logged, counted and limited."""

    def __call__(self, exchange: Exchange) -> Route: ...


class GatewayCore:
    """
    :param find: from an exchange to its route.
    :param refused: the route of what isn't a valid request at all.
    :param problem: makes the answer for an error.
    """

    _log = Logger()

    def __init__(self, find: RouteFinder, refused: Route, problem: Problem) -> None:
        self.find = find
        self._refused = refused
        self._problem = problem

    def handle(self, exchange: Exchange, route: Route | None = None) -> None:
        """
        Answer ``exchange``; its outlet gets the response.

        :param route: given where the place in the resource tree says it already.
        """
        exchange.route = route or self.find(exchange)
        exchange.task = Task(self._path(exchange, exchange.route))

    def refuse(self, exchange: Exchange, error: GatewayError) -> None:
        """Answer what isn't a request, through the same stages, so that it has an id and a log line."""
        exchange.error = error
        self.handle(exchange, self._refused)

    async def _path(self, exchange: Exchange, route: Route) -> None:
        try:
            response = None
            for down in route.down:
                verdict = down(exchange)
                if verdict is not None:
                    response = verdict if isinstance(verdict, Response) else await verdict
                    if response is not None:
                        break
            if response is None:
                answer = route.across(exchange)
                response = answer if isinstance(answer, Response) else await answer
            for up in route.up:
                up(exchange, response)
        except (CancelledError, ClientDisconnected) as gone:
            without_frames(gone)
            exchange.error = exchange.error or ClientDisconnected()
            return
        except GatewayError as error:
            without_frames(error)
            response = self._fail(exchange, route, error)
        except Exception:
            self._log.failure(
                "{route} failed on request {request_id}", route=route.name, request_id=exchange.id.decode()
            )
            response = self._fail(exchange, route, InternalError())
        exchange.response = response
        exchange.outlet.respond(exchange, response)

    def _fail(self, exchange: Exchange, route: Route, error: GatewayError) -> Response:
        exchange.error = error
        response = self._problem(exchange, error)
        for up in route.up:
            try:
                up(exchange, response)
            except Exception:
                self._log.failure(
                    "{route} failed on the error of request {request_id}",
                    route=route.name,
                    request_id=exchange.id.decode(),
                )
        return response
