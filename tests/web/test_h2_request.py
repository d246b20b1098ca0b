"""Heads of HTTP/2, held to what HTTP/1.1 is held to."""

from __future__ import annotations

import pytest

from apigw.http1.errors import BadMessage
from apigw.http1.fields import is_token
from apigw.http1.head import HeadLimits
from apigw.web.h2_request import read_head, read_trailers

LIMITS = HeadLimits(size=1000, line=100, fields=5)
LEAST = {b":method": b"GET", b":scheme": b"https", b":authority": b"gw", b":path": b"/a?b"}

Fields = list[tuple[bytes, bytes]]


def having(*more: tuple[bytes, bytes], **pseudo: bytes | None) -> Fields:
    """The least head with other pseudo-header fields (None for none), and more fields."""
    changed = LEAST | {b":" + name.encode(): value for name, value in pseudo.items()}
    return [*((name, value) for name, value in changed.items() if value is not None), *more]


def refused(fields: Fields) -> tuple[int, str]:
    with pytest.raises(BadMessage) as raised:
        read_head(fields, LIMITS)
    return raised.value.status, raised.value.code


def test_the_least():
    head = read_head(having(), LIMITS)
    assert (head.method, head.path, head.authority, head.fields) == (b"GET", b"/a?b", b"gw", [])
    assert (head.content_length, head.expects) == (None, False)


def test_fields_stay_in_order_and_crumbs_are_one_cookie():
    head = read_head(having((b"cookie", b"a=1"), (b"x", b""), (b"cookie", b"b=2"), (b"te", b"Trailers")), LIMITS)
    assert head.fields == [(b"cookie", b"a=1; b=2"), (b"x", b""), (b"te", b"Trailers")]


def test_names_are_tokens_in_lower_case():
    for byte in range(256):
        name = b"a" + bytes([byte])
        if is_token(name) and name == name.lower():
            assert read_head(having((name, b"")), LIMITS).fields == [(name, b"")]
        else:
            assert refused(having((name, b""))) == (400, "bad-field-name")


def test_host_stands_in_for_the_authority():
    head = read_head(having((b"host", b"a.example"), authority=None), LIMITS)
    assert head.authority == b"a.example"
    assert read_head(having((b"host", b"GW")), LIMITS).authority == b"gw"


def test_other_targets():
    assert read_head(having(method=b"OPTIONS", path=b"*"), LIMITS).path == b"*"
    head = read_head(having(method=b"CONNECT", scheme=None, path=None, authority=b"a:80"), LIMITS)
    assert (head.target, head.authority) == (b"a:80", b"a:80")


def test_another_protocol_on_a_stream_is_declined():
    told = having((b":protocol", b"websocket"), method=b"CONNECT")
    assert refused(told) == (501, "extended-connect")


def test_a_length_and_an_expectation():
    head = read_head(having((b"content-length", b"12"), (b"expect", b"100-Continue"), method=b"POST"), LIMITS)
    assert (head.content_length, head.expects) == (12, True)


@pytest.mark.parametrize(
    ("pseudo", "code"),
    [
        ({"method": None}, "bad-method"),
        ({"method": b""}, "bad-method"),
        ({"method": b"G T"}, "bad-method"),
        ({"method": b"GET / HTTP/1.1\r\nx:"}, "bad-method"),
        ({"scheme": None}, "bad-target"),
        ({"scheme": b"ftp"}, "bad-target"),
        ({"path": None}, "bad-target"),
        ({"path": b""}, "bad-target"),
        ({"path": b"a"}, "bad-target"),
        ({"path": b"http://other/"}, "bad-target"),
        ({"path": b"/a b"}, "bad-target"),
        ({"path": b"/a#b"}, "bad-target"),
        ({"path": b"/\r\nx: y"}, "bad-target"),
        ({"path": b"/\xe4"}, "bad-target"),
        ({"path": b"*"}, "bad-target"),
        ({"path": b"*a", "method": b"OPTIONS"}, "bad-target"),
        ({"authority": None}, "missing-host"),
        ({"authority": b""}, "missing-host"),
        ({"authority": b"a b"}, "bad-host"),
        ({"authority": b"user@gw"}, "bad-host"),
        ({"authority": b"a,b"}, "bad-host"),
        ({"authority": b"gw\r\nx: y"}, "bad-host"),
        ({"status": b"200"}, "bad-pseudo-field"),
        ({"protocol": b"websocket"}, "bad-pseudo-field"),
        ({"method": b"CONNECT"}, "bad-pseudo-field"),
        ({"method": b"CONNECT", "scheme": None, "path": None, "authority": b"a"}, "bad-target"),
    ],
)
def test_what_the_pseudo_fields_may_not_be(pseudo, code):
    assert refused(having(**pseudo)) == (400, code)


