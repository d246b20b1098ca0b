"""Lets in who has a valid token, with the roles and scopes that the route asks for; where it may, others as guests."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from hashlib import sha256
from typing import TYPE_CHECKING

from apigw.errors import ClientError, GatewayError, KeysUnavailable, Unauthorized
from apigw.messages import Exchange
from apigw.pipeline import Explained, Stage
from apigw.policy.bearer import TokenRefused, TokenSource, challenge
from apigw.stages.entry import enter

if TYPE_CHECKING:
    from apigw.keys.authority import Authority


class Jwt(Stage):
    """
    :param required: refuse guests; else a token that doesn't count makes a guest too.
    :param roles: one of them is needed, where there are any.
    :param scopes: all of them are needed.
    """

    def __init__(
        self,
        authority: Authority,
        source: TokenSource,
        required: bool,
        roles: Iterable[str] = (),
        scopes: Iterable[str] = (),
    ) -> None:
        self._authority = authority
        self._source = source
        self._required = required
        self._roles = frozenset(roles)
        self._scopes = tuple(scopes)

    def request(self, exchange: Exchange) -> Awaitable[None] | None:
        request = exchange.request
        # Requests with the same fields have the same token, but for one in the query.
        digest = request.notes.get(self._source)
        try:
            if digest is not None:
                found = self._authority.known(digest)
                if found is not None:
                    enter(exchange, found, self._roles, self._scopes)
                    return None
            token = self._source.token(request.fields, request.query)
            if token is None:
                self._refuse()
                return None
            digest = sha256(token).digest()
            if not self._source.query:
                request.notes[self._source] = digest
            found = self._authority.known(digest)
            if found is None:
                issuer = self._authority.lacking(token)
                if issuer is not None:
                    renewal = issuer.keys.renew()
                    if renewal is not None:
                        return self._later(exchange, token, renewal)
                found = self._authority.verify(token)
        except (TokenRefused, KeysUnavailable) as error:
            self._refuse(error)
            return None
        enter(exchange, found, self._roles, self._scopes)
        return None

    def explain(self, exchange: Exchange) -> Explained:
        """Whoever is in the exchange already is believed: that is how a request of the past is looked at again."""
        request = exchange.request
        facts: dict[str, object] = {"required": self._required, "roles": sorted(self._roles), "scopes": self._scopes}
        found = exchange.identity
        try:
            token = None if found is not None else self._source.token(request.fields, request.query)
            if token is not None:
                if self._authority.lacking(token) is not None:
                    return Explained(facts, unknown="The issuer would be asked for its keys first.")
                found = self._authority.look(token)
            if found is not None:
                facts |= {"user": found.user, "has_roles": found.roles, "has_scopes": found.scopes}
                enter(exchange, found, self._roles, self._scopes)
            elif self._required:
                raise Unauthorized(fields=[challenge()])
        except (TokenRefused, KeysUnavailable) as error:
            facts["token"] = str(error)
            refusal = self._refusal(error)
            return Explained(facts, refusal if self._required else None)
        except GatewayError as refused:
            return Explained(facts, refused)
        return Explained(facts)

    async def _later(self, exchange: Exchange, token: bytes, renewal: Awaitable[None]) -> None:
        await renewal
        try:
            found = self._authority.verify(token)
        except (TokenRefused, KeysUnavailable) as error:
            self._refuse(error)
            return
        enter(exchange, found, self._roles, self._scopes)

    def _refuse(self, error: TokenRefused | KeysUnavailable | None = None) -> None:
        """:raises GatewayError: guests are not let in."""
        if error is not None:
            reason = error.code if isinstance(error, KeysUnavailable) else error.reason
            self._authority.counts.refused[reason] += 1
        if not self._required:
            return
        if error is None:
            raise Unauthorized(fields=[challenge()])
        raise self._refusal(error)

    @staticmethod
    def _refusal(error: TokenRefused | KeysUnavailable) -> GatewayError:
        if isinstance(error, KeysUnavailable):
            return error
        field = challenge(error.error, error.description)
        if error.error == "invalid_request":
            return ClientError(error.description, code="token-ambiguous", fields=[field])
        code = f"token-{error.reason}" if error.reason in ("expired", "revoked") else "token-invalid"
        return Unauthorized(error.description, code=code, fields=[field])
