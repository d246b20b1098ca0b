"""Redaction: what of a request reaches a log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.redact import (
    MAX_LOGGED,
    SECRET_FIELDS,
    credentials,
    full,
    path_only,
    redacted,
    secret_fields,
)

JWT = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("query", "logged"),
    [
        (b"", b""),
        (b"?", b"?"),
        (b"?token=abc&y=1&z", b"?token=*&y=*&z"),
        (b"?page=3", b"?page=*"),
        (b"?a=b=c&d=?e", b"?a=*&d=*"),
        (b"?a=1;b=2", b"?a=*"),
        (b"?filter[x]=1&%6B=2", b"?filter[x]=*&%6B=*"),
        (b"?a=&debug=&b", b"?a=&debug=&b"),
        (b"?a=*", b"?a=*"),
        (b"?&&a=1&", b"?&&a=*&"),
        (b"?=secret", b"?*"),
        (b"?hunter2", b"?*"),
        (b"?averylongwordthatissecret", b"?*"),
        (b"?c2VjcmV0", b"?*"),
        (b"?c2VjcmV0dA==", b"?*"),
        (b"?c2VjcmV0dG8=", b"?*"),
        (b"?" + JWT, b"?*"),
        (b"?" + b"n" * 65 + b"=1", b"?*"),
        (b"?/path/to?x=y", b"?/path/to?x=*"),
    ],
)
def test_values_of_a_query_are_replaced(query: bytes, logged: bytes) -> None:
    assert redacted(b"/x", query) == b"/x" + logged


def test_tokens_in_a_path_are_replaced() -> None:
    path = b"/reset/" + JWT + b"/x"
    assert redacted(path, b"?a=1") == b"/reset/*/x?a=*"
    assert path_only(path, b"?a=1") == b"/reset/*/x"
    assert path_only(b"/k/" + JWT.replace(b".", b"%2E"), b"") == b"/k/*"
    assert path_only(b"/keyJournal.x/eyJ.x", b"?a") == b"/keyJournal.x/eyJ.x"


def test_all_may_be_logged() -> None:
    assert full(b"/x", b"?a=1") == b"/x?a=1"


@given(
    st.binary(max_size=40).map(lambda path: b"/" + path * 100),
    st.binary(max_size=40).map(lambda query: b"?" + query * 100),
)
def test_a_line_has_an_end(path: bytes, query: bytes) -> None:
    for choose in (redacted, full, path_only):
        assert len(choose(path, query)) <= MAX_LOGGED
        assert choose(path, query).startswith(b"/")


SECRET = st.from_regex(rb"[A-Za-z0-9+/_-]{17,40}={0,2}", fullmatch=True)
PART = st.sampled_from([b"", b"a", b"a=1", b"=", b"a==", b"&", b"?", b"*", b"a=*"])


@given(st.lists(PART, max_size=4), SECRET, st.sampled_from([b"%b", b"token=%b", b"a=b=%b", b"=%b", b"t[]=x%b"]))
def test_no_secret_gets_through(parts: list[bytes], secret: bytes, form: bytes) -> None:
    before, after = parts[:2], parts[2:]
    query = b"?" + b"&".join([*before, form % secret, *after])
    assert secret.rstrip(b"=") not in redacted(b"/x", query)


def test_fields_with_secrets() -> None:
    fields = [
        (b"Authorization", b"Bearer abc"),
        (b"COOKIE", b"sid=1"),
        (b"Set-Cookie", b"sid=1"),
        (b"X-Api-Key", b"k"),
        (b"Accept", b"*/*"),
        (b"X-Debug", b"sent Bearer abcdefgh\xe9"),
        (b"Accept", b"text/html"),
    ]
    assert secret_fields(fields) == [
        (b"Authorization", b"*"),
        (b"COOKIE", b"*"),
        (b"Set-Cookie", b"*"),
        (b"X-Api-Key", b"*"),
        (b"Accept", b"*/*"),
        (b"X-Debug", b"sent Bearer *\xe9"),
        (b"Accept", b"text/html"),
    ]
    assert all(name == name.lower() for name in SECRET_FIELDS)


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer *"),
        ("authorization: bearer  abcdefgh==, x", "authorization: bearer *, x"),
        ("Basic dXNlcjpwYXNz", "Basic *"),
        (f"bad token {JWT.decode()}!", "bad token *!"),
        (f"['{JWT.decode()}']", "['*']"),
        ("eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn", "*"),
        ("redis://:pa55@10.0.0.1/0 failed", "redis://:*@10.0.0.1/0 failed"),
        ("http://user:p:w@h/", "http://user:*@h/"),
        ("http://10.0.0.1:9001/a@b", "http://10.0.0.1:9001/a@b"),
        ("token verification failed", "token verification failed"),
        ("the bearer of it", "the bearer of it"),
        ("eyJ is how one begins", "eyJ is how one begins"),
    ],
)
def test_credentials_in_text(text: str, logged: str) -> None:
    assert credentials(text) == logged


@given(st.text(max_size=60))
def test_twice_is_as_good_as_once(text: str) -> None:
    assert credentials(credentials(text)) == credentials(text)
