"""What the gateway signs, services believe; nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.identity import Caller, IdentityRefused, verify
from apigw.policy.identity import identity_lines, role_of, signature
from apigw.policy.principal import ClaimPaths, ClaimsRefused, principal

SECRET = b"0123456789abcdef"
NOW = 1_700_000_000.25


def fields(user: str, roles: list[str], secret: bytes = SECRET) -> dict[str, str]:
    who = principal({"sub": user, "roles": roles}, ClaimPaths())
    lines = identity_lines(who, secret, NOW).decode("latin-1").split("\r\n")
    return {line.partition(": ")[0]: line.partition(": ")[2] for line in lines if line}


def test_the_very_bytes() -> None:
    assert identity_lines(principal({"sub": "u1", "role": "admin"}, ClaimPaths()), SECRET, NOW) == (
        b"X-User-Id: u1\r\nX-User-Role: admin\r\nX-User-Id-Timestamp: 1700000000250\r\n"
        b"X-User-Id-Signature: " + signature(SECRET, b"u1", b"admin", b"1700000000250") + b"\r\n"
    )
    # openssl: printf u1:admin:1700000000250 | openssl dgst -sha256 -hmac 0123456789abcdef -binary | base64
    assert signature(SECRET, b"u1", b"admin", b"1700000000250") == b"cgxp9TgASnr3loFl86BGG4CbJ9ZsA24OoY2BTR8/J+0="


def test_a_signed_identity_is_believed_for_five_minutes() -> None:
    given_ = fields("auth0|7:x", ["admin", "dev"])
    for now in (NOW, NOW - 299, NOW + 299):
        assert verify(given_, SECRET, now) == Caller("auth0|7:x", ("admin", "dev"))
    for now in (NOW - 301, NOW + 301):
        with pytest.raises(IdentityRefused):
            verify(given_, SECRET, now)


def test_claims_as_fields() -> None:
    claims = {"sub": "u1", "scope": "read write", "a": {"b": "\u00fc"}, "n": 1.5, "t": [1, "x", {}], "bad": "a\r\nB: c"}
    chosen = [(b"X-B", "a.b"), (b"X-N", "n"), (b"X-T", "t"), (b"X-Bad", "bad"), (b"X-None", "none"), (b"X-A", "a")]
    lines = identity_lines(principal(claims, ClaimPaths()), b"", NOW, chosen)
    assert lines == (
        b"X-User-Id: u1\r\nX-User-Role: \r\nX-User-Scopes: read write\r\nX-B: \xc3\xbc\r\nX-N: 1.5\r\nX-T: 1,x\r\n"
    )


def test_guests() -> None:
    assert verify({"Host": "h"}, SECRET, NOW) is None
    assert fields("u1", [])["X-User-Role"] == ""
    assert verify(fields("u1", []), SECRET, NOW) == Caller("u1")


@pytest.mark.parametrize(
    "change",
    [
        {"X-User-Id": "root"},
        {"X-User-Id": ""},
        {"X-User-Role": "admin,root"},
        {"X-User-Id": "u1:admin", "X-User-Role": ""},
        {"X-User-Id-Timestamp": "1700000000251"},
        {"X-User-Id-Timestamp": ""},
        {"X-User-Id-Signature": ""},
        {"X-User-Id-Signature": "\u20ac"},
    ],
)
def test_any_change_is_found(change: dict[str, str]) -> None:
    with pytest.raises(IdentityRefused):
        verify(fields("u1", ["admin"]) | change, SECRET, NOW)
    with pytest.raises(IdentityRefused):
        verify(fields("u1", ["admin"], b"another secret"), SECRET, NOW)
    with pytest.raises(IdentityRefused):
        verify(fields("u1", ["admin"], b""), SECRET, NOW)
    with pytest.raises(ValueError, match="secret"):
        verify(fields("u1", ["admin"]), b"", NOW)


def test_no_two_identities_are_signed_alike() -> None:
    """An id may have colons, so a role may not: else one could be cut in two ways."""
    assert role_of(["a:b", "c,d", "ok", " x"]) == "ok"
    shifted = fields("u1:admin", [])
    shifted |= {"X-User-Id": "u1", "X-User-Role": "admin:"}
    with pytest.raises(IdentityRefused):
        verify(shifted, SECRET, NOW)


@settings(max_examples=200)
@given(st.text(max_size=20), st.lists(st.text(max_size=8), max_size=3))
def test_whoever_it_is_services_read_the_same(user: str, roles: list[str]) -> None:
    try:
        given_ = fields(user, roles)
    except ClaimsRefused:
        return
    caller = verify(given_, SECRET, NOW)
    assert caller is not None
    assert caller.user == user
    assert set(caller.roles) <= set(roles)
