"""One issuer of tokens: its keys, and what its tokens must say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from attrs import field, frozen
from jwt import PyJWT
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuedAtError,
    InvalidIssuerError,
    InvalidSignatureError,
    MissingRequiredClaimError,
    PyJWTError,
)
from twisted.internet.defer import Deferred

from apigw.policy.bearer import TokenRefused
from apigw.policy.jwk import KeyRing
from apigw.policy.principal import ClaimPaths, ClaimsRefused, Principal, principal

_WHY: dict[type[Exception], tuple[str, str]] = {
    ImmatureSignatureError: ("The token is not valid yet.", "not-yet-valid"),
    InvalidIssuedAtError: ("The token was issued at no valid time.", "not-yet-valid"),
    InvalidAudienceError: ("The token is meant for others.", "audience"),
    InvalidIssuerError: ("The token is from an issuer that is not accepted here.", "issuer"),
    InvalidSignatureError: ("The token's signature is wrong.", "signature"),
}
"""Words for the client, and the reason, by PyJWT's errors, whose own words may hold claims."""

_NO_KEY = ("The token is signed with a key that is not known here.", "key-unknown")
_INVALID = ("The token is not valid.", "invalid")


class KeySource(Protocol):
    """
    :ivar ring: the keys as they are known, None until they are for the first time.
    """

    ring: KeyRing | None

    def renew(self) -> Deferred[None] | None:
        """Look for new keys. :return: fires when that is done, well or not; None where it would be too soon."""


class FixedKeys:
    """Keys out of the configuration."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring: KeyRing | None = ring

    def renew(self) -> None:
        """There are no others."""


@frozen
class Rules:
    """
    What an issuer's tokens must be like.

    :ivar algorithms: accepted ones; empty for all that the keys are made for.
    :ivar issuer: what ``iss`` must be, empty for anything.
    :ivar audience: one of them must be in ``aud``; empty: that isn't looked at.
    :ivar required: claims that must be there.
    :ivar leeway: seconds by which clocks may differ.
    """

    algorithms: frozenset[str] = frozenset()
    issuer: str = ""
    audience: tuple[str, ...] = ()
    required: tuple[str, ...] = ("exp",)
    leeway: float = 0.0
    paths: ClaimPaths = field(factory=ClaimPaths)


class Issuer:
    """
    :param keys: may change at any time.

    :ivar verifications: how many signatures were checked.
    """

    def __init__(self, keys: KeySource, rules: Rules) -> None:
        self.keys = keys
        self.rules = rules
        self.verifications = 0
        self._jwt = PyJWT()
        self._options: Any = {
            "require": list(rules.required),
            "verify_aud": bool(rules.audience),
            "verify_iss": bool(rules.issuer),
            "verify_sub": False,
            "verify_jti": False,
        }

    def lacks_key(self, header: Mapping[str, Any]) -> bool:
        """Whether no key is known of the name that a token says it was signed with."""
        ring = self.keys.ring
        return ring is None or not ring.knows(header.get("kid"))

    def verify(self, token: str, header: Mapping[str, Any]) -> Principal:
        """
        :param header: of the token, as :func:`apigw.keys.authority.unverified` gives it.
        :raises TokenRefused: it isn't valid.
        """
        algorithm = header["alg"]
        ring = self.keys.ring
        if self.rules.algorithms and algorithm not in self.rules.algorithms:
            raise TokenRefused("The token is signed with an algorithm that is not accepted here.", reason="algorithm")
        keys = ring.find(header.get("kid"), algorithm) if ring is not None else ()
        why = _NO_KEY
        for key in keys:
            self.verifications += 1
            try:
                claims = self._jwt.decode(
                    token,
                    key.material,
                    algorithms=[algorithm],
                    options=self._options,
                    audience=self.rules.audience or None,
                    issuer=self.rules.issuer or None,
                    leeway=self.rules.leeway,
                )
                return principal(claims, self.rules.paths, self.rules.issuer)
            except InvalidSignatureError as error:
                why = _WHY[type(error)]
            except ExpiredSignatureError:
                raise TokenRefused("The token has expired.", reason="expired") from None
            except MissingRequiredClaimError as error:
                raise TokenRefused(f"The token lacks the claim {error.claim}.", reason="claim-missing") from None
            except ClaimsRefused as error:
                raise TokenRefused(str(error), reason="user") from None
            except (PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
                text, reason = _WHY.get(type(error), _INVALID)
                raise TokenRefused(text, reason=reason) from None
        raise TokenRefused(why[0], reason=why[1])
