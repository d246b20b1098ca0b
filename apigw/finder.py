"""From an exchange to its route. What matches no route has one too, so that it is logged, counted and limited."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from apigw.errors import BadPath, GatewayError, MethodNotAllowed, RouteNotFound, VersionMalformed, VersionUnknown
from apigw.messages import Exchange, Field, Response
from apigw.pipeline import Route
from apigw.policy.cors import preflight_method
from apigw.policy.paths import PathRefused
from apigw.policy.versions import PATH, NoVersion, Versions
from apigw.routing import Ambiguous, NotAllowed, RouteMatch, RouteTable

VERSION = ":version"
"""As what the version stands among the fields that a request is routed by; no field has such a name."""

UNSAFE_HERE = (b"CONNECT", b"TRACE")
"""A gateway is no tunnel, and TRACE shows a client what the gateway adds (RFC 9110 sections 9.3.6 and 9.3.8)."""


class Table(Protocol):
    """What of a :class:`~apigw.routing.RouteTable` it takes to find routes."""

    @property
    def matches(self) -> Sequence[RouteMatch]: ...

    def find(
        self, authority: bytes, path: bytes, method: bytes, fields: Sequence[Field]
    ) -> tuple[Route, dict[str, bytes] | None] | None: ...

    def why(
        self, authority: bytes, path: bytes, method: bytes, fields: Sequence[Field]
    ) -> Sequence[tuple[Route, str | None]]: ...


class ProxyRoutes:
    """
    :param table: of the configured routes.
    :param missing: the route of what matches none; its ``across`` is :func:`refuse`.
    :param whole: the route of ``OPTIONS *``.
    :param preflights: they are answered on the way of the request that they ask leave for, so they are routed as that
        will be. Else an OPTIONS request goes where OPTIONS does.
    """

    def __init__(self, table: Table, missing: Route, whole: Route, preflights: bool = False) -> None:
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
        except NotAllowed as refused:
            allow = b", ".join(refused.methods)
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


class _ForVersion:
    """A table as requests for one version of the API see it."""

    def __init__(self, table: RouteTable[Route], version: str) -> None:
        self._table = table
        self._version = (VERSION.encode("ascii"), version.encode("ascii"))

    @property
    def matches(self) -> Sequence[RouteMatch]:
        return self._table.matches

    def find(
        self, authority: bytes, path: bytes, method: bytes, fields: Sequence[Field]
    ) -> tuple[Route, dict[str, bytes]] | None:
        return self._table.find(authority, path, method, [*fields, self._version])

    def why(
        self, authority: bytes, path: bytes, method: bytes, fields: Sequence[Field]
    ) -> list[tuple[Route, str | None]]:
        told = self._table.why(authority, path, method, [*fields, self._version])
        return [(route, reason and reason.replace(f"the field {VERSION}", "the version")) for route, reason in told]


class VersionedRoutes(ProxyRoutes):
    """
    The same, where some routes are for one version of the API.

    :param unversioned: names of routes that take no part in that.
    """

    def __init__(
        self,
        table: RouteTable[Route],
        missing: Route,
        whole: Route,
        preflights: bool,
        versions: Versions,
        unversioned: Collection[str],
    ) -> None:
        none = _ForVersion(table, "")
        super().__init__(none, missing, whole, preflights)
        self._versions = versions
        self._unversioned = frozenset(unversioned)
        self._listed = ", ".join(versions.known)
        self._each = {
            version: ProxyRoutes(_ForVersion(table, version), missing, whole, preflights) for version in versions.known
        }

    def why(self, exchange: Exchange) -> list[tuple[RouteMatch, Route, str | None]]:
        try:
            version = self._versions.of(exchange.request.path, exchange.request.fields)
        except NoVersion:
            version = ""
        return self._each[version].why(exchange) if version else super().why(exchange)

    def __call__(self, exchange: Exchange) -> Route:
        request = exchange.request
        try:
            version = self._versions.of(request.path, request.fields)
        except NoVersion as error:
            route = super().__call__(exchange)
            if route.name not in self._unversioned and route is not self._whole and request.method not in UNSAFE_HERE:
                exchange.error = self._refusal(error)
                return self._missing
            return route
        route = self._each[version](exchange) if version else super().__call__(exchange)
        if route is self._missing and self._preflights and request.method == b"OPTIONS":
            return self._preflight(exchange, version)
        exchange.version = "" if route.name in self._unversioned else version
        return route

    def _preflight(self, exchange: Exchange, version: str) -> Route:
        """Where the request may go that leave is asked for: a preflight lacks the fields that say its version."""
        error = exchange.error
        for other, find in self._each.items():
            if other != version and (route := find(exchange)) is not self._missing:
                exchange.error = None
                exchange.version = other
                return route
        exchange.error = error
        return self._missing

    def _refusal(self, error: NoVersion) -> GatewayError:
        detail = f"{error} There are: {self._listed}."
        if error.malformed:
            return VersionMalformed(detail)
        return VersionUnknown(detail, status=404 if error.source == PATH else 400)


def refuse(exchange: Exchange) -> Response:
    """Across to nowhere: the error is known already."""
    assert exchange.error is not None
    raise exchange.error
