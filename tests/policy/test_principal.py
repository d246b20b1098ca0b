from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.policy.principal import ClaimPaths, ClaimsRefused, claim, principal, words

PATHS = ClaimPaths()

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("claims", "path", "found"),
    [
        ({"sub": "a"}, "sub", "a"),
        ({"realm_access": {"roles": ["r"]}}, "realm_access.roles", ["r"]),
        ({"https://x.example/roles": ["r"]}, "https://x.example/roles", ["r"]),
        ({"a.b": 1, "a": {"b": 2}}, "a.b", 1),
        ({"a": "text"}, "a.b", None),
        ({"a": {"b": None}}, "a.b.c", None),
        ({}, "a", None),
    ],
)
def test_claims_are_found_by_name_and_by_path(claims: dict[str, Any], path: str, found: object) -> None:
    assert claim(claims, path) == found


def test_a_whole_token() -> None:
    who = principal({"sub": "u1", "roles": ["admin", "admin", "x"], "scope": "read:a write:a", "exp": 12}, PATHS)
    assert (who.user, who.roles, who.scopes, who.expires) == (
        "u1",
        ("admin", "x"),
        ("read:a", "write:a"),
        12.0,
    )


def test_forms_that_issuers_use() -> None:
    who = principal({"sub": 17, "role": "super user", "scp": ["a", "b"]}, PATHS)
    assert (who.user, who.roles, who.scopes, who.expires) == ("17", ("super user",), ("a", "b"), inf)
    assert principal({"uid": "x", "sub": "y"}, ClaimPaths(user=("uid", "sub"))).user == "x"


@pytest.mark.parametrize(
    "user", [None, "", True, 1.5, ["a"], {"a": 1}, "a\r\nX: y", " a", "a ", "a\x00", "a" * 256, 10**30]
)
def test_users_that_no_field_could_carry_are_refused(user: object) -> None:
    with pytest.raises(ClaimsRefused) as caught:
        principal({"sub": user}, PATHS)
    assert "X: y" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, ()),
        (True, ()),
        (7, ()),
        ({"a": 1}, ()),
        ([["admin"]], ()),
        (["a", 1, None, ""], ("a",)),
        (["a\nb"], ()),
    ],
)
def test_a_list_of_words_in_another_form_gives_less(value: object, found: tuple[str, ...]) -> None:
    assert words(value, True) == words(value, False) == found


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from(["sub", "roles", "role", "scope", "scp"]), JSON))
def test_whatever_a_token_says_makes_a_principal_or_is_refused(claims: dict[str, Any]) -> None:
    try:
        who = principal(claims, PATHS)
    except ClaimsRefused:
        return
    assert who.user.isprintable()
    assert all(isinstance(word, str) and word.isprintable() for word in who.roles + who.scopes)


def test_claims_are_not_in_its_text() -> None:
    assert "hidden" not in repr(principal({"sub": "u", "ssn": "hidden"}, PATHS))
