"""Which origins may read, and what they are told."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.cors import Cors, preflight_method, same_origin

APP = b"https://app.example.com"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (APP, True),
        (b"https://a.example.org", True),
        (b"https://a-1_b.example.org", True),
        (b"http://localhost:3000", True),
        (b"https://x.example.net:8443", True),
        (b"https://[2001:db8::1]:8443", True),
        (b"http://app.example.com", False),
        (b"https://app.example.com:443", False),
        (b"https://APP.example.com", False),
        (b"https://app.example.com.evil.test", False),
        (b"https://evilapp.example.com", False),
        (b"https://app.example.com/", False),
        (b"https://example.org", False),
        (b"https://.example.org", False),
        (b"https://a.b.example.org", False),
        (b"https://a@evil.test/.example.org", False),
        (b"https://-.example.org", False),
        (b"https://evil.test#.example.org", False),
        (b"http://a.example.org", False),
        (b"https://a.example.org:444", False),
        (b"https://*.example.org", False),
        (b"https://x.example.net", False),
        (b"http://localhost", False),
        (b"null", False),
        (b"", False),
        (b"*", False),
    ],
)
def test_origins_are_exact_or_one_label_before_the_rest(origin: bytes, allowed: bool) -> None:
    cors = Cors(
        [
            "https://app.example.com",
            "https://*.example.org",
            "http://localhost:3000",
            "https://*.example.net:8443",
            "https://[2001:db8::1]:8443",
        ]
    )
    assert cors.allows(origin) is allowed
    assert bool(cors.lines(origin)) is allowed
    assert bool(cors.preflight(origin, b"PUT", b"", False)) is allowed


def test_an_allowed_origin_is_named_and_caches_are_told() -> None:
    cors = Cors(["https://app.example.com"], credentials=True, expose=["X-A", "X-B"])
    assert cors.lines(APP) == (
        b"Access-Control-Allow-Origin: https://app.example.com\r\n"
        b"Access-Control-Allow-Credentials: true\r\n"
        b"Access-Control-Expose-Headers: X-A, X-B\r\n"
    )
    assert cors.vary == b"Vary: Origin\r\n"
    assert cors.lines(b"") == b""


def test_any_origin_gets_the_same_answer_so_that_nothing_varies() -> None:
    cors = Cors(["*"], expose=())
    assert cors.lines(b"") == cors.lines(b"null") == cors.lines(APP) == b"Access-Control-Allow-Origin: *\r\n"
    assert cors.vary == b""
    assert cors.preflight_vary == b"Vary: Access-Control-Request-Method, Access-Control-Request-Headers\r\n"


def test_a_preflight_is_told_what_was_configured() -> None:
    cors = Cors(
        ["https://app.example.com"],
        credentials=True,
        methods=["GET", "PUT"],
        headers=["Authorization", "X-A"],
        max_age=7200.0,
    )
    assert cors.preflight(APP, b"DELETE", b"x-other", True) == (
        b"Access-Control-Allow-Origin: https://app.example.com\r\n"
        b"Access-Control-Allow-Credentials: true\r\n"
        b"Access-Control-Max-Age: 7200\r\n"
        b"Access-Control-Allow-Methods: GET, PUT\r\n"
        b"Access-Control-Allow-Headers: Authorization, X-A\r\n"
    )
    assert cors.preflight_vary == b"Vary: Origin\r\n"


def test_what_is_not_configured_is_what_was_asked_for_by_name_since_a_star_covers_no_authorization() -> None:
    cors = Cors(["*"])
    lines = cors.preflight(APP, b"PUT", b"authorization,x-a", False)
    assert b"\r\nAccess-Control-Allow-Methods: PUT\r\n" in lines
    assert b"\r\nAccess-Control-Allow-Headers: authorization,x-a\r\n" in lines


@pytest.mark.parametrize("headers", [b"", b"a b", b"a,,b", b"a;b", b'"a"', b"a\r\nSet-Cookie: x", b","])
def test_field_names_that_are_none_are_not_repeated(headers: bytes) -> None:
    assert b"Allow-Headers" not in Cors(["*"]).preflight(APP, b"PUT", headers, False)


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("configured", [True, False])
def test_private_networks_open_only_when_configured_and_asked_for(configured: bool, asked: bool) -> None:
    cors = Cors(["https://app.example.com"], private_network=configured)
    lines = cors.preflight(APP, b"GET", b"", asked)
    assert (b"Access-Control-Allow-Private-Network: true" in lines) is (configured and asked)
    assert (b"Private-Network" in cors.preflight_vary) is configured


@pytest.mark.parametrize("more", [{"origins": ["*"]}, {"origins": ["https://a.test"], "expose": ["*"]}])
def test_a_star_that_credentials_make_void_is_an_error(more: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="credentials"):
        Cors(credentials=True, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "method"),
    [
        ([(b"Origin", APP), (b"Access-Control-Request-Method", b"PUT")], b"PUT"),
        ([(b"access-control-request-method", b"PUT"), (b"origin", b"null")], b"PUT"),
        ([(b"Origin", APP)], None),
        ([(b"Access-Control-Request-Method", b"PUT")], None),
        ([(b"Origin", APP), (b"Access-Control-Request-Method", b"")], None),
        ([(b"Origin", APP), (b"Access-Control-Request-Method", b"PUT, GET")], None),
        ([], None),
    ],
)
def test_a_preflight_has_an_origin_and_a_method(fields: list[tuple[bytes, bytes]], method: bytes | None) -> None:
    assert preflight_method(fields) == method


def test_a_page_of_the_gateway_itself_is_no_other_origin() -> None:
    assert same_origin(b"https://api.example.com:8443", b"API.example.com:8443")
    assert not same_origin(b"https://api.example.com", b"api.example.com:8443")
    assert not same_origin(b"null", b"null")
    assert not same_origin(b"https://api.example.com.evil.test", b"api.example.com")
    assert not same_origin(b"null", b"")


@given(st.binary(max_size=60), st.binary(max_size=60), st.booleans())
def test_whatever_is_asked_each_line_is_one_field(origin: bytes, headers: bytes, private: bool) -> None:
    for cors in (Cors(["*"]), Cors(["https://*.a.test"], private_network=True)):
        for asked in (origin, b"https://" + origin + b".a.test"):
            lines = cors.preflight(asked, b"PUT", headers, private) + cors.lines(asked)
            assert re.fullmatch(rb"(?:[A-Za-z-]+: [!-~][ \t!-~]*\r\n)*", lines)
