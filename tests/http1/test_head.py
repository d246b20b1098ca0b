"""Tests of apigw.http1.head: RFC 9112 sections 2.2, 3 and RFC 9110 sections 5.4, 15.5.15."""

from __future__ import annotations

import time

import pytest
from hypothesis import given

from apigw.http1.errors import BadMessage
from apigw.http1.head import HeadLimits, find_head, find_section
from apigw.http1.request import parse_request_head

from .strategies import REQUESTS, cut, damaged

LIMITS = HeadLimits()
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def refusal(buffer: bytes, limits: HeadLimits = LIMITS) -> tuple[int, str]:
    with pytest.raises(BadMessage) as caught:
        find_head(buffer, limits)
    return caught.value.status, caught.value.code


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_finds_the_first_end(kind: type[bytes] | type[bytearray]) -> None:
    assert find_head(kind(GET), LIMITS) == len(GET)
    assert find_head(kind(GET + GET), LIMITS) == len(GET)
    assert find_head(kind(GET + b"\x00\n"), LIMITS) == len(GET)  # a body is none of its business
    for size in range(len(GET)):
        assert find_head(kind(GET[:size]), LIMITS) == -1


def test_one_empty_line_may_come_first() -> None:
    """RFC 9112 section 2.2."""
    assert find_head(b"\r\n" + GET, LIMITS) == len(GET) + 2
    assert find_head(b"\r\n", LIMITS) == -1
    assert find_head(b"\r", LIMITS) == -1
    end = find_head(b"\r\n\r\n" + GET, LIMITS)
    with pytest.raises(BadMessage):
        parse_request_head((b"\r\n\r\n" + GET)[:end])


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (b"GET / HTTP/1.1\n", "bare-lf"),
        (b"GET / HTTP/1.1\n\n", "bare-lf"),
        (b"\n", "bare-lf"),
        (b"GET / HTTP/1.1\r\nHost: a\n", "bare-lf"),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", "bare-lf"),
        (b"GET / HTTP/1.1\rH", "bare-cr"),
        (b"GET / HTTP/1.1\r\r", "bare-cr"),
        (b"\rG", "bare-cr"),
        (b"G\0", "control-character"),
        (b"\x16\x03\x01\x02", "control-character"),  # TLS on a plain port
        (b"GET / HTTP/1.1\r\nA: \x7f", "control-character"),
        (b"GET /\r\n", "bad-version"),  # HTTP/0.9, which would wait for an answer
        (b"SSH-2.0-OpenSSH_9.2\r\n", "bad-version"),
        (b"HTTP/1.1\r\n", "bad-version"),
        (b"\r\nGET / http/1.1\r\nHost: a", "bad-version"),
    ],
)
def test_refuses_at_once(part: bytes, code: str) -> None:
    assert refusal(part) == (400, code)


# -- limits --------------------------------------------------------------------------------------------------------


def test_request_line_of_the_limit_passes_and_one_more_is_414() -> None:
    limits = HeadLimits(line=len(b"GET / HTTP/1.1"))
    assert find_head(GET, limits) == len(GET)
    assert find_head(b"\r\n" + GET, limits) == len(GET) + 2
    longer = GET.replace(b"/ ", b"/a ")
    assert refusal(longer, limits) == (414, "line-too-long")
    assert refusal(b"\r\n" + longer, limits) == (414, "line-too-long")


def test_line_too_long_shows_before_its_end() -> None:
    limits = HeadLimits(line=20)
    assert find_head(b"GET /" + b"a" * 15, limits) == -1
    assert find_head(b"GET /" + b"a" * 15 + b"\r", limits) == -1
    assert refusal(b"GET /" + b"a" * 17, limits) == (414, "line-too-long")


def test_long_line_is_414_though_the_head_is_too_large_too() -> None:
    assert refusal(b"GET /" + b"a" * 20000 + GET[4:]) == (414, "line-too-long")
    assert refusal(b"GET /" + b"a" * 20000) == (414, "line-too-long")


def test_head_of_the_limit_passes_and_one_more_is_431() -> None:
    limits = HeadLimits(size=len(GET))
    assert find_head(GET, limits) == len(GET)
    assert find_head(GET + b"body", limits) == len(GET)
    assert refusal(GET.replace(b"a", b"ab"), limits) == (431, "head-too-large")
    assert refusal(b"GET / HTTP/1.1\r\nHost: abcdefg", limits) == (431, "head-too-large")


@pytest.mark.parametrize("before", [b"", b"\r\n"])
@pytest.mark.parametrize("field", [b"a:\r\n", b"Some-Name: some value\r\n"])
@pytest.mark.parametrize("limit", [1, 10, 100])
def test_fields_of_the_limit_pass_and_one_more_is_431(before: bytes, field: bytes, limit: int) -> None:
    limits = HeadLimits(fields=limit)
    head = before + b"GET / HTTP/1.1\r\n" + field * limit + b"\r\n"
    assert find_head(head, limits) == len(head)
    more = before + b"GET / HTTP/1.1\r\n" + field * (limit + 1) + b"\r\n"
    assert refusal(more, limits) == (431, "too-many-fields")
    assert refusal(more[:-2] + field, limits) == (431, "too-many-fields")


def test_section_carries_the_status_it_is_given() -> None:
    section = b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n"
    assert find_section(section, HeadLimits(fields=2), 0, 2, 502) == len(section)
    for limits in (HeadLimits(fields=1), HeadLimits(size=len(section) - 1)):
        with pytest.raises(BadMessage) as caught:
            find_section(section, limits, 0, 2, 502)
        assert caught.value.status == 502
    with pytest.raises(BadMessage) as caught:
        find_section(b"HTTP/1.1 200 OK\n", LIMITS, 0, 2, 502)
    assert (caught.value.status, caught.value.code) == (502, "bare-lf")


# -- in pieces -----------------------------------------------------------------------------------------------------


def outcome(pieces: list[bytes], limits: HeadLimits) -> int | None:
    """Where the head ends, -1 for nowhere yet, None for refused."""
    buffer = bytearray()
    searched = 0
    try:
        for piece in pieces:
            buffer += piece
            end = find_head(buffer, limits, searched)
            if end >= 0:
                parse_request_head(bytes(buffer[:end]))
                return end
            searched = len(buffer)
    except BadMessage:
        return None
    return -1


@given(cut(damaged(REQUESTS)))
def test_pieces_make_no_difference(pieces: list[bytes]) -> None:
    limits = HeadLimits(size=120, line=40, fields=3)
    assert outcome(pieces, limits) == outcome([b"".join(pieces)], limits)


def test_dripping_takes_linear_time() -> None:
    limits = HeadLimits(size=200_000, line=200_000)
    buffer = bytearray(b"GET / HTTP/1.1\r\nA: ")
    begun = time.process_time()
    for _ in range(20_000):
        searched = len(buffer)
        buffer += b"bbbbbbb"
        assert find_head(buffer, limits, searched) == -1
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("wire", REQUESTS)
def test_searches_only_what_is_new(wire: bytes) -> None:
    end = wire.index(b"\r\n\r\n") + 4
    for searched in range(end):
        assert find_head(wire, LIMITS, searched) == end
