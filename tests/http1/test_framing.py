"""Tests of apigw.http1.framing: RFC 9110 sections 7.6.1, 8.6 and RFC 9112 sections 6, 9.3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.http1.errors import BadMessage
from apigw.http1.framing import parse_connection, parse_content_length, parse_framing, persists


@pytest.mark.parametrize(
    ("value", "length"),
    [(b"0", 0), (b"5", 5), (b"005", 5), (b"9223372036854775807", 2**63 - 1), (b"0000000000000000001", 1)],
)
def test_content_length(value: bytes, length: int) -> None:
    assert parse_content_length(value, 400) == length


BAD_LENGTHS = [
    *(b"", b" ", b"+5", b"-5", b"-0", b"5_0", b"5_", b"0x5", b"5.0", b"5e1", b"5 0", b" 5", b"5 ", b"a"),
    *(b"5, 5", b"5,5", b"5, 6", b"5,", b",5", b'"5"', b"5;", b"5\n", b"\xef\xbc\x95", b"\xb2", b"\xd9\xa5"),
    *(b"9223372036854775808", b"18446744073709551616", b"00000000000000000005", b"9" * 5000),
]


@pytest.mark.parametrize("value", BAD_LENGTHS)
@pytest.mark.parametrize("status", [400, 502])
def test_refuses_content_length(value: bytes, status: int) -> None:
    with pytest.raises(BadMessage) as caught:
        parse_content_length(value, status)
    assert (caught.value.status, caught.value.code) == (status, "bad-content-length")


@given(st.binary(max_size=25))
def test_content_length_is_digits_or_refused(value: bytes) -> None:
    try:
        length = parse_content_length(value, 400)
    except BadMessage:
        return
    assert set(value) <= set(b"0123456789")
    assert b"%d" % length == (value.lstrip(b"0") or b"0")


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED"])
def test_chunked(value: bytes) -> None:
    assert parse_framing({b"transfer-encoding": value}, 1, 400) == (None, True)


def test_without_framing_fields() -> None:
    assert parse_framing({}, 1, 400) == (None, False)
    assert parse_framing({b"content-length": b"7"}, 0, 400) == (7, False)


REFUSED = [
    # RFC 9112 section 6.1: chunked, once, and last
    (b"", 400, "bad-transfer-encoding"),
    (b"chunked, chunked", 400, "bad-transfer-encoding"),
    (b"chunked,chunked", 400, "bad-transfer-encoding"),
    (b"chunked, gzip", 400, "bad-transfer-encoding"),
    (b"chunked, ", 400, "bad-transfer-encoding"),
    (b", chunked", 400, "bad-transfer-encoding"),
    (b"chunked;q=1", 400, "bad-transfer-encoding"),
    (b"chunked ;a", 400, "bad-transfer-encoding"),
    (b'"chunked"', 400, "bad-transfer-encoding"),
    (b"gzip chunked", 400, "bad-transfer-encoding"),
    (b"identity", 400, "bad-transfer-encoding"),
    (b"identity, chunked", 400, "bad-transfer-encoding"),
    (b"Identity", 400, "bad-transfer-encoding"),
    (b"\xc3\xa7hunked", 400, "bad-transfer-encoding"),
    # codings that we don't know get 501, RFC 9112 section 6.1
    (b"gzip", 501, "unknown-transfer-coding"),
    (b"gzip, chunked", 501, "unknown-transfer-coding"),
    (b"xchunked", 501, "unknown-transfer-coding"),
    (b"chunke", 501, "unknown-transfer-coding"),
]


@pytest.mark.parametrize(("value", "status", "code"), REFUSED)
def test_refuses_transfer_encoding(value: bytes, status: int, code: str) -> None:
    with pytest.raises(BadMessage) as caught:
        parse_framing({b"transfer-encoding": value}, 1, 400)
    assert (caught.value.status, caught.value.code) == (status, code)
    with pytest.raises(BadMessage) as caught:
        parse_framing({b"transfer-encoding": value}, 1, 502)
    assert (caught.value.status, caught.value.code) == (502, code)


@pytest.mark.parametrize("length", [b"0", b"5", b"", b"x"])
@pytest.mark.parametrize("coding", [b"chunked", b"identity", b""])
@pytest.mark.parametrize("minor", [0, 1])
def test_refuses_both(length: bytes, coding: bytes, minor: int) -> None:
    """RFC 9112 section 6.3: "ought to be handled as an error"."""
    with pytest.raises(BadMessage) as caught:
        parse_framing({b"transfer-encoding": coding, b"content-length": length}, minor, 400)
    assert (caught.value.status, caught.value.code) == (400, "conflicting-framing")


def test_refuses_transfer_encoding_in_http10() -> None:
    """RFC 9112 section 6.1: "MUST treat the message as if the framing is faulty"."""
    with pytest.raises(BadMessage) as caught:
        parse_framing({b"transfer-encoding": b"chunked"}, 0, 400)
    assert caught.value.code == "transfer-encoding-in-http10"


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (b"close", (b"close",)),
        (b"Keep-Alive", (b"keep-alive",)),
        (b"KEEP-alive", (b"keep-alive",)),
        (b"keep-alive, Upgrade", (b"keep-alive", b"upgrade")),
        (b"a,b ,\tc", (b"a", b"b", b"c")),
        (b"", ()),
        (b", ,a,", (b"a",)),
    ],
)
def test_connection(value: bytes, options: tuple[bytes, ...]) -> None:
    assert parse_connection(value, 400) == options


@pytest.mark.parametrize("value", [b"close;q=1", b"a b", b'"close"', b"close=1", b"\xff", b"a/b"])
@pytest.mark.parametrize("status", [400, 502])
def test_refuses_connection(value: bytes, status: int) -> None:
    with pytest.raises(BadMessage) as caught:
        parse_connection(value, status)
    assert (caught.value.status, caught.value.code) == (status, "bad-connection")


@pytest.mark.parametrize(
    ("minor", "options", "expected"),
    [
        (1, (), True),
        (1, (b"keep-alive",), True),
        (1, (b"upgrade",), True),
        (1, (b"close",), False),
        (1, (b"keep-alive", b"close"), False),
        (0, (), False),
        (0, (b"upgrade",), False),
        (0, (b"keep-alive",), True),
        (0, (b"close",), False),
        (0, (b"keep-alive", b"close"), False),
    ],
)
def test_persistence(minor: int, options: tuple[bytes, ...], expected: bool) -> None:
    """RFC 9112 section 9.3."""
    assert persists(minor, options) is expected
