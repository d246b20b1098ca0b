"""Lets in consumers by their API keys; requests without one take the way of tokens, where there is one."""

from __future__ import annotations

from collections.abc import Iterable

from apigw.errors import ClientError, GatewayError, Unauthorized
from apigw.messages import Exchange, field_values
from apigw.pipeline import Explained, Stage, Verdict
from apigw.policy.api_keys import MAX_KEY, ApiKeys, digest
from apigw.stages.entry import enter

NONE = b""


class ApiKey(Stage):
    """
    :param field: of requests, in lower case.
    :param required: refuse guests; else a key that doesn't count makes one, unless there is a token that does.
    :param otherwise: for requests without a key, such as the stage for tokens; None where a key is the only way in.
    """

    def __init__(
        self,
        keys: ApiKeys,
        field: bytes,
        required: bool,
        roles: Iterable[str] = (),
        scopes: Iterable[str] = (),
        otherwise: Stage | None = None,
    ) -> None:
        self._keys = keys
        self._field = field
        self._required = required
        self._roles = frozenset(roles)
        self._scopes = tuple(scopes)
        self._other = otherwise
        self._otherwise = None if otherwise is None else otherwise.request
        self._challenge = (b"WWW-Authenticate", b'ApiKey realm="apigw", field="%b"' % field)

    def request(self, exchange: Exchange) -> Verdict:
        request = exchange.request
        known: bytes | None = request.notes.get(self)
        if known is None:
            known = request.notes[self] = self._digest(exchange)
        if known is not NONE:
            who = self._keys.find(known)
            if who is not None:
                enter(exchange, who, self._roles, self._scopes)
                return None
            if self._required:
                raise Unauthorized("The API key is not valid.", code="api-key-invalid", fields=[self._challenge])
        if self._otherwise is not None:
            return self._otherwise(exchange)
        if self._required:
            raise Unauthorized("Send an API key.", code="api-key-missing", fields=[self._challenge])
        return None

    def explain(self, exchange: Exchange) -> Explained | None:
        """As of the stage for tokens, whoever is in the exchange already is believed."""
        who = exchange.identity
        facts: dict[str, object] = {"required": self._required, "roles": sorted(self._roles), "scopes": self._scopes}
        try:
            if who is None:
                known = self._digest(exchange)
                who = None if known is NONE else self._keys.find(known)
                if known is NONE and self._other is not None:
                    return self._other.explain(exchange)
                if who is None and self._required:
                    code = "api-key-missing" if known is NONE else "api-key-invalid"
                    raise Unauthorized("A valid API key is needed.", code=code, fields=[self._challenge])
            if who is not None:
                facts |= {"consumer": who.consumer, "user": who.user, "has_roles": who.roles}
                enter(exchange, who, self._roles, self._scopes)
        except GatewayError as error:
            return Explained(facts, error)
        return Explained(facts)

    def _digest(self, exchange: Exchange) -> bytes:
        """:return: :data:`NONE` where there is no key."""
        values = field_values(exchange.request.fields, self._field)
        if not values:
            return NONE
        if len(values) > 1:
            if not self._required:
                return digest(NONE)
            raise ClientError("There is more than one API key.", code="api-key-ambiguous", fields=[self._challenge])
        return digest(values[0] if len(values[0]) <= MAX_KEY else NONE)
