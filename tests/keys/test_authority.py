"""Tokens of all algorithms, and all that may be wrong with one."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from time import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.errors import KeysUnavailable
from apigw.keys.authority import Authority, digest, unverified
from apigw.keys.issuer import FixedKeys, Issuer, Rules
from apigw.policy.bearer import TokenRefused
from apigw.policy.jwk import Key, KeyRing, jwks_keys, pem_key, secret_key
from tests.tokens import FAMILIES, SECRET, jwk, key_set, private_key, public_pem, signed


def issuer(*keys: Key, **rules: Any) -> Issuer:
    return Issuer(FixedKeys(KeyRing(keys)), Rules(**rules))


def authority(*issuers: Issuer) -> Authority:
    return Authority(issuers or (issuer(secret_key(SECRET)),), time)


def raw(header: object, claims: object, secret: bytes = SECRET) -> bytes:
    """A token that no library would make, signed with HS256 all the same."""
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    mac = hmac.digest(secret, b".".join(parts), "sha256")
    return b".".join([*parts, urlsafe_b64encode(mac).rstrip(b"=")])


@pytest.mark.parametrize(
    ("kind", "algorithm"), [(kind, algorithm) for kind, names in FAMILIES.items() for algorithm in names]
)
def test_public_keys_of_each_algorithm(kind: str, algorithm: str) -> None:
    token = signed({"role": "admin"}, algorithm, private_key(kind), {"kid": "k"})
    for keys in ([pem_key(public_pem(kind))], jwks_keys(key_set(jwk("rsa", "x", 7), jwk(kind, "k")))):
        who = authority(issuer(*keys)).verify(token)
        assert (who.user, who.roles) == ("u1", ("admin",))
    with pytest.raises(TokenRefused, match="signature is wrong"):
        authority(issuer(pem_key(public_pem(kind, 1)))).verify(token)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_secrets_of_each_algorithm(algorithm: str) -> None:
    assert authority().verify(signed(algorithm=algorithm)).user == "u1"
    with pytest.raises(TokenRefused, match="signature is wrong"):
        authority().verify(signed(algorithm=algorithm, key=SECRET + b"x"))


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (signed({"iss": "else"}), "issuer that is not accepted"),
        (signed({"iss": "me", "aud": "us"}, "HS512"), "algorithm that is not accepted"),
        (raw({"alg": "none"}, {"sub": "u1", "exp": 9e9, "iss": "me", "aud": "us"}), "algorithm"),
        (raw({"alg": "hs256"}, {"sub": "u1", "exp": 9e9, "iss": "me", "aud": "us"}), "algorithm"),
        (raw({"alg": 5}, {}), "not a signed"),
        (raw({}, {}), "not a signed"),
        (raw([], {}), "not a signed"),
        (raw({"alg": "HS256"}, []), "not a signed"),
        (raw({"alg": "HS256", "kid": ["x"]}, {}), "not a signed"),
        (raw({"alg": "HS256", "crit": ["exp"]}, {"iss": "me"}), "header"),
        (raw({"alg": "HS256", "b64": False}, {"iss": "me"}), "header"),
        (raw({"alg": "HS256"}, {"sub": "u1", "iss": "me", "aud": "us"}), "lacks the claim exp"),
        (raw({"alg": "HS256"}, {"exp": 9e9, "iss": "me", "aud": "us"}), "names no user"),
        (raw({"alg": "HS256"}, {"sub": "a\nb", "exp": 9e9, "iss": "me", "aud": "us"}), "can't be passed on"),
        (raw({"alg": "HS256"}, {"sub": "u1", "exp": "soon", "iss": "me", "aud": "us"}), "not valid"),
        (raw({"alg": "HS256"}, {"sub": "u1", "exp": float("inf"), "iss": "me", "aud": "us"}), "not valid"),
        (raw({"alg": "HS256"}, {"sub": "u1", "exp": 9e9, "iss": "me", "aud": {"us": 1}}), ""),
        (raw({"alg": "HS256"}, {"sub": "u1", "exp": 9e9, "iss": ["me"], "aud": "us"}), ""),
        (b"e30.e30.AA", "not a signed"),
        (b"W1t.e30.AA", "not a signed"),
        (b"A.A.A", "not a signed"),
        (urlsafe_b64encode(b"[" * 3000) + b".e30.AA", "not a signed"),
    ],
)
def test_what_is_wrong_with_a_token_is_told_without_its_claims(token: bytes, why: str) -> None:
    rules = {"algorithms": frozenset(("HS256",)), "issuer": "me", "audience": ("us",)}
    with pytest.raises(TokenRefused) as caught:
        authority(issuer(secret_key(SECRET), **rules)).verify(token)
    assert why in str(caught.value)
    assert "u1" not in str(caught.value)


@pytest.mark.parametrize(
    ("claims", "lifetime", "why"),
    [
        ({}, -60, "expired"),
        ({"nbf": time() + 3600}, 7200, "not valid yet"),
        ({"iat": time() + 3600}, 7200, "not valid yet"),
        ({"aud": "others"}, 60, "meant for others"),
        ({"aud": ["us"], "sub": None}, 60, "names no user"),
    ],
)
def test_claims_that_count_against_it(claims: dict[str, Any], lifetime: float, why: str) -> None:
    checked = authority(issuer(secret_key(SECRET), issuer="me", audience=("us",)))
    with pytest.raises(TokenRefused, match=why) as caught:
        checked.verify(signed({"iss": "me", "aud": "us"} | claims, lifetime=lifetime))
    assert (caught.value.reason == "expired") == (why == "expired")


def test_leeway() -> None:
    late = signed(lifetime=-5)
    assert authority(issuer(secret_key(SECRET), leeway=30)).verify(late).user == "u1"
    with pytest.raises(TokenRefused):
        authority(issuer(secret_key(SECRET), leeway=1)).verify(late)


def test_a_public_key_is_never_taken_for_a_secret() -> None:
    """The attack: HS256 with the public key, which anybody has, as the secret."""
    pem = public_pem("rsa")
    forged = raw({"alg": "HS256"}, {"sub": "admin", "exp": 9e9}, pem)
    for rules in ({}, {"algorithms": frozenset(("RS256", "HS256"))}):
        with pytest.raises(TokenRefused):
            authority(issuer(pem_key(pem), **rules)).verify(forged)


def test_one_issuers_key_vouches_for_no_other() -> None:
    both = authority(
        issuer(secret_key(SECRET), issuer="a"), issuer(pem_key(public_pem("ed")), issuer="b", audience=("us",))
    )
    assert both.verify(signed({"iss": "a"})).user == "u1"
    assert both.verify(signed({"iss": "b", "aud": "us"}, "EdDSA", private_key("ed"))).user == "u1"
    for claims in ({"iss": "b", "aud": "us"}, {"iss": "c"}, {"iss": ""}, {}):
        with pytest.raises(TokenRefused):
            both.verify(signed(claims))


def test_what_was_verified_is_known_until_it_expires_or_the_keys_change() -> None:
    now = [time()]
    one = issuer(secret_key(SECRET), leeway=10)
    known = Authority([one], lambda: now[0])
    token = signed(lifetime=60)
    assert known.known(digest(token)) is None
    who = known.verify(token)
    assert known.known(digest(token)) is who
    assert known.verifications == 1
    now[0] = who.expires + 9.9
    assert known.known(digest(token)) is who
    now[0] = who.expires + 10.1
    assert known.known(digest(token)) is None
    now[0] = time()
    known.verify(token)
    known.forget()
    assert known.known(digest(token)) is None


def test_without_keys_nothing_is_known_of_any_token() -> None:
    one = issuer(secret_key(SECRET))
    one.keys.ring = None
    with pytest.raises(KeysUnavailable):
        authority(one).verify(signed())
    assert authority(one).lacking(signed()) is one


PART = st.binary(max_size=60).map(lambda data: urlsafe_b64encode(data).rstrip(b"=") or b"A")
JSON = st.dictionaries(
    st.sampled_from(["alg", "kid", "iss", "sub", "exp", "nbf", "iat", "aud", "jti", "typ", "roles", "zip"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.text(max_size=3)),
)


@settings(max_examples=300)
@given(st.lists(PART, min_size=3, max_size=3).map(b".".join))
def test_whatever_has_the_form_of_a_token_is_refused_as_one(token: bytes) -> None:
    with pytest.raises(TokenRefused):
        authority().verify(token)


@settings(max_examples=300)
@given(JSON, JSON)
def test_whatever_is_signed_is_a_principal_or_refused(header: dict[str, Any], claims: dict[str, Any]) -> None:
    token = raw({"alg": "HS256"} | header, claims)
    try:
        who = authority().verify(token)
    except TokenRefused:
        return
    assert who.user and claims["exp"] is not None
    assert unverified(token.decode())[0]["alg"] == "HS256"
