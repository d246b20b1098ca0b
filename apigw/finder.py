"""From an exchange to its route. What matches no route has one too, so that it is logged, counted and limited."""

from __future__ import annotations

from apigw.errors import BadPath, MethodNotAllowed, RouteNotFound
from apigw.messages import Exchange, Response
from apigw.pipeline import Route
from apigw.policy.cors import preflight_method
from apigw.policy.paths import PathRefused
from apigw.routing import Ambiguous, NotAllowed, RouteMatch, RouteTable

UNSAFE_HERE = (b"CONNECT", b"TRACE")
"""A gateway is no tunnel, and TRACE shows a client what the gateway adds (RFC 9110 sections 9.3.6 and 9.3.8)."""


class ProxyRoutes:
    """
    :param table: of the configured routes.
    :param missing: the route of what matches none; its ``across`` is :func:`refuse`.
    :param whole: the route of ``OPTIONS *``.
    :param preflights: they are answered on the way of the request that they ask leave for, so they are routed as that
        will be. Else an OPTIONS request goes where OPTIONS does.
    """

    def __init__(self, table: RouteTable[Route], missing: Route, whole: Route, preflights: bool = False) -> None:
        self._table = table
        self._missing = missing
        self._whole = whole
        self._preflights = preflights

    def why(self, exchange: Exchange) -> list[tuple[RouteMatch, Route, str | None]]:
        """All routes of the table, each with the reason why it doesn't get the request, None for the one that does."""
        request = exchange.request
        method = request.method
        if self._preflights and method == b"OPTIONS":
            method = preflight_method(request.fields) or method
        told = self._table.why(request.authority, request.path, method, request.fields)
        return [(match, route, reason) for match, (route, reason) in zip(self._table.matches, told, strict=True)]

    def __call__(self, exchange: Exchange) -> Route:
        request = exchange.request
        if request.method in UNSAFE_HERE:
            exchange.error = MethodNotAllowed(f"{request.method.decode()} is not served here.")
            return self._missing
        if request.target == b"*":
            return self._whole
        method = request.method
        if self._preflights and method == b"OPTIONS":
            method = preflight_method(request.fields) or method
        try:
            found = self._table.find(request.authority, request.path, method, request.fields)
        except NotAllowed as error:
            allow = b", ".join(error.methods)
            exchange.error = MethodNotAllowed(fields=[(b"Allow", allow)])
        except PathRefused as error:
            exchange.error = BadPath(str(error))
        except Ambiguous:
            exchange.error = BadPath(
                "The path could be read in two ways that lead to different routes; send it without %2F, // and ;."
            )
        else:
            if found is not None:
                exchange.params = found[1]
                return found[0]
            exchange.error = RouteNotFound()
        return self._missing


def refuse(exchange: Exchange) -> Response:
    """Across to nowhere: the error is known already."""
    assert exchange.error is not None
    raise exchange.error
