"""Redaction: what of a request reaches a log."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.redact import (
    MAX_LOGGED,
    SECRET_FIELDS,
    credentials,
    full,
    is_secret,
    log_text,
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


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        ("Authorization: Custom abc def", "Authorization: *"),
        ("Set-Cookie: a=b; Path=/\nnext", "Set-Cookie: *\nnext"),
        ("{'cookie': 'a=b; c=d', 'x': 1}", "{'cookie': '*', 'x': 1}"),
        ("[(b'Cookie', b'sid=1'), (b'X', b'y')]", "[(b'Cookie', b'*'), (b'X', b'y')]"),
        ('{"client_secret":"a\\"b","a":1}', '{"client_secret":"*","a":1}'),
        ('accessToken: "a b" rest', 'accessToken: "*" rest'),
        ("token='not closed", "token=*"),
        ("token=abc&x=1", "token=*&x=1"),
        ("password: hunter2, ok", "password: *, ok"),
        ("GET /x?api_key=abc HTTP", "GET /x?api_key=* HTTP"),
        ("https://u:p@ss@h/x?y=1#z", "https://u:*@h/x?*#z"),
        ("redis://:pw@h:1/0", "redis://:*@h:1/0"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nok", "*\nok"),
        ("-----BEGIN PRIVATE KEY-----\nabc", "*"),
        (f"of {JWT.decode()}, Bearer abcdefghi", "of *, Bearer *"),
        ("[admin] token_env: APIGW is not set", "[admin] token_env: APIGW is not set"),
        ("the token is expired, 3 keys", "the token is expired, 3 keys"),
        ("[listener:public] IPv4Address(type='TCP')", "[listener:public] IPv4Address(type='TCP')"),
        ("key: aaa", "key: aaa"),
    ],
)
def test_secrets_of_a_text_are_replaced(text: str, logged: str) -> None:
    assert log_text(text) == logged
    assert log_text(logged) == logged


@pytest.mark.parametrize("name", ["password", "db_passwd", "X-Api-Key", "set_cookie", "accessToken", "private_key"])
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["key", "keys", "count", "url", "name", "passed", "log_format"])
def test_names_of_other_things(name: str) -> None:
    assert not is_secret(name)


@given(st.text(max_size=40), st.sampled_from(["token", "Cookie", "password"]), st.sampled_from(["=", ": ", "': '"]))
def test_a_value_after_a_secret_name_is_gone(before: str, name: str, between: str) -> None:
    assert "hunter2" not in log_text(f"{before}{name}{between}hunter2")


@pytest.mark.parametrize(
    "bad", ["token='", "://", "http://", "-----BEGIN PRIVATE KEY-----", "://a:", "eyJ", 'token"    ', "://a:b@"]
)
def test_no_text_takes_long(bad: str) -> None:
    text = bad * (65536 // len(bad))
    begun = process_time()
    log_text(text)
    assert process_time() - begun < 1.0
