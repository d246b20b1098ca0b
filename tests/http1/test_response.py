"""Tests of apigw.http1.response: RFC 9112 sections 4, 6.3, 9.3 and RFC 9110 sections 8.6, 15."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.http1.errors import BadMessage
from apigw.http1.head import HeadLimits
from apigw.http1.response import (
    CHUNKED,
    CLOSE,
    LENGTH,
    NONE,
    ResponseHead,
    find_response_head,
    parse_response_head,
    serialize_response_head,
)

from .strategies import RESPONSES, cut, damaged, field_values, plain_fields

LIMITS = HeadLimits()


def head(line: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join((line, *fields, b"", b""))


def parse(line: bytes, *fields: bytes, method: bytes = b"GET") -> ResponseHead:
    return parse_response_head(head(line, *fields), method)


TOLD = ("chunked", "content_length", "fields", "framing", "keep_alive", "minor", "options", "reason", "status")


def told(head: ResponseHead) -> dict[str, object]:
    """All that it says, for comparing."""
    return {name: getattr(head, name) for name in TOLD}


def refusal(line: bytes, *fields: bytes, method: bytes = b"GET") -> str:
    with pytest.raises(BadMessage) as caught:
        parse(line, *fields, method=method)
    assert caught.value.status == 502
    return caught.value.code


def test_everything_at_once() -> None:
    response = parse(
        b"HTTP/1.1 206 Partly there", b"ETag:  a ", b"content-Length: 5", b"Connection: X-A, Close", b"x-a:"
    )
    assert told(response) == {
        "status": 206,
        "reason": b"Partly there",
        "minor": 1,
        "fields": [(b"ETag", b"a"), (b"content-Length", b"5"), (b"Connection", b"X-A, Close"), (b"x-a", b"")],
        "content_length": 5,
        "chunked": False,
        "keep_alive": False,
        "framing": LENGTH,
        "options": (b"x-a", b"close"),
    }


# -- status line ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "minor", "status", "reason"),
    [
        (b"HTTP/1.1 200 OK", 1, 200, b"OK"),
        (b"HTTP/1.0 404 Not Found", 0, 404, b"Not Found"),
        (b"HTTP/1.1 200 ", 1, 200, b""),
        (b"HTTP/1.1 200", 1, 200, b""),  # common, and nothing hangs on it
        (b"HTTP/1.1 200  OK", 1, 200, b" OK"),
        (b"HTTP/1.1 200 caf\xc3\xa9\t\xff ", 1, 200, b"caf\xc3\xa9\t\xff "),
        (b"HTTP/1.3 599 x", 1, 599, b"x"),  # as 1.1, RFC 9110 section 2.5
    ],
)
def test_status_line(line: bytes, minor: int, status: int, reason: bytes) -> None:
    response = parse(line)
    assert (response.minor, response.status, response.reason) == (minor, status, reason)


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"200 OK", b"HTTP/1.1", b"HTTP/1.1 ", b"HTTP/1.1  200 OK", b" HTTP/1.1 200 OK", b"HTTP/1.1\t200 OK"),
        *(
            b"HTTP/2.0 200 OK",
            b"HTTP/0.9 200 OK",
            b"HTTP/1.10 200 OK",
            b"HTTP/1 200 OK",
            b"http/1.1 200 OK",
            b"ICY 200",
        ),
        *(b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 200OK", b"HTTP/1.1 20x OK", b"HTTP/1.1 +20 OK"),
        *(b"HTTP/1.1 -20 OK", b"HTTP/1.1 2_0 OK", b"HTTP/1.1 0x1 OK", b"HTTP/1.1 \xb2\xb3\xb2 OK", b"HTTP/1.1 200\tOK"),
        *(b"HTTP/1.1 000 OK", b"HTTP/1.1 099 OK", b"HTTP/1.1 600 OK", b"HTTP/1.1 999 OK"),  # RFC 9110 section 15
        *(b"\r\nHTTP/1.1 200 OK", b"GET / HTTP/1.1"),
    ],
)
def test_refuses_status_line(line: bytes) -> None:
    assert refusal(line) == "bad-status-line"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"HTTP/1.1 200 O\nK", "bare-lf"),
        (b"HTTP/1.1 200 OK\n", "bare-lf"),
        (b"HTTP/1.1 200 O\rK", "bare-cr"),
        (b"HTTP/1.1 200 OK\r", "bare-cr"),
        (b"HTTP/1.1 200 O\0K", "control-character"),
        (b"HTTP/1.1 200 O\x1bK", "control-character"),
        (b"HTTP/1.1 200 O\x7fK", "control-character"),
    ],
)
def test_refuses_bytes_in_the_status_line(line: bytes, code: str) -> None:
    assert refusal(line) == code


# -- framing -------------------------------------------------------------------------------------------------------

LENGTH_5 = b"Content-Length: 5"
CODED = b"Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("method", "status", "fields", "framing", "length", "chunked"),
    [
        # RFC 9112 section 6.3, in its order: 1. no body, whatever the fields say
        (b"HEAD", 200, (LENGTH_5,), NONE, 5, False),
        (b"HEAD", 200, (CODED,), NONE, None, True),
        (b"HEAD", 200, (), NONE, None, False),
        (b"HEAD", 404, (LENGTH_5,), NONE, 5, False),
        (b"GET", 304, (LENGTH_5,), NONE, 5, False),
        (b"GET", 304, (CODED,), NONE, None, True),
        (b"GET", 304, (), NONE, None, False),
        (b"GET", 204, (), NONE, None, False),
        (b"GET", 204, (b"Content-Length: 0",), NONE, 0, False),
        (b"GET", 100, (), NONE, None, False),
        (b"GET", 103, (b"Link: </a>",), NONE, None, False),
        (b"GET", 101, (b"Content-Length: 0",), NONE, 0, False),
        # 2. a tunnel
        (b"CONNECT", 200, (), NONE, None, False),
        (b"CONNECT", 299, (LENGTH_5,), NONE, 5, False),
        (b"CONNECT", 200, (CODED,), NONE, None, True),
        (b"CONNECT", 407, (LENGTH_5,), LENGTH, 5, False),
        (b"CONNECT", 302, (), CLOSE, None, False),
        # 4. chunks
        (b"GET", 200, (CODED,), CHUNKED, None, True),
        (b"POST", 500, (b"TRANSFER-ENCODING: CHUNKED",), CHUNKED, None, True),
        # 6. Content-Length
        (b"GET", 200, (LENGTH_5,), LENGTH, 5, False),
        (b"GET", 205, (b"Content-Length: 0",), LENGTH, 0, False),
        (b"head", 200, (LENGTH_5,), LENGTH, 5, False),
        # 8. up to the close
        (b"GET", 200, (), CLOSE, None, False),
        (b"GET", 200, (b"Connection: keep-alive",), CLOSE, None, False),
    ],
)
def test_framing(
    method: bytes, status: int, fields: tuple[bytes, ...], framing: int, length: int | None, chunked: bool
) -> None:
    response = parse(b"HTTP/1.1 %d x" % status, *fields, method=method)
    assert (response.framing, response.content_length, response.chunked) == (framing, length, chunked)


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("status", [200, 204, 304, 100])
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ((LENGTH_5, CODED), "conflicting-framing"),
        ((CODED, b"Content-Length: 0"), "conflicting-framing"),
        ((LENGTH_5, LENGTH_5), "bad-content-length"),
        ((LENGTH_5, b"content-length: 6"), "bad-content-length"),
        ((b"Content-Length: 5, 5",), "bad-content-length"),
        ((b"Content-Length: -1",), "bad-content-length"),
        ((b"Content-Length: 0x5",), "bad-content-length"),
        ((b"Content-Length:",), "bad-content-length"),
        ((CODED, CODED), "bad-transfer-encoding"),
        ((b"Transfer-Encoding: identity",), "bad-transfer-encoding"),
        ((b"Transfer-Encoding:",), "bad-transfer-encoding"),
        ((b"Transfer-Encoding: chunked;a=b",), "bad-transfer-encoding"),
        ((b"Transfer-Encoding: gzip, chunked",), "unknown-transfer-coding"),
        ((b"Transfer-Encoding: gzip",), "unknown-transfer-coding"),
        ((b"Transfer-Encoding : chunked",), "space-before-colon"),
        ((b"A: b", b" c"), "obs-fold"),
        ((b"A: b\nTransfer-Encoding: chunked",), "bare-lf"),
        ((b"Connection: a b",), "bad-connection"),
    ],
)
def test_refuses_fields(method: bytes, status: int, fields: tuple[bytes, ...], code: str) -> None:
    assert refusal(b"HTTP/1.1 %d x" % status, *fields, method=method) == code


def test_refuses_chunked_in_http10() -> None:
    """RFC 9112 section 6.1."""
    for method in (b"GET", b"HEAD"):
        assert refusal(b"HTTP/1.0 200 OK", CODED, method=method) == "transfer-encoding-in-http10"


@pytest.mark.parametrize("status", [100, 101, 103, 199, 204])
@pytest.mark.parametrize("field", [CODED, LENGTH_5])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_refuses_a_body_where_none_can_be(method: bytes, status: int, field: bytes) -> None:
    """RFC 9110 section 8.6, RFC 9112 section 6.1: "MUST NOT send"; what follows would become the next answer."""
    assert refusal(b"HTTP/1.1 %d x" % status, field, method=method) == "unexpected-body"


@pytest.mark.parametrize("status", [100, 101, 103])
def test_refuses_1xx_in_http10(status: int) -> None:
    """RFC 9110 section 15.2."""
    assert refusal(b"HTTP/1.0 %d x" % status) == "informational-in-http10"


# -- connection ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "fields", "method", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK", (LENGTH_5,), b"GET", True),
        (b"HTTP/1.1 200 OK", (CODED,), b"GET", True),
        (b"HTTP/1.1 200 OK", (), b"HEAD", True),
        (b"HTTP/1.1 204 x", (), b"GET", True),
        (b"HTTP/1.1 304 x", (), b"GET", True),
        (b"HTTP/1.1 100 x", (), b"GET", True),
        (b"HTTP/1.1 200 OK", (LENGTH_5, b"Connection: close"), b"GET", False),
        (b"HTTP/1.1 200 OK", (LENGTH_5, b"connection: A, CLOSE"), b"GET", False),
        (b"HTTP/1.1 200 OK", (CODED, b"Connection: keep-alive", b"Connection: close"), b"GET", False),
        (b"HTTP/1.1 204 x", (b"Connection: close",), b"GET", False),
        (b"HTTP/1.1 200 OK", (), b"GET", False),
        (b"HTTP/1.1 200 OK", (b"Connection: keep-alive",), b"GET", False),
        (b"HTTP/1.1 101 x", (b"Connection: upgrade", b"Upgrade: a"), b"GET", False),
        (b"HTTP/1.1 200 OK", (), b"CONNECT", False),
        (b"HTTP/1.1 200 OK", (LENGTH_5,), b"CONNECT", False),
        (b"HTTP/1.0 200 OK", (LENGTH_5,), b"GET", False),
        (b"HTTP/1.0 200 OK", (LENGTH_5, b"Connection: Keep-Alive"), b"GET", True),
        (b"HTTP/1.0 200 OK", (b"Connection: keep-alive",), b"GET", False),
        (b"HTTP/1.0 304 x", (), b"GET", False),
    ],
)
def test_reuse(line: bytes, fields: tuple[bytes, ...], method: bytes, keep_alive: bool) -> None:
    """RFC 9112 section 9.3."""
    assert parse(line, *fields, method=method).keep_alive is keep_alive


# -- finding the head ----------------------------------------------------------------------------------------------


def test_finds_the_end() -> None:
    wire = head(b"HTTP/1.1 200 OK", LENGTH_5)
    assert find_response_head(wire + b"hello", LIMITS) == len(wire)
    assert find_response_head(bytearray(wire), LIMITS) == len(wire)
    for size in range(len(wire)):
        assert find_response_head(wire[:size], LIMITS) == -1
        assert find_response_head(wire, LIMITS, size) == len(wire)


@pytest.mark.parametrize(
    ("wire", "limits", "code"),
    [
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", LIMITS, "bad-status-line"),
        (b"\r", LIMITS, "bad-status-line"),
        (b"HTTP/2", LIMITS, "bad-status-line"),
        (b"I", LIMITS, "bad-status-line"),
        (b"<html>", LIMITS, "bad-status-line"),
        (b"\x15\x03\x01", LIMITS, "bad-status-line"),  # a TLS alert
        (b"HTTP/1.1 200 OK\n", LIMITS, "bare-lf"),
        (b"HTTP/1.1 200 OK\r\nA: \0", LIMITS, "control-character"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n", HeadLimits(fields=1), "too-many-fields"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", HeadLimits(size=20), "head-too-large"),
        (b"HTTP/1.1 200 " + b"O" * 20000, LIMITS, "head-too-large"),
    ],
)
def test_refuses_at_once(wire: bytes, limits: HeadLimits, code: str) -> None:
    with pytest.raises(BadMessage) as caught:
        find_response_head(wire, limits)
    assert (caught.value.status, caught.value.code) == (502, code)


def outcome(pieces: list[bytes], limits: HeadLimits) -> int | None:
    """Where the head ends, -1 for nowhere yet, None for refused."""
    buffer = bytearray()
    searched = 0
    try:
        for piece in pieces:
            buffer += piece
            end = find_response_head(buffer, limits, searched)
            if end >= 0:
                parse_response_head(bytes(buffer[:end]), b"GET")
                return end
            searched = len(buffer)
    except BadMessage:
        return None
    return -1


@given(cut(damaged(RESPONSES)))
def test_pieces_make_no_difference(pieces: list[bytes]) -> None:
    limits = HeadLimits(size=60, fields=2)
    assert outcome(pieces, limits) == outcome([b"".join(pieces)], limits)


# -- any input -----------------------------------------------------------------------------------------------------


@given(st.binary(max_size=200), st.sampled_from((b"", b"HTTP/1.1 200 OK\r\n")))
def test_any_bytes_are_parsed_or_refused(wire: bytes, before: bytes) -> None:
    try:
        parse_response_head(before + wire, b"GET")
    except BadMessage as error:
        assert error.status == 502


@given(damaged(RESPONSES), st.sampled_from((b"GET", b"HEAD", b"CONNECT")))
def test_damaged_responses_are_parsed_or_refused(wire: bytes, method: bytes) -> None:
    """Nothing but BadMessage is raised, and what is taken comes back the same when it is sent on."""
    try:
        end = find_response_head(wire, LIMITS)
        if end < 0:
            return
        response = parse_response_head(wire[:end], method)
    except BadMessage as error:
        assert error.status == 502
        return
    if response.minor:
        again = serialize_response_head(response.status, response.reason, response.fields)
        assert told(parse_response_head(again, method)) == told(response)


@given(damaged(RESPONSES), st.binary(max_size=40), st.sampled_from((b"GET", b"HEAD")))
def test_what_begins_with_a_head_has_that_head(wire: bytes, after: bytes, method: bytes) -> None:
    try:
        head = parse_response_head(wire[: find_response_head(wire, LIMITS)], method)
    except BadMessage:
        return
    end = find_response_head(head.raw + after, LIMITS)
    assert end == len(head.raw)
    assert told(parse_response_head((head.raw + after)[:end], method)) == told(head)


@given(st.integers(200, 599), field_values, plain_fields)
def test_comes_back_as_it_was(status: int, reason: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    response = parse_response_head(serialize_response_head(status, reason, fields), b"GET")
    assert (response.status, response.reason, response.fields, response.minor) == (status, reason, fields, 1)


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 200 " + b"a" * 500_000 + b"\0",
        b"HTTP/1.1 200 " + b" " * 500_000 + b"\0",
        b"HTTP/1.1 " + b"2" * 500_000,
    ],
)
def test_takes_linear_time(line: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(BadMessage):
        parse(line, b"A: b")
    assert time.process_time() - begun < 2


# -- serialising ---------------------------------------------------------------------------------------------------


def test_serialises() -> None:
    fields = [(b"Set-Cookie", b"a"), (b"set-cookie", b"b")]
    assert serialize_response_head(200, b"OK", fields) == b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n"
    assert serialize_response_head(404, b"", ()) == b"HTTP/1.1 404 \r\n\r\n"


def test_refuses_to_serialise_injection() -> None:
    for reason, field in ((b"OK\r\nA: b", (b"c", b"d")), (b"OK", (b"a", b"b\r\n\r\nc")), (b"OK", (b"a\n", b"b"))):
        with pytest.raises(ValueError, match="control"):
            serialize_response_head(200, reason, [field])
