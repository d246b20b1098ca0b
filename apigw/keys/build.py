"""From the sections about tokens to what verifies them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.ssl import platformTrust
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS

from apigw.config.tokens import JwtSection, TokenIssuer
from apigw.keys.authority import Authority
from apigw.keys.issuer import FixedKeys, Issuer, KeySource, Rules
from apigw.keys.remote import FETCH_TIMEOUT, RemoteKeys
from apigw.outbound import OneTimeConnections
from apigw.policy.bearer import TokenSource
from apigw.policy.jwk import KeyRing
from apigw.policy.principal import ClaimPaths
from apigw.policy.revocations import Revocations
from apigw.policy.token_counts import TokenCounts


class Tokens:
    """
    :param sections: those that say where their keys are.
    :param revocations: tokens that count no more.

    :ivar source: where requests have their token.
    """

    def __init__(
        self,
        jwt: JwtSection | None,
        sections: Sequence[TokenIssuer],
        revocations: Revocations,
        reactor: Any,
        now: Callable[[], float],
        counts: TokenCounts | None = None,
    ) -> None:
        self._reactor = reactor
        self._remote: list[RemoteKeys] = []
        self.source = TokenSource()
        if jwt is not None:
            token = jwt.token
            self.source = TokenSource((token.cookie or "").encode(), (token.query or "").encode(), token.max_size)
        issuers = [self._issuer(section) for section in sections]
        self.authority = Authority(issuers, now, revocations=revocations, counts=counts)

    def start(self) -> None:
        """Fetch the keys that are published."""
        for keys in self._remote:
            keys.start()

    def stop(self) -> None:
        for keys in self._remote:
            keys.stop()

    def _issuer(self, section: TokenIssuer) -> Issuer:
        rules = Rules(
            frozenset(section.algorithms),
            section.issuer or "",
            section.audience,
            section.require,
            section.leeway,
            ClaimPaths(section.claims.user, section.claims.roles, section.claims.scopes),
        )
        return Issuer(self._keys(section), rules)

    def _keys(self, section: TokenIssuer) -> KeySource:
        if section.jwks_url is None:
            return FixedKeys(KeyRing(section.keys()))
        agent = Agent(
            self._reactor,
            BrowserLikePolicyForHTTPS(platformTrust()),
            connectTimeout=FETCH_TIMEOUT,
            pool=OneTimeConnections(self._reactor),
        )
        keys = RemoteKeys(
            section.jwks_url,
            agent,
            self._reactor,
            section.jwks_refresh,
            section.jwks_min_interval,
            lambda: self.authority.forget(),
        )
        self._remote.append(keys)
        return keys
