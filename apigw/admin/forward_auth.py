"""Answers other proxies whether a request may pass, and who sends it: nginx auth_request, Traefik forwardAuth."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl

from twisted.logger import Logger

from apigw.dates import HttpDate
from apigw.errors import ClientError, Forbidden, Unauthorized
from apigw.messages import Exchange, Response
from apigw.pipeline import Stage
from apigw.policy.bearer import challenge
from apigw.stages.entry import enter

SHOWN = 50
"""Characters of a parameter's name that are told."""


TOLD = 10
"""Parameters that the log is told of, once each: anybody may ask."""


class UnknownParameter(ClientError):
    """:ivar name: of the parameter."""

    code = "unknown-parameter"

    def __init__(self, name: str) -> None:
        super().__init__(f"The query has {name!r}; there are roles and scopes.")
        self.name = name


class ForwardAuth:
    """
    200 with the identity's fields, 401 or 403; whatever the method. The proxy may ask for more in the query:
    ``?roles=admin,editor&scopes=read:users``, with the meaning that they have on a route.

    :param ways: stages that find out who asks.
    """

    _log = Logger()

    def __init__(self, ways: Sequence[Stage], date: HttpDate) -> None:
        self._ways = [way.request for way in ways]
        self._date = date
        self._told: set[str] = set()

    async def __call__(self, exchange: Exchange) -> Response:
        """
        :raises ClientError: 400, the query has a parameter that is not known.
        :raises Unauthorized: for a request that makes no sense too: nginx takes any other status for its own failure.
        :raises Forbidden: a role or a scope is missing, or the query has the name of a parameter and nothing more: a
            variable of the proxy's that is empty must not let in everybody.
        """
        try:
            roles, scopes = _needed(exchange.request.query)
        except UnknownParameter as wrong:
            if wrong.name not in self._told and len(self._told) < TOLD:
                self._told.add(wrong.name)
                self._log.warn(
                    "{client} asks who may pass with the parameter {name!r}, which is not known, and gets a 400: "
                    "there are roles and scopes; correct the address in that proxy's configuration",
                    client=exchange.client_ip,
                    name=wrong.name,
                )
            raise
        try:
            for way in self._ways:
                verdict = way(exchange)
                if verdict is not None and not isinstance(verdict, Response):
                    await verdict
        except ClientError as error:
            if error.status in (401, 403):
                raise
            raise Unauthorized(error.detail, code=error.code, fields=error.fields) from None
        who = exchange.identity
        if who is not None:
            enter(exchange, who, roles, scopes)
        elif roles or scopes:
            raise Unauthorized(fields=[challenge()])
        fields = [(b"Date", self._date.now()), (b"Content-Length", b"0"), (b"Cache-Control", b"no-store")]
        response = Response(200, b"OK", fields, b"")
        response.lines = exchange.lines
        return response


def _needed(query: bytes) -> tuple[frozenset[str], tuple[str, ...]]:
    """
    Roles and scopes, from a query with its ``?``; several parameters of a name count as one.

    :raises Forbidden: a parameter names none. :raises UnknownParameter:
    """
    found: dict[str, list[str]] = {"roles": [], "scopes": []}
    for name, value in parse_qsl(query[1:].decode("latin-1"), keep_blank_values=True):
        if name not in found:
            raise UnknownParameter(name[:SHOWN])
        words = [word.strip() for word in value.split(",") if word.strip()]
        if not words:
            raise Forbidden(f"The proxy asks for {name}, but names none.")
        found[name] += words
    return frozenset(found["roles"]), tuple(found["scopes"])
