"""Tests of apigw.http1.request: RFC 9112 sections 3, 6, 9 and RFC 9110 sections 2.5, 4.2, 7.2, 7.8, 10.1.1."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.http1.errors import BadMessage
from apigw.http1.head import HeadLimits, find_head
from apigw.http1.request import (
    MAX_METHOD,
    RequestHead,
    follow_request_head,
    parse_request_head,
    serialize_request_head,
)

from .strategies import REQUESTS, damaged, plain_fields, tokens


def head(line: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join((line, *fields, b"", b""))


def parse(line: bytes, *fields: bytes) -> RequestHead:
    return parse_request_head(head(line, *fields))


TOLD = (
    *("authority", "chunked", "content_length", "expect_continue", "fields", "keep_alive", "method", "minor"),
    *("options", "path", "target", "upgrade"),
)


def told(head: RequestHead) -> dict[str, object]:
    """All that it says, for comparing."""
    return {name: getattr(head, name) for name in TOLD}


def get(*fields: bytes) -> RequestHead:
    """A GET of HTTP/1.1 with Host and those fields."""
    return parse(b"GET / HTTP/1.1", b"Host: a", *fields)


def refusal(line: bytes, *fields: bytes) -> tuple[int, str]:
    with pytest.raises(BadMessage) as caught:
        parse(line, *fields)
    return caught.value.status, caught.value.code


def test_simple_request() -> None:
    assert told(parse(b"GET /a?b HTTP/1.1", b"HOST: a.example:8080")) == {
        "method": b"GET",
        "target": b"/a?b",
        "minor": 1,
        "fields": [(b"HOST", b"a.example:8080")],
        "authority": b"a.example:8080",
        "path": b"/a?b",
        "content_length": None,
        "chunked": False,
        "keep_alive": True,
        "expect_continue": False,
        "options": (),
        "upgrade": b"",
    }


def test_everything_at_once() -> None:
    request = parse(
        b"POST http://B.example?q HTTP/1.1",
        b"host:\tb.example:80 ",
        b"Content-Length: 12",
        b"Expect: 100-Continue",
        b"X-A: 1",
        b"Connection: X-a",
        b"x-a: 2",
        b"connection: TE, close",
    )
    assert told(request) == {
        "method": b"POST",
        "target": b"http://B.example?q",
        "minor": 1,
        "fields": [
            (b"host", b"b.example:80"),
            (b"Content-Length", b"12"),
            (b"Expect", b"100-Continue"),
            (b"X-A", b"1"),
            (b"Connection", b"X-a"),
            (b"x-a", b"2"),
            (b"connection", b"TE, close"),
        ],
        "authority": b"B.example",
        "path": b"/?q",
        "content_length": 12,
        "chunked": False,
        "keep_alive": False,
        "expect_continue": True,
        "options": (b"x-a", b"te", b"close"),
        "upgrade": b"",
    }
    assert request.has_body


def test_leading_empty_line_is_ignored() -> None:
    """RFC 9112 section 2.2; but one only."""
    assert told(parse(b"\r\nGET / HTTP/1.1", b"Host: a")) == told(get())
    assert refusal(b"\r\n\r\nGET / HTTP/1.1", b"Host: a") == (400, "bad-request-line")


# -- request line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        (b"GET  / HTTP/1.1", 400, "bad-request-line"),  # one space, RFC 9112 section 3
        (b"GET /  HTTP/1.1", 400, "bad-request-line"),
        (b"GET / HTTP/1.1 ", 400, "bad-request-line"),
        (b" GET / HTTP/1.1", 400, "bad-request-line"),
        (b"GET /a b HTTP/1.1", 400, "bad-request-line"),
        (b"GET / HTTP /1.1", 400, "bad-request-line"),
        (b"GET /", 400, "bad-request-line"),
        (b"GET", 400, "bad-request-line"),
        (b"", 400, "bad-request-line"),
        (b"GET\t/ HTTP/1.1", 400, "bad-request-line"),
        (b"GET /\tHTTP/1.1", 400, "bad-request-line"),
        (b"GET / HTTP/1.1\t", 400, "bad-version"),
        (b"GET / http/1.1", 400, "bad-version"),  # the case matters, RFC 9112 section 2.3
        (b"GET / HTTP/1", 400, "bad-version"),
        (b"GET / HTTP/1.", 400, "bad-version"),
        (b"GET / HTTP/1.10", 400, "bad-version"),
        (b"GET / HTTP/01.1", 400, "bad-version"),
        (b"GET / HTTP/1.x", 400, "bad-version"),
        (b"GET / HTTP/1,1", 400, "bad-version"),
        (b"GET / HTTP/-1.1", 400, "bad-version"),
        (b"GET / HTTPS/1.1", 400, "bad-version"),
        (b"GET / ICY/1.1", 400, "bad-version"),
        (b"GET / HTTP/1.\xb2", 400, "bad-version"),
        (b"GET / HTTP/2.0", 505, "unsupported-version"),  # RFC 9110 section 15.6.6
        (b"GET / HTTP/0.9", 505, "unsupported-version"),
        (b"GET / HTTP/3.1", 505, "unsupported-version"),
        (b"PRI * HTTP/2.0", 505, "unsupported-version"),  # the preface of HTTP/2, RFC 9113 section 3.4
        (b"G\xc3\x8bT / HTTP/1.1", 400, "bad-method"),  # a token, RFC 9110 section 9.1
        (b"GET: / HTTP/1.1", 400, "bad-method"),
        (b"(GET) / HTTP/1.1", 400, "bad-method"),
        (b'"GET" / HTTP/1.1', 400, "bad-method"),
        (b"G/T / HTTP/1.1", 400, "bad-method"),
        (b"M" * (MAX_METHOD + 1) + b" / HTTP/1.1", 501, "unknown-method"),
        (b"GET / HTTP/1.1\nHost: b", 400, "bare-lf"),
        (b"GET / HTTP/1.1\rHost: b", 400, "bare-cr"),
        (b"GET /\0 HTTP/1.1", 400, "control-character"),
        (b"GET /\x7f HTTP/1.1", 400, "control-character"),
        (b"GET /\x1f HTTP/1.1", 400, "control-character"),
    ],
)
def test_refuses_request_line(line: bytes, status: int, code: str) -> None:
    assert refusal(line, b"Host: a") == (status, code)


@pytest.mark.parametrize("method", [b"get", b"PATCH", b"PROPFIND", b"M-SEARCH", b"!x|y~", b"M" * MAX_METHOD])
def test_any_token_is_a_method(method: bytes) -> None:
    assert parse(method + b" / HTTP/1.1", b"Host: a").method == method


@pytest.mark.parametrize("digit", range(2, 10))
def test_later_minor_version_is_taken_as_1_1(digit: int) -> None:
    """RFC 9110 section 2.5."""
    request = parse(b"GET / HTTP/1.%d" % digit, b"Host: a")
    assert request.minor == 1
    assert request.keep_alive
    assert refusal(b"GET / HTTP/1.%d" % digit) == (400, "missing-host")


# -- target --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        *(b"/", b"//", b"//b/c", b"/a/../b", b"/%2e%2e/%2F%00", b"/a;b=c", b"/a:b@c", b"/*", b"/http://b/"),
        *(b"/?", b"/??", b"/?a=[1]&b={2}", b"/?a|b^c`d<e>", b'/?"', b"/?a=http://b/?c", b"/%zz", b"/\\a"),
    ],
)
def test_origin_form_goes_on_byte_for_byte(target: bytes) -> None:
    request = parse(b"GET " + target + b" HTTP/1.1", b"Host: a")
    assert (request.target, request.path, request.authority) == (target, target, b"a")


@pytest.mark.parametrize(
    ("target", "authority", "path"),
    [
        (b"http://a", b"a", b"/"),
        (b"http://a/", b"a", b"/"),
        (b"http://a?b=/c", b"a", b"/?b=/c"),
        (b"http://a/b/?c", b"a", b"/b/?c"),
        (b"http://a//b", b"a", b"//b"),
        (b"HTTP://A/", b"A", b"/"),
        (b"hTTps://a/b", b"a", b"/b"),
        (b"http://a:80/", b"a:80", b"/"),
        (b"https://a:443/", b"a:443", b"/"),
        (b"http://a/@b", b"a", b"/@b"),
        (b"http://a/http://b", b"a", b"/http://b"),
    ],
)
def test_absolute_form(target: bytes, authority: bytes, path: bytes) -> None:
    """RFC 9112 section 3.2.2."""
    for fields in ((b"Host: a",), (b"Host: A", b"Accept: */*"), (b"Host: a", b"Content-Length: 1")):
        request = parse(b"GET " + target + b" HTTP/1.1", *fields)
        assert (request.target, request.authority, request.path) == (target, authority, path)
    request = parse(b"GET " + target + b" HTTP/1.0")
    assert (request.authority, request.path) == (authority, path)


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"http://a:8080/", b"a:8080"),
        (b"http://a:80/", b"a"),
        (b"http://a/", b"A:80"),
        (b"https://a/", b"a:443"),
        (b"http://[::1]/", b"[::1]:80"),
        (b"http://[::A]:90/", b"[::a]:90"),
    ],
)
def test_host_may_say_the_same_otherwise(target: bytes, host: bytes) -> None:
    assert parse(b"GET " + target + b" HTTP/1.1", b"Host: " + host).path == b"/"


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"http://a/", b"b"),
        (b"http://a/", b"a.b"),
        (b"http://a/", b"a."),
        (b"http://a/", b"a:8080"),
        (b"http://a:8080/", b"a"),
        (b"http://a/", b"a:443"),
        (b"https://a/", b"a:80"),
        (b"http://a:80/", b"a:443"),
    ],
)
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_refuses_another_host_than_the_target(target: bytes, host: bytes, version: bytes) -> None:
    assert refusal(b"GET %b %b" % (target, version), b"Host: " + host) == (400, "conflicting-host")


@pytest.mark.parametrize("method", [b"GET", b"OPTIONS", b"POST"])
@pytest.mark.parametrize(
    "target",
    [
        *(b"a", b"?", b"a/b", b"a:80", b"*a", b"/#", b"/a#b", b"#", b"/a\xc3\xa9", b"\xff", b"//a\xff"),
        *(b"ftp://a/", b"ws://a/", b"file:///a", b"http:/a", b"http:a", b"http//a", b"://a", b"urn:a:b", b"httpx://a"),
        *(b"http://", b"http:///", b"http:///a", b"http://?a", b"http://:80/", b"http://u@a/", b"http://u:p@a/"),
        *(b"http://a:/", b"http://a:0/", b"http://a:65536/", b"http://a:x/", b"http://a:80:80/", b"http://a%2fb/"),
        *(b"http://[::1/", b"http://::1/", b"http://a,b/", b"http://a\\b/", b"http://a..b/", b"http://.a/"),
    ],
)
def test_refuses_target(method: bytes, target: bytes) -> None:
    assert refusal(method + b" " + target + b" HTTP/1.1", b"Host: a") == (400, "bad-target")


def test_asterisk_is_for_options() -> None:
    """RFC 9112 section 3.2.4."""
    request = parse(b"OPTIONS * HTTP/1.1", b"Host: a")
    assert (request.target, request.path, request.authority) == (b"*", b"*", b"a")
    for method in (b"GET", b"options", b"HEAD"):
        assert refusal(method + b" * HTTP/1.1", b"Host: a") == (400, "bad-target")


def test_options_of_a_server_in_absolute_form_goes_on_as_asterisk() -> None:
    """RFC 9112 section 3.2.4."""
    assert parse(b"OPTIONS http://a:81 HTTP/1.1", b"Host: a:81").path == b"*"
    assert parse(b"OPTIONS http://a/ HTTP/1.1", b"Host: a").path == b"/"
    assert parse(b"OPTIONS http://a?b HTTP/1.1", b"Host: a").path == b"/?b"


def test_authority_form_is_for_connect() -> None:
    """RFC 9112 section 3.2.3."""
    request = parse(b"CONNECT a:443 HTTP/1.1", b"Host: A:443")
    assert (request.target, request.path, request.authority) == (b"a:443", b"a:443", b"a:443")
    assert parse(b"CONNECT [::1]:443 HTTP/1.1", b"Host: [::1]:443").authority == b"[::1]:443"
    assert parse(b"CONNECT a:443 HTTP/1.0").authority == b"a:443"
    assert refusal(b"CONNECT a:443 HTTP/1.1", b"Host: a") == (400, "conflicting-host")
    assert refusal(b"CONNECT a:443 HTTP/1.1", b"Host: b:443") == (400, "conflicting-host")
    for target in (b"/", b"a", b"a:", b"a:0", b"a:65536", b"*", b"u@a:443", b"http://a:443", b"a:443/", b"[x]:1"):
        assert refusal(b"CONNECT " + target + b" HTTP/1.1", b"Host: a:443") == (400, "bad-target")


@pytest.mark.parametrize("fields", [(), (b"Connection: keep-alive",)])
@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_nothing_follows_connect(version: bytes, fields: tuple[bytes, ...]) -> None:
    """Bytes for the tunnel may be on their way already; read as a request they would be a smuggled one."""
    assert not parse(b"CONNECT a:443 " + version, b"Host: a:443", *fields).keep_alive


# -- host ----------------------------------------------------------------------------------------------------------

HOSTS = [
    *(b"a", b"A.Example", b"a-b.c", b"_dmarc.a", b"xn--bcher-kva.example", b"a.", b"localhost", b"1.2.3.4", b"a~b"),
    *(b"a:1", b"a:80", b"a:9999", b"a:10000", b"a:59999", b"a:65535", b"1.2.3.4:80", b"-", b"a.b.c.d.e."),
    *(b"[::]", b"[::1]", b"[::1]:80", b"[2001:DB8::a]", b"[::ffff:1.2.3.4]:8080", b"[1:2:3:4:5:6:7:8]"),
]

BAD_HOSTS = [
    *(b"a b", b"a\tb", b"a, b", b"a,b", b"a/b", b"a/", b"/a", b"a?b", b"a#b", b"a\\b", b"u@a", b"u:p@a", b"@a", b"*"),
    *(b"http://a", b"a%2eb", b"a%00", b"a;b", b"a=b", b"a'b", b"a!b", b"a$b", b"(a)", b"a&b", b"a+b", b'"a"', b"<a>"),
    *(b".", b"..", b".a", b"a..b", b"a..", b"\xc3\xa9", b"\xff", b"a|b", b"a^b", b"a`b", b"{a}"),
    *(b"a:", b":80", b":", b"a:0", b"a:00", b"a:080", b"a:65536", b"a:70000", b"a:99999", b"a:100000"),
    *(b"a:-1", b"a:+80", b"a:8 0", b"a: 80", b"a:80 :", b"a:80:80", b"a:x", b"a:0x50", b"a:8_0", b"a:\xd9\xa5"),
    *(b"::1", b"1::", b"[]", b"[::1", b"::1]", b"[[::1]]", b"[::1]a", b"[::1]:", b"[::1]:0", b"a[::1]", b"[::g]"),
    *(b"[::1%eth0]", b"[::1%25eth0]", b"[v1.a]", b"[1.2.3.4]", b"[:::]", b"[1:2:3:4:5:6:7:8:9]", b"[::12345]"),
    *(b"[::1.2.3.256]", b"[::01.2.3.4]", b"[::1]]:80", b"[" + b":" * 5000 + b"]"),
]


@pytest.mark.parametrize("host", HOSTS)
def test_host(host: bytes) -> None:
    """RFC 9110 section 7.2, RFC 3986 section 3.2.2."""
    for version in (b"HTTP/1.1", b"HTTP/1.0"):
        assert parse(b"GET / " + version, b"Host: " + host).authority == host
    assert parse(b"GET http://%b/ HTTP/1.1" % host, b"Host: " + host).authority == host


@pytest.mark.parametrize("host", BAD_HOSTS)
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_refuses_host(host: bytes, version: bytes) -> None:
    """RFC 9112 section 3.2: "MUST respond with a 400"."""
    assert refusal(b"GET / " + version, b"Host: " + host) == (400, "bad-host")
    assert refusal(b"GET http://a/ " + version, b"Host: " + host) == (400, "bad-host")


def test_host_must_be_there_once() -> None:
    """RFC 9112 section 3.2."""
    line = b"GET / HTTP/1.1"
    assert refusal(line) == (400, "missing-host")
    assert refusal(line, b"Host:") == (400, "missing-host")
    assert refusal(line, b"Hosts: a", b"X-Host: a") == (400, "missing-host")
    assert refusal(b"GET http://a/ HTTP/1.1") == (400, "missing-host")
    for second in (b"Host: a", b"host: b", b"HOST:"):
        assert refusal(line, b"Host: a", second) == (400, "bad-host")
        assert refusal(line, b"Host: a", b"Accept: */*", second) == (400, "bad-host")
        assert refusal(b"GET / HTTP/1.0", b"Host: a", second) == (400, "bad-host")
    assert refusal(line, b"Host:", b"Host:") == (400, "bad-host")


def test_http10_needs_no_host() -> None:
    request = parse(b"GET / HTTP/1.0")
    assert (request.authority, request.minor, request.keep_alive) == (b"", 0, False)
    assert refusal(b"GET / HTTP/1.0", b"Host:") == (400, "missing-host")


# -- framing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "length", "chunked", "has_body"),
    [
        ((), None, False, False),
        ((b"Content-Length: 0",), 0, False, False),
        ((b"content-length: 7",), 7, False, True),
        ((b"Transfer-Encoding: chunked",), None, True, True),
        ((b"TRANSFER-ENCODING:\t Chunked \t",), None, True, True),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"POST", b"OPTIONS"])
def test_framing(method: bytes, fields: tuple[bytes, ...], length: int | None, chunked: bool, has_body: bool) -> None:
    """RFC 9112 section 6.3: what frames a request are its fields, never its method."""
    request = parse(method + b" / HTTP/1.1", b"Host: a", *fields)
    assert (request.content_length, request.chunked, request.has_body) == (length, chunked, has_body)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ((b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400, "conflicting-framing"),
        ((b"Transfer-Encoding: chunked", b"Content-Length: 0"), 400, "conflicting-framing"),
        ((b"Transfer-Encoding: identity", b"Content-Length: 5"), 400, "conflicting-framing"),
        ((b"Content-Length: 5", b"Content-Length: 5"), 400, "bad-content-length"),
        ((b"Content-Length: 5", b"content-length: 6"), 400, "bad-content-length"),
        ((b"Content-Length:", b"content-length: 6"), 400, "bad-content-length"),
        ((b"Content-Length: 5, 5",), 400, "bad-content-length"),
        ((b"Content-Length: +5",), 400, "bad-content-length"),
        ((b"Content-Length:",), 400, "bad-content-length"),
        ((b"Content-Length: " + b"9" * 5000,), 400, "bad-content-length"),
        ((b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400, "bad-transfer-encoding"),
        ((b"Transfer-Encoding: chunked", b"Transfer-Encoding:"), 400, "bad-transfer-encoding"),
        ((b"Transfer-Encoding:", b"Transfer-Encoding: chunked"), 400, "bad-transfer-encoding"),
        ((b"Transfer-Encoding: chunked", b"transfer-encoding: identity"), 400, "bad-transfer-encoding"),
        ((b"Transfer-Encoding: gzip", b"transfer-encoding: chunked"), 501, "unknown-transfer-coding"),
        ((b"Transfer-Encoding: xchunked",), 501, "unknown-transfer-coding"),
        ((b"Transfer-Encoding : chunked",), 400, "space-before-colon"),
        ((b"Transfer-Encoding:\x0bchunked",), 400, "control-character"),
        ((b"X: y\n Transfer-Encoding: chunked",), 400, "bare-lf"),
        ((b"X: y", b" Transfer-Encoding: chunked"), 400, "obs-fold"),
    ],
)
def test_refuses_framing(fields: tuple[bytes, ...], status: int, code: str) -> None:
    assert refusal(b"POST / HTTP/1.1", b"Host: a", *fields) == (status, code)


def test_refuses_chunked_in_http10() -> None:
    """RFC 9112 section 6.1."""
    assert refusal(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked") == (400, "transfer-encoding-in-http10")
    assert parse(b"POST / HTTP/1.0", b"Content-Length: 3").content_length == 3


@pytest.mark.parametrize("line", [b"CONNECT a:1 HTTP/1.1", b"TRACE / HTTP/1.1"])
def test_methods_without_a_body(line: bytes) -> None:
    """RFC 9110 sections 9.3.6, 9.3.8."""
    host = b"Host: a:1"
    assert refusal(line, host, b"Content-Length: 1") == (400, "unexpected-body")
    assert refusal(line, host, b"Transfer-Encoding: chunked") == (400, "unexpected-body")
    assert not parse(line, host, b"Content-Length: 0").has_body


# -- connection, expectation, upgrade ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "fields", "options", "keep_alive"),
    [
        (b"HTTP/1.1", (), (), True),
        (b"HTTP/1.1", (b"Connection: close",), (b"close",), False),
        (b"HTTP/1.1", (b"Connection: CLOSE",), (b"close",), False),
        (b"HTTP/1.1", (b"Connection: a, Close ,b",), (b"a", b"close", b"b"), False),
        (b"HTTP/1.1", (b"Connection: keep-alive", b"Connection: close"), (b"keep-alive", b"close"), False),
        (b"HTTP/1.1", (b"Proxy-Connection: close",), (), True),
        (b"HTTP/1.0", (), (), False),
        (b"HTTP/1.0", (b"Connection: Keep-Alive",), (b"keep-alive",), True),
        (b"HTTP/1.0", (b"Connection: keep-alive, close",), (b"keep-alive", b"close"), False),
        (b"HTTP/1.0", (b"Keep-Alive: 5",), (), False),
    ],
)
def test_connection(version: bytes, fields: tuple[bytes, ...], options: tuple[bytes, ...], keep_alive: bool) -> None:
    """RFC 9112 section 9.3."""
    request = parse(b"GET / " + version, b"Host: a", *fields)
    assert (request.options, request.keep_alive) == (options, keep_alive)


def test_refuses_a_connection_option_that_is_no_token() -> None:
    assert refusal(b"GET / HTTP/1.1", b"Host: a", b"Connection: a b") == (400, "bad-connection")


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue", b"100-CONTINUE"])
def test_expectation(value: bytes) -> None:
    """RFC 9110 section 10.1.1: a server may leave out the 100 where no content is to come, or for HTTP/1.0."""
    expect = b"Expect: " + value
    assert get(expect, b"Content-Length: 1").expect_continue
    assert get(expect, b"Transfer-Encoding: chunked").expect_continue
    assert not get(expect).expect_continue
    assert not get(expect, b"Content-Length: 0").expect_continue
    assert not parse(b"POST / HTTP/1.0", expect, b"Content-Length: 1").expect_continue


@pytest.mark.parametrize("value", [b"", b"x", b"100-continue, x", b"100-continue=1", b"100 continue", b"200-ok"])
def test_refuses_expectation(value: bytes) -> None:
    expect = b"Expect: " + value
    assert refusal(b"POST / HTTP/1.1", b"Host: a", expect, b"Content-Length: 1") == (417, "unknown-expectation")
    assert refusal(b"GET / HTTP/1.1", b"Host: a", expect) == (417, "unknown-expectation")
    assert parse(b"GET / HTTP/1.0", expect).expect_continue is False


def test_refuses_a_repeated_expectation() -> None:
    expect = b"Expect: 100-continue"
    assert refusal(b"GET / HTTP/1.1", b"Host: a", expect, expect) == (417, "unknown-expectation")


def test_upgrade() -> None:
    """RFC 9110 section 7.8."""
    assert get(b"Connection: Upgrade", b"Upgrade: websocket").upgrade == b"websocket"
    assert get(b"upgrade: a/1", b"Upgrade: b", b"Connection: x, upgrade").upgrade == b"a/1, b"
    assert get(b"Upgrade: websocket").upgrade == b""
    assert get(b"Connection: close", b"Upgrade: websocket").upgrade == b""
    assert get(b"Connection: upgrade").upgrade == b""
    old = parse(b"GET / HTTP/1.0", b"Connection: upgrade", b"Upgrade: websocket")
    assert (old.upgrade, old.options) == (b"", (b"upgrade",))


@pytest.mark.parametrize("framing", [b"Content-Length: 1", b"Transfer-Encoding: chunked"])
def test_no_upgrade_where_a_body_follows(framing: bytes) -> None:
    request = get(b"Connection: upgrade", b"Upgrade: websocket", framing)
    assert (request.upgrade, request.has_body) == (b"", True)


# -- any input -----------------------------------------------------------------------------------------------------

STATUSES = (400, 414, 417, 431, 501, 505)


@given(st.binary(max_size=200), st.sampled_from((b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n")))
def test_any_bytes_are_parsed_or_refused(wire: bytes, before: bytes) -> None:
    try:
        parse_request_head(before + wire)
    except BadMessage as error:
        assert error.status in STATUSES


@given(damaged(REQUESTS))
def test_damaged_requests_are_parsed_or_refused(wire: bytes) -> None:
    """Nothing but BadMessage is raised, and what is taken comes back the same when it is sent on."""
    try:
        end = find_head(wire, HeadLimits())
        if end < 0:
            return
        request = parse_request_head(wire[:end])
    except BadMessage as error:
        assert error.status in STATUSES
        return
    if request.minor:
        again = serialize_request_head(request.method, request.target, request.fields)
        assert told(parse_request_head(again)) == told(request)


@given(damaged(REQUESTS), damaged(REQUESTS), st.booleans(), st.binary(max_size=20))
def test_to_follow_an_earlier_request_makes_no_difference(
    first: bytes, second: bytes, same_fields: bool, after: bytes
) -> None:
    if same_fields:
        second = second.partition(b"\r\n")[0] + b"\r\n" + first.partition(b"\r\n")[2] + after

    def read(wire: bytes) -> tuple[RequestHead, int] | None:
        try:
            end = find_head(wire, HeadLimits())
            return (parse_request_head(wire[:end]), end) if end >= 0 else None
        except BadMessage:
            return None

    before = read(first)
    if before is not None:
        head, _ = before
        unchanged = told(head)
        end = follow_request_head(second, head, HeadLimits())
        if end < 0:
            assert told(head) == unchanged
        else:
            parsed = read(second)
            assert parsed is not None
            assert (told(head), end) == (told(parsed[0]), parsed[1])


def test_same_field_lines_are_parsed_once() -> None:
    head_a = get(b"Accept: */*")
    fields, block = head_a.fields, head_a.block
    wire = head(b"POST /b?c HTTP/1.1", b"Host: a", b"Accept: */*")
    assert follow_request_head(wire + b"body", head_a, HeadLimits()) == len(wire)
    assert (head_a.method, head_a.target, head_a.path) == (b"POST", b"/b?c", b"/b?c")
    assert head_a.fields is fields
    assert head_a.block is block


@pytest.mark.parametrize(
    "wire",
    [
        head(b"GET /b HTTP/1.1", b"Host: a", b"Accept: *"),
        head(b"GET /b HTTP/1.0", b"Host: a", b"Accept: */*"),
        head(b"CONNECT /b HTTP/1.1", b"Host: a", b"Accept: */*"),
        head(b"TRACE /b HTTP/1.1", b"Host: a", b"Accept: */*"),
        head(b"GET http://b/b HTTP/1.1", b"Host: a", b"Accept: */*"),
        head(b"OPTIONS * HTTP/1.1", b"Host: a", b"Accept: */*"),
        head(b"GET /" + b"b" * 100 + b" HTTP/1.1", b"Host: a", b"Accept: */*"),
        head(b"GET /b HTTP/1.1", b"Host: a", b"Accept: */*")[:-1],
        b"GET /b",
    ],
)
def test_what_differs_is_parsed(wire: bytes) -> None:
    before = get(b"Accept: */*")
    unchanged = told(before)
    assert follow_request_head(wire, before, HeadLimits(line=64)) == -1
    assert told(before) == unchanged


def test_a_head_that_follows_is_no_larger_than_allowed() -> None:
    wire = head(b"GET /b HTTP/1.1", b"Host: a", b"Accept: */*")
    assert follow_request_head(wire, get(b"Accept: */*"), HeadLimits(size=len(wire) - 1)) == -1
    assert follow_request_head(wire, get(b"Accept: */*"), HeadLimits(size=len(wire))) == len(wire)


targets = st.lists(st.sampled_from([0x21, 0x22, *range(0x24, 0x7F)]), max_size=40).map(lambda text: b"/" + bytes(text))


@given(tokens.filter(lambda method: method != b"CONNECT"), targets, plain_fields)
def test_comes_back_as_it_was(method: bytes, target: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    fields = [*fields, (b"Host", b"a")]
    request = parse_request_head(serialize_request_head(method, target, fields))
    assert (request.method, request.target, request.fields) == (method, target, fields)
    assert (request.minor, request.path, request.authority, request.has_body) == (1, target, b"a", False)


@pytest.mark.parametrize(
    "line",
    [
        b"GET " + b"/" * 500_000 + b"\xff HTTP/1.1",
        b"G" * 500_000,
        b"GET http://" + b"a." * 250_000 + b"! HTTP/1.1",
        b"GET http://" + b"a" * 500_000 + b"! HTTP/1.1",
        b"GET / HTTP/1.1\r\nHost: " + b"a." * 250_000 + b"!",
        b"GET / HTTP/1.1\r\nHost: " + b"a" * 500_000 + b"!",
        b"GET / HTTP/1.1\r\nHost: [" + b":1" * 250_000 + b"]",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: " + b"a," * 250_000 + b";",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: " + b"a," * 250_000 + b"a",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 500_000,
    ],
)
def test_takes_linear_time(line: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(BadMessage):
        parse(line, b"Accept: */*")
    assert time.process_time() - begun < 2


# -- serialising ---------------------------------------------------------------------------------------------------


def test_serialises() -> None:
    fields = [(b"Host", b"a"), (b"X-b", b"")]
    assert serialize_request_head(b"GET", b"/a?b", fields) == b"GET /a?b HTTP/1.1\r\nHost: a\r\nX-b: \r\n\r\n"
    assert serialize_request_head(b"GET", b"/", iter([])) == b"GET / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize("target", [b"", b" ", b"/a b", b"/ ", b" /", b"/\r\n", b"/\ta", b"/\x0b", b"/\0", b"/\x7f"])
def test_refuses_to_serialise_target(target: bytes) -> None:
    with pytest.raises(ValueError, match=r"target|control"):
        serialize_request_head(b"GET", target, [])


@pytest.mark.parametrize("field", [(b"a", b"b\r\nc: d"), (b"a\r\nb", b"c"), (b"a", b"b\n"), (b"a", b"\0")])
def test_refuses_to_serialise_injection(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="control"):
        serialize_request_head(b"GET", b"/", [(b"Host", b"a"), field])
    with pytest.raises(ValueError, match="control"):
        serialize_request_head(b"GET / HTTP/1.1\r\nA:", b"/", [])
