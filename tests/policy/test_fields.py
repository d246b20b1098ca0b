"""Fields: what travels on, and what a client can't make travel or vanish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.fields import (
    DIVERTING,
    HOP_BY_HOP,
    IDENTITY,
    PROTECTED,
    REQUEST_DROPPED,
    RESPONSE_DROPPED,
    nominated,
    request_fields,
    response_fields,
)

NAMES = st.sampled_from(
    sorted(REQUEST_DROPPED | RESPONSE_DROPPED | PROTECTED | {b"x-user-id", b"x-forwarded-port", b"accept", b"x-a"})
)
SEPARATORS = "!#$%&'*+.^_`|~-"


@st.composite
def spelled(draw: st.DrawFn) -> bytes:
    """A name as a client may write it: any case, and anything for its hyphens."""
    name = draw(NAMES).decode()
    return "".join(
        draw(st.sampled_from(SEPARATORS)) if c == "-" else draw(st.sampled_from((c, c.upper()))) for c in name
    ).encode()


FIELDS = st.lists(st.tuples(st.one_of(NAMES, spelled()), st.binary(max_size=4)), max_size=12)


def cgi_variable(name: bytes) -> str:
    """What becomes of a name under CGI (RFC 3875 section 4.1.18), at its laxest."""
    return "".join(c if c.isalnum() else "_" for c in name.decode("ascii")).upper()


@pytest.mark.parametrize(
    "name",
    [
        *(b"Connection Keep-Alive Proxy-Connection Proxy-Authenticate Proxy-Authorization TE".split()),
        *(b"Transfer-Encoding Upgrade HTTP2-Settings Host Via Content-Length".split()),
        *(b"X-User-Id X-User-Role X-User-Id-Timestamp X-User-Id-Signature X-Gateway-Service".split()),
        *(b"X-Request-Id X-Correlation-Id X-Original-Path X-Api-Version X-Timeout-Remaining".split()),
        *(b"X-Retry-Count X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host X-Forwarded-Port".split()),
        *(b"X-Forwarded-Prefix X-Real-IP Forwarded Proxy X-Original-URL X-Rewrite-URL".split()),
        *(b"x-user-id X-USER-ID X_User_Id x_forwarded_for X.User.Id X_User-Role Content_Length".split()),
    ],
)
def test_a_request_loses(name: bytes) -> None:
    assert request_fields([(b"A", b"1"), (name, b"x"), (b"B", b"2")]) == [(b"A", b"1"), (b"B", b"2")]


@pytest.mark.parametrize(
    "name",
    [
        *(b"Accept accept ACCEPT Cookie Authorization X-Custom x_custom X-User XUserId User-Id".split()),
        *(b"Trailer Traceparent X-Forwarded Proxy-Status Expect Sec-WebSocket-Key Content-Type".split()),
    ],
)
def test_a_request_keeps(name: bytes) -> None:
    assert request_fields([(name, b"x")]) == [(name, b"x")]


def test_repeated_fields_stay_apart_and_in_order() -> None:
    fields = [(b"X-A", b"1"), (b"x-a", b"2"), (b"Accept", b"*/*"), (b"X-A", b"3")]
    assert request_fields(fields) == fields
    cookies = [(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"), (b"set-cookie", b"c=3")]
    assert response_fields(cookies) == (cookies, False)


def test_connection_options_remove_the_fields_they_name() -> None:
    fields = [(b"X-Hop", b"1"), (b"Accept", b"*/*"), (b"X_Hop", b"2"), (b"X-End", b"3")]
    options = (b"keep-alive", b"x-hop", b"accept")
    assert request_fields(fields, options) == [(b"X_Hop", b"2"), (b"X-End", b"3")]
    assert response_fields(fields, options) == ([(b"X_Hop", b"2"), (b"X-End", b"3")], False)


@pytest.mark.parametrize(
    "name",
    b"Authorization Cookie Content-Type Origin Idempotency-Key Range Cache-Control If-Match X-Api-Key".split(),
)
def test_connection_options_do_not_remove_what_policies_look_at(name: bytes) -> None:
    assert request_fields([(name, b"x")], (b"close", name.lower(), b"x-hop")) == [(name, b"x")]


@pytest.mark.parametrize("name", b"Set-Cookie Content-Type Cache-Control Vary WWW-Authenticate Content-Length".split())
def test_nor_what_the_answer_means(name: bytes) -> None:
    assert response_fields([(name, b"x")], (name.lower(), b"x-hop")) == ([(name, b"x")], False)


def test_nominated_names_only_what_goes() -> None:
    options = (b"close", b"keep-alive", b"upgrade", b"te", b"host", b"content-length", b"x-hop")
    assert nominated(options) == {b"x-hop"}


def test_an_answer_keeps_what_only_requests_must_not_have() -> None:
    fields = [(b"X-User-Id", b"7"), (b"Proxy", b"x"), (b"Content-Length", b"0"), (b"Proxy-Status", b"x")]
    assert response_fields(fields) == (fields, False)


@pytest.mark.parametrize("name", sorted(RESPONSE_DROPPED))
def test_an_answer_loses(name: bytes) -> None:
    assert response_fields([(name.title(), b"x"), (b"A", b"1")]) == ([(b"A", b"1")], False)


@pytest.mark.parametrize("name", (b"Date", b"date", b"DATE"))
def test_date_is_noticed(name: bytes) -> None:
    assert response_fields([(name, b"x")]) == ([(name, b"x")], True)


@given(FIELDS, st.lists(NAMES, max_size=4))
def test_what_a_service_gets_is_part_of_what_was_sent(fields: list[tuple[bytes, bytes]], options: list[bytes]) -> None:
    kept = request_fields(fields, tuple(options))
    remaining = iter(fields)
    assert all(field in remaining for field in kept)  # in order, none of them twice
    variables = {cgi_variable(name) for name, _ in kept}
    assert variables.isdisjoint(map(cgi_variable, HOP_BY_HOP | IDENTITY | DIVERTING))
    assert not any(variable.startswith(("X_USER_", "X_GATEWAY_", "X_FORWARDED_")) for variable in variables)


@given(FIELDS, st.lists(NAMES, max_size=4))
def test_an_option_takes_away_no_more_than_its_own_name(
    fields: list[tuple[bytes, bytes]], options: list[bytes]
) -> None:
    for select in (request_fields, lambda *given: response_fields(*given)[0]):
        without = select(fields)
        gone = [name.lower() for name, _ in without if name.lower() in options and name.lower() not in PROTECTED]
        assert select(fields, tuple(options)) == [field for field in without if field[0].lower() not in gone]
