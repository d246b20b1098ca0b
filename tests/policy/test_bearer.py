from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.policy.bearer import TokenRefused, TokenSource, challenge, lacks

TOKEN = b"eyJh.eyJz.c2ln"
OTHER = b"eyJh.eyJz.b3Ro"
ANYWHERE = TokenSource(b"session", b"access_token", 100)


def auth(value: bytes, name: bytes = b"Authorization") -> tuple[bytes, bytes]:
    return name, value


@pytest.mark.parametrize(
    ("fields", "query", "token"),
    [
        ([], b"", None),
        ([auth(b"Bearer " + TOKEN)], b"", TOKEN),
        ([auth(b"bEARER   " + TOKEN, b"authorization")], b"", TOKEN),
        ([auth(b"Basic dTpw")], b"", None),
        ([auth(b"Bearers " + TOKEN)], b"", None),
        ([(b"Authorisation_", TOKEN), (b"X-Thirteen-By", TOKEN)], b"", None),
        ([(b"Cookie", b"a=b; session=" + TOKEN + b"; c")], b"", TOKEN),
        ([(b"Cookie", b"a=b"), (b"cookie", b"session=" + TOKEN)], b"", TOKEN),
        ([(b"Cookie", b"xsession=" + TOKEN + b"; session")], b"", None),
        ([(b"Cookie", b"session=")], b"", None),
        ([], b"?access_token=" + TOKEN + b"&a", TOKEN),
        ([], b"?xaccess_token=" + TOKEN, None),
        ([auth(b"Bearer " + TOKEN), (b"Cookie", b"session=" + OTHER)], b"", TOKEN),
        ([(b"Cookie", b"session=" + OTHER)], b"?access_token=" + TOKEN, TOKEN),
        ([auth(b"Basic dTpw"), (b"Cookie", b"session=" + TOKEN)], b"", TOKEN),
    ],
)
def test_where_a_token_is_found(fields: list[tuple[bytes, bytes]], query: bytes, token: bytes | None) -> None:
    assert ANYWHERE.token(fields, query) == token


def test_cookie_and_query_hold_none_unless_configured() -> None:
    assert TokenSource().token([(b"Cookie", b"session=" + TOKEN)], b"?access_token=" + TOKEN) is None


@pytest.mark.parametrize(
    ("fields", "query", "error"),
    [
        ([auth(b"Bearer " + TOKEN), auth(b"Bearer " + TOKEN)], b"", "invalid_request"),
        ([auth(b"Basic dTpw"), auth(b"Bearer " + TOKEN)], b"", "invalid_request"),
        ([auth(b"Bearer " + TOKEN)], b"?access_token=" + TOKEN, "invalid_request"),
        ([], b"?access_token=" + TOKEN + b"&access_token=" + OTHER, "invalid_request"),
        ([(b"Cookie", b"session=" + TOKEN + b"; session=" + OTHER)], b"", "invalid_request"),
        ([(b"Cookie", b"session=" + TOKEN), (b"Cookie", b"session=" + TOKEN)], b"", "invalid_request"),
        ([auth(b"Bearer")], b"", "invalid_token"),
        ([auth(b"Bearer ")], b"", "invalid_token"),
        ([auth(b"Bearer eyJh.eyJz.")], b"", "invalid_token"),
        ([auth(b"Bearer eyJh.eyJz")], b"", "invalid_token"),
        ([auth(b"Bearer a.b.c.d.e")], b"", "invalid_token"),
        ([auth(b"Bearer " + TOKEN + b" x")], b"", "invalid_token"),
        ([auth(b"Bearer\t" + TOKEN + b"\n")], b"", ""),
        ([auth(b"Bearer " + TOKEN + b"\n")], b"", "invalid_token"),
        ([auth(b"Bearer " + TOKEN + b"=")], b"", "invalid_token"),
        ([auth(b"Bearer a." + b"b" * 100 + b".c")], b"", "invalid_token"),
    ],
)
def test_what_is_refused(fields: list[tuple[bytes, bytes]], query: bytes, error: str) -> None:
    if not error:
        assert ANYWHERE.token(fields, query) is None
        return
    with pytest.raises(TokenRefused) as caught:
        ANYWHERE.token(fields, query)
    assert caught.value.error == error
    assert "eyJ" not in str(caught.value)


def test_the_longest_token_is_let_through() -> None:
    token = b"a.b." + b"c" * 96
    assert ANYWHERE.token([auth(b"Bearer " + token)]) == token


names = st.sampled_from([b"Authorization", b"authorization", b"Cookie", b"cookie", b"Accept"])
bits = st.sampled_from([b"Bearer", b" ", b"session=", b";", b".", b"=", b"&", TOKEN, b"\xff", b"\t", b'"', b"a"])
values = st.binary(max_size=40) | st.lists(bits, max_size=8).map(b"".join)
FORM = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+").fullmatch


@settings(max_examples=300)
@given(st.lists(st.tuples(names, values), max_size=3), values)
def test_whatever_is_sent_gives_a_token_in_its_form_or_none_or_is_refused(
    fields: list[tuple[bytes, bytes]], query: bytes
) -> None:
    try:
        token = ANYWHERE.token(fields, b"?" + query)
    except TokenRefused as refused:
        assert refused.error in ("invalid_request", "invalid_token")
        return
    if token is not None:
        assert FORM(token)
        assert len(token) <= 100
        assert any(token in value for value in (query, *(value for _, value in fields)))


def test_challenges() -> None:
    assert challenge() == (b"WWW-Authenticate", b'Bearer realm="apigw"')
    assert challenge("insufficient_scope", "More is needed.", ["a", "b"])[1] == (
        b'Bearer realm="apigw", error="insufficient_scope", error_description="More is needed.", scope="a b"'
    )
    assert challenge("invalid_token", 'a "quote"\r\nX: y')[1] == b'Bearer realm="apigw", error="invalid_token"'


def test_one_of_several_is_enough_and_none_wanted_too() -> None:
    assert not lacks((), frozenset())
    assert not lacks(("b",), frozenset("ab"))
    assert lacks(("c",), frozenset("ab"))