@pytest.mark.parametrize(
    ("field", "status", "code"),
    [
        ((b"connection", b"close"), 400, "connection-field"),
        ((b"keep-alive", b"1"), 400, "connection-field"),
        ((b"proxy-connection", b"close"), 400, "connection-field"),
        ((b"transfer-encoding", b"chunked"), 400, "connection-field"),
        ((b"upgrade", b"h2c"), 400, "connection-field"),
        ((b"te", b"gzip"), 400, "bad-te"),
        ((b"host", b"other"), 400, "conflicting-host"),
        ((b"X-Upper", b""), 400, "bad-field-name"),
        ((b"", b""), 400, "bad-field-name"),
        ((b"a b", b""), 400, "bad-field-name"),
        ((b"a:", b""), 400, "bad-field-name"),
        ((b"a", b"b\r\nc: d"), 400, "control-character"),
        ((b"a", b"\0"), 400, "control-character"),
        ((b"a", b" b"), 400, "control-character"),
        ((b":path", b"/"), 400, "bad-pseudo-field"),
        ((b"content-length", b"-1"), 400, "bad-content-length"),
        ((b"expect", b"a miracle"), 417, "unknown-expectation"),
    ],
)
def test_what_fields_may_not_be(field, status, code):
    assert refused(having(field)) == (status, code)


def test_fields_that_contradict_each_other():
    assert refused(having((b"content-length", b"1"), (b"content-length", b"2"))) == (400, "bad-content-length")
    assert refused(having((b"host", b"gw"), (b"host", b"gw"))) == (400, "conflicting-host")


def test_pseudo_fields_come_first_and_once():
    assert refused([(b"a", b"b"), *having()]) == (400, "bad-pseudo-field")
    assert refused([(b"cookie", b"b"), *having()]) == (400, "bad-pseudo-field")
    assert refused([*having(), *having()]) == (400, "bad-pseudo-field")


def test_limits():
    assert refused(having((b"a", b"b" * 1000))) == (431, "head-too-large")
    assert refused(having(*[(b"a", b"")] * 6)) == (431, "too-many-fields")
    assert refused(having(*[(b"cookie", b"")] * 6)) == (431, "too-many-fields")
    assert refused(having(path=b"/" * 101)) == (414, "line-too-long")
    assert refused(having(method=b"A" * 33)) == (501, "unknown-method")


def test_trailers():
    assert read_trailers([(b"x-sum", b"1"), (b"host", b"evil"), (b"cookie", b"a")], LIMITS) == [(b"x-sum", b"1")]
    for fields in (
        [(b":path", b"/")],
        [(b"content-length", b"1")],
        [(b"transfer-encoding", b"chunked")],
        [(b"X", b"")],
        [(b"x", b"\n")],
    ):
        with pytest.raises(BadMessage) as raised:
            read_trailers(fields, LIMITS)
        assert raised.value.status == 400
    with pytest.raises(BadMessage) as raised:
        read_trailers([(b"x", b"")] * 6, LIMITS)
    assert raised.value.status == 431
