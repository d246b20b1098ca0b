"""Tests of apigw.http1.body: RFC 9112 sections 6.2, 6.3, 7.1, 8 and RFC 9110 section 6.5."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.http1.body import (
    LAST_CHUNK,
    MAX_EXTENSION,
    MAX_PIECES,
    NOT_IN_TRAILERS,
    ChunkedDecoder,
    CloseDecoder,
    LengthDecoder,
    encode_chunk,
    encode_last_chunk,
)
from apigw.http1.errors import BadMessage
from apigw.http1.head import HeadLimits

from .strategies import cut, damaged, plain_fields

LIMITS = HeadLimits()


def split(wire: bytes) -> list[list[bytes]]:
    """The wire whole, byte by byte, and cut in two at each place."""
    return [
        [wire],
        [wire[at : at + 1] for at in range(len(wire))],
        *([wire[:at], wire[at:]] for at in range(1, len(wire))),
    ]


# -- length --------------------------------------------------------------------------------------------------------


def test_length_in_any_pieces() -> None:
    for pieces in split(b"helloGET"):
        decoder = LengthDecoder(5)
        payload = [piece for data in pieces for piece in decoder.feed(data)]
        assert b"".join(payload) == b"hello"
        assert b"" not in payload
        assert (decoder.done, decoder.rest, decoder.trailers) == (True, b"GET", [])
        decoder.eof()


def test_length_zero_is_done_at_once() -> None:
    decoder = LengthDecoder(0)
    assert decoder.done
    assert decoder.feed(b"GET") == []
    assert decoder.rest == b"GET"


def test_length_done_with_the_last_byte() -> None:
    decoder = LengthDecoder(2)
    assert decoder.feed(b"") == []
    assert decoder.feed(b"a") == [b"a"]
    assert not decoder.done
    assert decoder.feed(b"b") == [b"b"]
    assert (decoder.done, decoder.rest) == (True, b"")
    assert decoder.feed(b"c") == []
    assert decoder.feed(b"d") == []
    assert decoder.rest == b"cd"


@pytest.mark.parametrize("status", [400, 502])
def test_length_cut_short(status: int) -> None:
    """RFC 9112 section 8."""
    decoder = LengthDecoder(5, status)
    decoder.feed(b"hell")
    with pytest.raises(BadMessage) as caught:
        decoder.eof()
    assert (caught.value.status, caught.value.code) == (status, "truncated-body")


# -- close ---------------------------------------------------------------------------------------------------------


def test_close() -> None:
    decoder = CloseDecoder()
    assert decoder.feed(b"") == []
    assert decoder.feed(b"a") == [b"a"]
    assert decoder.feed(b"HTTP/1.1") == [b"HTTP/1.1"]
    assert not decoder.done
    decoder.eof()
    assert (decoder.done, decoder.rest, decoder.trailers) == (True, b"", [])


# -- chunks --------------------------------------------------------------------------------------------------------


def refusal(wire: bytes, limits: HeadLimits = LIMITS, status: int = 400) -> tuple[int, str]:
    """What the whole is refused with; cut anywhere it is refused too."""
    for pieces in split(wire)[1:] if len(wire) < 100 else ():
        decoder = ChunkedDecoder(limits, status)
        with pytest.raises(BadMessage):
            for data in pieces:
                decoder.feed(data)
    with pytest.raises(BadMessage) as caught:
        ChunkedDecoder(limits, status).feed(wire)
    return caught.value.status, caught.value.code


@pytest.mark.parametrize(
    ("wire", "payload", "trailers"),
    [
        (b"0\r\n\r\n", b"", []),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello", []),
        (b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", b"abc", []),
        (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2, []),
        (b"0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", b"hello", []),
        (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", []),
        (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n", []),
        (b"5;a\r\nhello\r\n0;b=c\r\n\r\n", b"hello", []),
        (b'5;a=b;c="d \t;\\"e\xff\\\\";f\r\nhello\r\n0\r\n\r\n', b"hello", []),
        (b"0\r\nA: b\r\n\r\n", b"", [(b"A", b"b")]),
        (b"1\r\na\r\n0\r\nX-a:  b \r\nx-A:\r\nX-a: c\r\n\r\n", b"a", [(b"X-a", b"b"), (b"x-A", b""), (b"X-a", b"c")]),
    ],
)
def test_chunks_in_any_pieces(wire: bytes, payload: bytes, trailers: list[tuple[bytes, bytes]]) -> None:
    for rest in (b"", b"GET / HTTP/1.1\r\n\r\n"):
        for pieces in split(wire + rest):
            decoder = ChunkedDecoder(LIMITS)
            found = [piece for data in pieces for piece in decoder.feed(data)]
            assert b"".join(found) == payload
            assert b"" not in found
            assert (decoder.done, decoder.rest, decoder.trailers) == (True, rest, trailers)
            decoder.eof()


@pytest.mark.parametrize(
    "line",
    [
        # chunk-size = 1*HEXDIG, RFC 9112 section 7.1
        *(b"", b" ", b"x", b"g", b"0x5", b"5x", b"+5", b"-5", b"-0", b"5_0", b"5.0", b"\xd9\xa5", b"\xb2", b"5h"),
        *(b" 5", b"\t5", b"5 ", b"5\t", b"5 5", b"5,5", b"00000000000000005", b"5" * 17, b"5" * 100),
        *(b"\r5", b"5\r", b"5\n", b"\n5", b"\r\n5", b"5\0", b"\x005"),
        # chunk-ext, RFC 9112 section 7.1.1
        *(b"5;", b"5;;", b"5;a;", b"5;=", b"5;=b", b"5;a=", b"5;a=;b", b"5;a=b=c", b"5;a b", b"5;a=b c", b"5,a=b"),
        *(b"5 ;a", b"5; a", b"5;a =b", b"5;a= b", b"5;a=b ", b"5\t;a", b"5;a\t", b"5;\ta", b"5a;b\xff"),
        *(b"5;(a)", b"5;a=(b)", b"5;a/b", b"5;\xff", b"5;a=\xff", b'5;"a"', b'5;"a"=b'),
        *(b'5;a="', b'5;a="b', b'5;a=b"', b'5;a="b"c', b'5;a="b""c"', b'5;a="\\"', b'5;a="\\', b"5;a='b c'"),
        *(b"5;a\nb", b"5;a\rb", b"5;a\0", b"5;a=\x7f", b'5;a="\n"', b'5;a="\r"', b'5;a="\r\n"', b'5;a="\0"'),
        *(b'5;a="\\\n"', b'5;a="\\\r"', b'5;a="\\\0"', b'5;a="\x1f"', b'5;a="\x7f"', b"5\n;a", b"5\r;a"),
    ],
)
def test_refuses_chunk_line(line: bytes) -> None:
    for before in (b"", b"1\r\na\r\n"):
        status, code = refusal(before + line + b"\r\nhello\r\n0\r\n\r\n")
        assert (status, code[:9]) == (400, "bad-chunk")


@pytest.mark.parametrize(
    "wire",
    [
        b"5\r\nhell\r\n0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhello\r\r\n0\r\n\r\n",
        b"5\r\nhello \r\n0\r\n\r\n",
        b"5\r\nhello\r\n\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\n\r\n",
        b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ],
)
def test_refuses_chunk(wire: bytes) -> None:
    assert refusal(wire) == (400, "bad-chunk")
    assert refusal(wire, status=502) == (502, "bad-chunk")


def test_chunk_size_is_below_2_63() -> None:
    decoder = ChunkedDecoder(LIMITS)
    assert decoder.feed(b"7fffffffffffffff\r\nhello") == [b"hello"]
    for size in (b"8000000000000000", b"ffffffffffffffff", b"FFFFFFFFFFFFFFFF"):
        assert refusal(size + b"\r\nhello") == (400, "bad-chunk-size")


@pytest.mark.parametrize(
    "part",
    [
        b"x",
        b"5\n",
        b"5 ",
        b"5\r5",
        b"5555555555555555" + b"5",
        b"1\r\nab",
        b"1\r\na\n",
        b"1\r\na\r5",
        b"1\r\na\r\n\r",
        b"\0",
    ],
)
def test_refuses_at_once(part: bytes) -> None:
    """Before the line has ended."""
    assert refusal(part) == (400, "bad-chunk")


# -- extensions ----------------------------------------------------------------------------------------------------


def test_extensions_of_the_limit_pass_and_one_more_does_not() -> None:
    longest = b";" + b"a" * (MAX_EXTENSION - 1)
    for size in (b"5", b"0000000000000005"):
        for data in ([size + longest + b"\r\nhello\r\n"], [bytes([b]) for b in size + longest + b"\r\nhello\r\n"]):
            decoder = ChunkedDecoder(LIMITS)
            assert b"".join(piece for part in data for piece in decoder.feed(part)) == b"hello"
    assert refusal(b"5" + longest + b"a\r\nhello\r\n0\r\n\r\n") == (400, "bad-chunk-extension")
    assert refusal(b"5;" + b"a" * 1000) == (400, "bad-chunk-extension")
    assert refusal(b"5;" + b"a" * 100_000) == (400, "bad-chunk-extension")


def test_extensions_must_not_outweigh_the_data() -> None:
    """CVE-2023-39326 in Go."""
    lean = b"1;" + b"a" * 99 + b"\r\nb\r\n"
    allowed = LIMITS.size // 99
    assert len(b"".join(ChunkedDecoder(LIMITS).feed(lean * allowed))) == allowed
    assert refusal(lean * (allowed + 2)) == (400, "bad-chunk-extension")
    rich = b"64;" + b"a" * 99 + b"\r\n" + b"b" * 100 + b"\r\n"
    assert len(b"".join(ChunkedDecoder(LIMITS).feed(rich * 1000))) == 100_000


# -- trailers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(NOT_IN_TRAILERS))
def test_forbidden_trailers_are_dropped(name: bytes) -> None:
    """RFC 9110 section 6.5.1."""
    decoder = ChunkedDecoder(LIMITS)
    decoder.feed(b"0\r\nA: b\r\n%b: a\r\n%b: b\r\nC: d\r\n\r\n" % (name, name.title()))
    assert decoder.trailers == [(b"A", b"b"), (b"C", b"d")]


@pytest.mark.parametrize("name", [b"Content-Length", b"Transfer-Encoding", b"transfer-encoding", b"CONTENT-LENGTH"])
@pytest.mark.parametrize("value", [b"", b"0", b"chunked"])
def test_refuses_framing_in_trailers(name: bytes, value: bytes) -> None:
    wire = b"0\r\nA: b\r\n%b: %b\r\n\r\n" % (name, value)
    assert refusal(wire) == (400, "bad-trailer")
    assert refusal(wire, status=502) == (502, "bad-trailer")


@pytest.mark.parametrize(
    ("section", "code"),
    [
        (b"A: b\nC: d\r\n", "bare-lf"),
        (b"A: b\rC: d\r\n", "bare-cr"),
        (b"A: \0\r\n", "control-character"),
        (b"A : b\r\n", "space-before-colon"),
        (b"A: b\r\n c\r\n", "obs-fold"),
        (b" A: b\r\n", "obs-fold"),
        (b": b\r\n", "bad-field-name"),
        (b"GET / HTTP/1.1\r\n", "bad-field-line"),
        (b"\n", "bare-lf"),
        (b"\r", "bare-cr"),
    ],
)
def test_refuses_trailers(section: bytes, code: str) -> None:
    assert refusal(b"0\r\n" + section + b"\r\n") == (400, code)


def test_bare_line_feed_in_trailers_shows_at_once() -> None:
    decoder = ChunkedDecoder(LIMITS)
    decoder.feed(b"0\r\n")
    with pytest.raises(BadMessage):
        decoder.feed(b"\n")


def test_trailers_of_the_limit_pass_and_one_more_does_not() -> None:
    limits = HeadLimits(size=2 + 8 * 6 + 2, fields=8)
    decoder = ChunkedDecoder(limits)
    decoder.feed(b"0\r\n" + b"a: b\r\n" * 8 + b"\r\n")
    assert len(decoder.trailers) == 8
    assert refusal(b"0\r\n" + b"a:b\r\n" * 9 + b"\r\n", limits) == (431, "too-many-fields")
    assert refusal(b"0\r\n" + b"a: bbb\r\n" * 8 + b"\r\n", limits) == (431, "head-too-large")
    assert refusal(b"0\r\n" + b"a: bbb\r\n" * 8 + b"\r\n", limits, 502) == (502, "head-too-large")
    assert refusal(b"0\r\nA: " + b"b" * 20000) == (431, "head-too-large")


# -- any input -----------------------------------------------------------------------------------------------------


CHUNKED = (
    b"0\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
    b'5;a=b;c="d"\r\nhello\r\n1\r\nx\r\n0\r\nX: y\r\n\r\nGET',
    b"A\r\n0123456789\r\n0\r\nX: y\r\nHost: a\r\n\r\n",
)


def outcome(pieces: list[bytes]) -> tuple[bytes, bool, bytes, list[tuple[bytes, bytes]]] | None:
    """What a decoder makes of it; None for refused."""
    decoder = ChunkedDecoder(HeadLimits(size=20, fields=2))
    payload = b""
    try:
        for data in pieces:
            found = decoder.feed(data)
            assert b"" not in found
            payload += b"".join(found)
    except BadMessage as error:
        assert error.status in (400, 431)
        return None
    return payload, decoder.done, decoder.rest, decoder.trailers


@given(cut(damaged(CHUNKED) | st.binary(max_size=40)))
def test_pieces_make_no_difference(pieces: list[bytes]) -> None:
    assert outcome(pieces) == outcome([b"".join(pieces)])


@pytest.mark.parametrize("wire", CHUNKED[:3])
@pytest.mark.parametrize("status", [400, 502])
def test_chunks_cut_short(wire: bytes, status: int) -> None:
    """RFC 9112 section 8: complete only with the end of the trailer section."""
    for size in range(wire.index(b"\r\n\r\n") + 4):
        decoder = ChunkedDecoder(LIMITS, status)
        decoder.feed(wire[:size])
        assert not decoder.done
        with pytest.raises(BadMessage) as caught:
            decoder.eof()
        assert (caught.value.status, caught.value.code) == (status, "truncated-body")


@given(st.lists(st.binary(max_size=100)), plain_fields)
def test_comes_back_as_it_was(parts: list[bytes], trailers: list[tuple[bytes, bytes]]) -> None:
    trailers = [(name, value) for name, value in trailers if name.lower() not in NOT_IN_TRAILERS]
    wire = b"".join(map(encode_chunk, parts)) + encode_last_chunk(trailers)
    decoder = ChunkedDecoder(LIMITS)
    assert b"".join(decoder.feed(wire)) == b"".join(parts)
    assert (decoder.done, decoder.rest, decoder.trailers) == (True, b"", trailers)


def test_encodes() -> None:
    assert encode_chunk(b"a" * 26) == b"1a\r\n" + b"a" * 26 + b"\r\n"
    assert encode_chunk(b"") == b""
    assert encode_last_chunk([]) == LAST_CHUNK
    assert encode_last_chunk([(b"A", b"b")]) == b"0\r\nA: b\r\n\r\n"
    with pytest.raises(ValueError, match="control"):
        encode_last_chunk([(b"A", b"b\r\n\r\nGET")])


# -- cost ----------------------------------------------------------------------------------------------------------


def test_large_chunks_are_not_copied_more_than_once() -> None:
    data = b"a" * 65536
    decoder = ChunkedDecoder(LIMITS)
    decoder.feed(b"fffffff\r\n")
    assert decoder.feed(data)[0] is data
    whole = LengthDecoder(1 << 30)
    assert whole.feed(data)[0] is data


def test_tiny_chunks_come_as_one_piece() -> None:
    wire = b"1\r\na\r\n" * 1000
    assert ChunkedDecoder(LIMITS).feed(wire) == [b"a" * 1000]
    assert ChunkedDecoder(LIMITS).feed(wire[: 6 * MAX_PIECES]) == [b"a"] * MAX_PIECES


@pytest.mark.parametrize(
    "wire",
    [
        b"5;" + b"a" * 500_000 + b"\n",
        b"5" + b";a=b" * 100_000 + b"\n",
        b'5;a="' + b"b" * 500_000 + b"\n",
        b'5;a="' + b"\\b" * 250_000 + b"\n",
        b"1\r\na\r\n" * 50_000 + b"\n",
        b"0\r\n" + b"a:" + b" " * 500_000 + b"\r\n\r\n",
    ],
)
def test_takes_linear_time(wire: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(BadMessage):
        ChunkedDecoder(LIMITS).feed(wire)
    assert time.process_time() - begun < 2
