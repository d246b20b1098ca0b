"""Lets GraphQL requests pass that ask for no more than they may; tells GraphQL clients of errors in their own way."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from apigw.body import RequestBody
from apigw.errors import GraphqlRefused, RateLimited, StreamEnded
from apigw.messages import Exchange, Response, Upgrade, field_values
from apigw.pipeline import Explained, Stage
from apigw.policy.bearer import challenge
from apigw.policy.gcra import Spend, Verdict
from apigw.policy.graphql.answers import JSON, errors, media_type
from apigw.policy.graphql.asked import Asked, check_bare, malformed, read_body, read_message, read_query
from apigw.policy.graphql.multipart import boundary, read_form
from apigw.policy.graphql.refused import Refused
from apigw.policy.graphql.rules import Firewall, Judged
from apigw.policy.graphql.socket import ClientMessages
from apigw.stages.kept_body import keep_request
from apigw.stages.limits import Allowance, Exempt, Limits, QuotaStore
from apigw.task import Task

_IDS = ("id", "documentId", "doc_id")


class GraphqlFirewall(Stage):
    """
    Stands behind what finds out who asks.

    :param cap: bytes of a body.
    :param asked: takes note of each operation that is let through.
    :param multipart: uploads of files may be.
    """

    def __init__(
        self,
        firewall: Firewall,
        cap: int,
        asked: Callable[[Judged], object] | None = None,
        multipart: bool = False,
    ) -> None:
        self._firewall = firewall
        self._multipart = multipart
        self._cap = cap
        self._asked = asked

    def explain(self, exchange: Exchange) -> Explained | None:
        """A request without its body says nothing."""
        request = exchange.request
        if request.method not in (b"GET", b"HEAD"):
            return Explained(unknown="It decides by the body.")
        try:
            judged = self._firewall.judge(read_query(request.query), _roles(exchange), True)
        except Refused as refused:
            return Explained(error=_error(refused))
        return Explained({"operation": judged.name, "type": judged.kind, "cost": judged.cost})

    def request(self, exchange: Exchange) -> Awaitable[None] | None:
        """
        :raises GraphqlRefused: it asks for what it may not.
        """
        request = exchange.request
        method = request.method
        try:
            if method == b"POST":
                check_bare(request.query)
                return self._whole(exchange, _check_type(exchange, self._multipart))
            if method not in (b"GET", b"HEAD", b"OPTIONS"):
                raise Refused("method", "GraphQL is asked for by GET or POST.", status=405)
            if request.body is not None or request.empty_body:
                raise malformed("What isn't a POST has no body.")
            if exchange.upgrade is not None or method == b"OPTIONS":
                # A service could answer it as any GET.
                check_bare(request.query)
                if exchange.upgrade is not None:
                    self._screen(exchange, exchange.upgrade)
                return None
            asked = read_query(request.query)
            judged = self._judge(exchange, asked, True)
        except Refused as refused:
            raise _error(refused) from None
        if judged.queries[0] is not None:
            request.query = b"?" + urlencode(_texts(_put_in(asked, judged.queries[0]))).encode("ascii")
        return None

    async def _whole(self, exchange: Exchange, between: bytes) -> None:
        """:param between: the boundary of a form, empty for JSON."""
        data = await keep_request(exchange, self._cap, "A GraphQL request's")
        try:
            asked = read_form(data, between) if between else read_body(data)
            judged = self._judge(exchange, asked, False)
            if between and any(query is not None for query in judged.queries):
                raise Refused("persisted", "In an upload a document is sent as it is, not by its name.")
        except Refused as refused:
            raise _error(refused) from None
        if any(query is not None for query in judged.queries):
            self._put_in(exchange, asked, judged.queries)

    def _screen(self, exchange: Exchange, upgrade: Upgrade) -> None:
        """Have each message looked at; so nothing may be compressed."""
        request = exchange.request
        request.replace_fields([one for one in request.fields if one[0].lower() != b"sec-websocket-extensions"])
        upgrade.screen = Screened(self._firewall, exchange, self._cap, self._asked)

    def _judge(self, exchange: Exchange, asked: Asked | list[Asked], reads: bool) -> Judged:
        judged = exchange.graphql = self._firewall.judge(asked, _roles(exchange), reads)
        if self._asked is not None:
            self._asked(judged)
        return judged

    @staticmethod
    def _put_in(exchange: Exchange, asked: Asked | list[Asked], queries: Sequence[str | None]) -> None:
        """Tell the service what the names that the client sent mean."""
        several = asked if isinstance(asked, list) else [asked]
        told = [
            one.given if query is None else _put_in(one, query) for one, query in zip(several, queries, strict=True)
        ]
        data = json.dumps(told if isinstance(asked, list) else told[0]).encode("ascii")
        request = exchange.request
        body = request.body
        assert body is not None
        request.body = RequestBody.whole(data, body.trailers, body.keep)
        request.replace_fields([field for field in request.fields if field[0].lower() not in _OF_BYTES])


class Screened:
    """
    What a client asks for in a tunnel, by the same rules.

    :param cap: bytes of a message. :param asked: as of :class:`GraphqlFirewall`.

    :ivar ended: see :class:`~apigw.messages.Screen`.
    :ivar spend: has what is asked for counted; says, at once or later, whether that was too much.
    """

    def __init__(
        self, firewall: Firewall, exchange: Exchange, cap: int, asked: Callable[[Judged], object] | None = None
    ) -> None:
        self.ended: StreamEnded | None = None
        self.spend: Callable[[Judged], RateLimited | Awaitable[RateLimited | None] | None] | None = None
        self._asked = asked
        self._firewall = firewall
        self._roles = _roles(exchange)
        self._messages = ClientMessages(self._look, cap)

    def __call__(self, data: bytes) -> bytes:
        out = self._messages(data)
        refused = self._messages.refused
        if refused is not None and self.ended is None:
            code = _FORBIDDEN if refused.status in (401, 403) else _BAD_REQUEST
            reason = str(refused).encode("ascii", "replace").decode("ascii")
            self.ended = StreamEnded(f"graphql-{refused.rule}", reason, code)
        return out

    def _look(self, data: bytes) -> None:
        asked = read_message(data)
        if asked is None:
            return
        judged = self._firewall.judge(asked, self._roles)
        if judged.queries[0] is not None:
            raise Refused("persisted", "Over WebSocket a document is sent as it is, not by its name.")
        if self._asked is not None:
            self._asked(judged)
        if self.spend is not None:
            limited = self.spend(judged)
            if isinstance(limited, Awaitable):
                Task(self._later(limited))
            else:
                self._spent(limited)
                if self._messages.refused is not None:
                    raise self._messages.refused

    async def _later(self, limited: Awaitable[RateLimited | None]) -> None:
        """What was asked for has gone on by then; nothing else does."""
        self._spent(await limited)

    def _spent(self, limited: RateLimited | None) -> None:
        if limited is not None and self.ended is None:
            self.ended = StreamEnded(limited.code, limited.detail, _LIMITED)
            self._messages.refused = Refused(limited.code, limited.detail)


_BAD_REQUEST, _FORBIDDEN, _LIMITED = 4400, 4403, 4429
"""Source: enisdenjo/graphql-ws, PROTOCOL.md and CloseCode."""

_OF_BYTES = (b"content-length", b"content-md5", b"digest", b"content-digest")


def _put_in(asked: Asked, query: str) -> dict[str, Any]:
    told = {name: value for name, value in asked.given.items() if name not in _IDS}
    told["query"] = query
    extensions = told.get("extensions")
    if extensions:
        told["extensions"] = {name: value for name, value in extensions.items() if name != "persistedQuery"}
    return told


def _texts(parameters: dict[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in parameters.items()
        if value is not None
    }


def _roles(exchange: Exchange) -> Sequence[str] | None:
    return None if exchange.identity is None else exchange.identity.roles


def _check_type(exchange: Exchange, multipart: bool) -> bytes:
    """
    :return: the boundary of a form, empty for JSON.
    :raises Refused: the body is neither. What pages of other sites may send without being asked is no JSON either.
    """
    fields = exchange.request.fields
    types = field_values(fields, b"content-type")
    kind, *parameters = (part.strip() for part in (types[0] if types else b"").lower().split(b";"))
    charsets = [part for part in parameters if part.startswith(b"charset")]
    codings = [coding for coding in field_values(fields, b"content-encoding") if coding.lower() != b"identity"]
    if multipart and len(types) == 1 and kind == b"multipart/form-data" and not codings:
        return boundary(types[0])
    if len(types) != 1 or kind != JSON or any(part not in _UTF8 for part in charsets) or codings:
        raise Refused("media-type", "GraphQL is asked for in application/json, in UTF-8 and not encoded.", status=415)
    return b""


_UTF8 = (b"charset=utf-8", b'charset="utf-8"')


def _error(refused: Refused) -> GraphqlRefused:
    fields = []
    if refused.status == 405:
        fields.append((b"Allow", b"POST" if refused.rule == "safe-method" else b"GET, POST"))
    elif refused.status == 401:
        fields.append(challenge())
    error = GraphqlRefused(str(refused), code=f"graphql-{refused.rule}", status=refused.status, fields=fields)
    error.well_formed = refused.well_formed
    error.legacy = refused.legacy
    return error


class NoMultipart(Stage):
    """Refuses uploads of files, which pages of other sites could send, too."""

    pure = True

    def request(self, exchange: Exchange) -> None:
        """
        :raises GraphqlRefused: it is one.
        """
        for kind in field_values(exchange.request.fields, b"content-type"):
            if kind.lower().lstrip().startswith(b"multipart/"):
                raise GraphqlRefused(
                    "Uploads by multipart are not accepted here.", code="graphql-media-type", status=415
                )


class GraphqlErrors(Stage):
    """
    Gives the gateway's own errors the form that GraphQL clients expect.

    With ``application/json`` a request that is GraphQL and isn't executed is answered with 200 (GraphQL over HTTP,
    section 6.4.1), so that the log says 200, too, with the code of the error.
    """

    def response(self, exchange: Exchange, response: Response) -> None:
        error = exchange.error
        if error is None:
            return
        kind = media_type(field_values(exchange.request.fields, b"accept"))
        if kind is None:
            return
        told: dict[str, object] = {"code": error.code}
        if isinstance(error, GraphqlRefused):
            told["code"] = error.legacy or error.code
            if error.well_formed and kind == JSON:
                response.status, response.reason = HTTPStatus.OK.value, b"OK"
        if exchange.id:
            told["request_id"] = exchange.id.decode("ascii")
        body = errors(error.detail or error.title, told)
        fields = [field for field in response.fields if field[0].lower() not in (b"content-type", b"content-length")]
        response.fields = [
            *fields,
            (b"Content-Type", kind + b"; charset=utf-8"),
            (b"Content-Length", b"%d" % len(body)),
        ]
        response.body, response.length = body, len(body)


class ByCost(Limits):
    """
    Counts a request by what it costs.

    :param unit: the cost that counts as one request; what costs less counts as one, too.
    """

    def __init__(
        self,
        store: QuotaStore,
        seconds: Callable[[], float],
        allowance: Allowance,
        exempt: Exempt,
        addresses: bool = False,
        *,
        unit: int,
    ) -> None:
        super().__init__(store, seconds, allowance, exempt, addresses)
        self._unit = unit

    def request(self, exchange: Exchange, cost: float = 0.0) -> Awaitable[None] | None:
        screen = None if exchange.upgrade is None else exchange.upgrade.screen
        if isinstance(screen, Screened):
            screen.spend = partial(self._spend_inside, self.spends(exchange))
        asked = exchange.graphql
        return super().request(exchange, cost if asked is None else self._of(asked))

    def _spend_inside(
        self, spends: Sequence[Spend], judged: Judged
    ) -> RateLimited | Awaitable[RateLimited | None] | None:
        """For what is asked for in a tunnel."""
        verdict = self._store.take(self._seconds(), spends, self._of(judged))
        return self.refusal(verdict) if isinstance(verdict, Verdict) else self._refusal_later(verdict)

    async def _refusal_later(self, verdict: Awaitable[Verdict]) -> RateLimited | None:
        return self.refusal(await verdict)

    def _of(self, judged: Judged) -> float:
        return max(self._cost, judged.cost / self._unit)


class GraphqlEnds(Stage):
    """:param ended: takes note of each request that was let through, as it ends."""

    def __init__(self, ended: Callable[[Exchange, Judged], object]) -> None:
        self._ended = ended

    def done(self, exchange: Exchange) -> None:
        if exchange.graphql is not None:
            self._ended(exchange, exchange.graphql)
