"""Who a token speaks of: from the cache, or verified with the keys of the issuer it names."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

from apigw.errors import KeysUnavailable
from apigw.keys.issuer import Issuer
from apigw.policy.bearer import TokenRefused
from apigw.policy.principal import Principal
from apigw.policy.revocations import Revocations
from apigw.policy.token_cache import TokenCache
from apigw.policy.token_counts import TokenCounts


def _object(part: str) -> dict[str, Any]:
    try:
        found = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise TokenRefused("The token is not a signed JSON web token.")
    return found


def unverified(token: str) -> tuple[dict[str, Any], object]:
    """
    The header of a token, and the issuer it names: enough to find a key, and not to be believed.

    :raises TokenRefused: it is no token, or has a header that asks for more than is understood (RFC 7515
        section 4.1.11).
    """
    head, body, _ = token.split(".")
    header = _object(head)
    if not isinstance(header.get("alg"), str) or not isinstance(header.get("kid"), str | None):
        raise TokenRefused("The token is not a signed JSON web token.")
    if "crit" in header or "b64" in header:
        raise TokenRefused("The token has a header that is not understood here.")
    return header, _object(body).get("iss")


class Authority:
    """
    :param issuers: where there are several, each has an ``issuer`` of its own, by which a token finds its keys: one
        issuer's key never vouches for a token that names another.
    :param now: wall-clock seconds.
    :param revocations: of tokens; looked at each time that a token is shown.

    :ivar counts: of what is asked here.
    """

    def __init__(
        self,
        issuers: Sequence[Issuer],
        now: Callable[[], float],
        cache: TokenCache | None = None,
        revocations: Revocations | None = None,
        counts: TokenCounts | None = None,
    ) -> None:
        self._issuers = {issuer.rules.issuer: issuer for issuer in issuers}
        assert len(self._issuers) == len(issuers)
        self._now = now
        self._cache = TokenCache() if cache is None else cache
        self._revocations = Revocations(now) if revocations is None else revocations
        self.counts = TokenCounts() if counts is None else counts

    @property
    def verifications(self) -> int:
        """Signatures checked so far, that is tokens that were not in the cache."""
        return sum(issuer.verifications for issuer in self._issuers.values())

    def known(self, digest: bytes) -> Principal | None:
        """
        :param digest: :func:`digest` of a token.
        :return: None where it must be verified.
        :raises TokenRefused: it was, and has been revoked since.
        """
        found = self._cache.get(digest, self._now())
        if found is not None:
            if self._revocations.listed:
                self._check(found)
            self.counts.cached += 1
        return found

    def forget(self) -> None:
        """The keys have changed: what was verified with them counts no more."""
        self._cache.clear()

    def lacking(self, token: bytes) -> Issuer | None:
        """
        :return: the issuer whose keys must be asked for before the token can be verified.
        :raises TokenRefused: no key could make it valid.
        """
        header, issuer = self._of(token)
        return issuer if issuer.lacks_key(header) else None

    def look(self, token: bytes) -> Principal:
        """As :meth:`verify`; nothing is kept or counted of it."""
        found, _ = self._verified(token)
        self._check(found)
        return found

    def verify(self, token: bytes) -> Principal:
        """
        :param token: in the form of one.
        :raises TokenRefused: it doesn't count.
        :raises KeysUnavailable: there are no keys yet.
        """
        found, until = self._verified(token)
        self._cache.put(digest(token), found, until)
        self._check(found)
        self.counts.verified += 1
        return found

    def _verified(self, token: bytes) -> tuple[Principal, float]:
        """:return: also until when it holds, by the same clock that the cache goes by."""
        header, issuer = self._of(token)
        if issuer.keys.ring is None:
            raise KeysUnavailable(retry_after=5)
        found = issuer.verify(token.decode("ascii"), header)
        until = found.expires + issuer.rules.leeway
        if until <= self._now():
            raise TokenRefused("The token has expired.", reason="expired")
        return found, until

    def _check(self, who: Principal) -> None:
        if self._revocations.revoked(who):
            raise TokenRefused("The token has been revoked.", reason="revoked")

    def _of(self, token: bytes) -> tuple[dict[str, Any], Issuer]:
        header, name = unverified(token.decode("ascii"))
        issuer = self._issuers.get("")
        if isinstance(name, str):
            issuer = self._issuers.get(name, issuer)
        elif len(self._issuers) == 1:
            (issuer,) = self._issuers.values()
        if issuer is None:
            raise TokenRefused("The token is from an issuer that is not accepted here.", reason="issuer")
        return header, issuer


def digest(token: bytes) -> bytes:
    """What stands for a token in the cache."""
    return sha256(token).digest()
