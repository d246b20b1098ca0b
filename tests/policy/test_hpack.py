"""Field blocks, read by hpack."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder, HPACKError, NeverIndexedHeaderTuple, OversizedHeaderListError
from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.policy.fields import HOP_BY_HOP
from apigw.policy.hpack import BLOCK, BLOCKS, LONG, LONGS, FieldDecoder, FieldEncoder

NAMES = st.one_of(
    st.sampled_from([b":status", b"date", b"server", b"set-cookie", b"vary", b"x-request-id"]),
    st.binary(min_size=1, max_size=200),
)
HEADS = st.lists(st.tuples(NAMES, st.one_of(st.binary(max_size=300), st.sampled_from([b"200", b""]))), max_size=10)


@given(st.lists(HEADS, max_size=4))
def test_what_is_sent_is_read(blocks):
    encoder, decoder = FieldEncoder(), Decoder()
    for fields in blocks:
        assert list(decoder.decode(encoder.encode(fields), raw=True)) == fields
    assert len(decoder.header_table.dynamic_entries) == 0


@pytest.mark.parametrize("size", [0, 1, 14, 15, 16, 126, 127, 128, 254, 255, 16384, 100000])
def test_lengths(size):
    fields = [(b"x" * max(1, size), b"y" * size), (b"location", b"z" * size)]
    assert list(Decoder(10**6).decode(FieldEncoder().encode(fields), raw=True)) == fields


def test_the_usual_takes_a_byte():
    encoder = FieldEncoder()
    encoder.encode([])
    assert encoder.encode([(b":status", b"200"), (b"accept-encoding", b"gzip, deflate")]) == b"\x88\x90"


def test_a_client_that_keeps_nothing_is_satisfied():
    encoder, decoder = FieldEncoder(), Decoder()
    decoder.decode(encoder.encode([(b"a", b"b")]))
    decoder.max_allowed_table_size = 0
    assert list(decoder.decode(encoder.encode([(b"a", b"b")]), raw=True)) == [(b"a", b"b")]


def test_secrets_are_kept_by_nobody():
    [field] = Decoder().decode(FieldEncoder().encode([(b"set-cookie", b"a=b")]), raw=True)
    assert isinstance(field, NeverIndexedHeaderTuple)


def test_the_head_of_an_answer_is_what_its_lines_say():
    lines = [
        (b"Content-Length", b"2"),
        (b"Connection", b"close"),
        (b"Set-Cookie", b"a=b"),
        (b"X-Long", b"y" * 100),
        (b"Empty", b""),
        (b"Keep-Alive", b"z" * 100),
    ]
    encoder, decoder = FieldEncoder(), Decoder()
    for _ in range(2):
        block = encoder.head(200, b"\r\n".join(b"%b: %b" % line for line in lines) + b"\r\n\r\n")
        kept = [(name.lower(), value) for name, value in lines if name.lower() not in HOP_BY_HOP]
        fields = list(decoder.decode(block, raw=True))
        assert fields == [(b":status", b"200"), *kept]
        assert isinstance(dict(zip(dict(fields), fields, strict=True))[b"set-cookie"], NeverIndexedHeaderTuple)
    assert list(decoder.decode(encoder.head(404, b""), raw=True)) == [(b":status", b"404")]


# -- reading, beside hpack ---------------------------------------------------------------------------------------------

REPEATED = st.sampled_from([b":method", b"user-agent", b"x-a", b"x-b", b"a" * 100])
SENT = st.lists(
    st.tuples(st.one_of(REPEATED, st.binary(min_size=1, max_size=20)), st.one_of(REPEATED, st.binary(max_size=300))),
    max_size=8,
)
SIZES = st.none() | st.sampled_from([0, 100, 4096])


def read(decoder, block):
    """Fields, or the error that ends the connection."""
    try:
        return [tuple(field) for field in decoder.decode(block, raw=True)]
    except HPACKError as error:
        return isinstance(error, OversizedHeaderListError)


@given(st.lists(st.tuples(SENT, SIZES, st.booleans(), st.integers(1, 3)), max_size=8))
def test_fields_are_read_as_hpack_reads_them(heads):
    encoder, ours, stock = Encoder(), FieldDecoder(), Decoder()
    for fields, size, huffman, times in heads:
        if size is not None:
            encoder.header_table_size = size
        for _ in range(times):
            block = encoder.encode(fields, huffman=huffman)
            for _ in range(2):
                assert read(ours, block) == read(stock, block)
            assert ours.header_table.dynamic_entries == stock.header_table.dynamic_entries


PIECES = st.one_of(
    st.binary(max_size=6),
    # Fields of both tables, and beyond; numbers too large; sizes of the table; and literals, kept or not, or cut short.
    st.sampled_from([b"\x82", b"\xbe", b"\xbf", b"\xff\x00", b"\xff\x80\x80\x80\x80\x80"]),
    st.sampled_from([b"\x20", b"\x3f\xe1\x1f", b"\x3f\xe1\x3f"]),
    st.sampled_from([b"\x40\x01a\x01b", b"\x00\x01a\x01b", b"\x10\x01a\x01b", b"\x44\x01/", b"\x7f\x00\x01c"]),
    st.sampled_from([b"\x04\x81\x63", b"\x04"]),
)


@settings(max_examples=500)
@given(st.lists(st.lists(PIECES, max_size=6).map(b"".join), max_size=6), st.sampled_from([100, 65536]))
def test_whatever_comes_is_read_as_hpack_reads_it(blocks, most):
    ours, stock = FieldDecoder(), Decoder()
    ours.max_header_list_size = stock.max_header_list_size = most
    for block in blocks * 2:
        found = read(stock, block)
        assert read(ours, block) == found
        assert ours.header_table.dynamic_entries == stock.header_table.dynamic_entries
        if isinstance(found, bool):
            break


def test_what_is_read_again_is_given_again_until_the_table_changes():
    encoder, decoder = Encoder(), FieldDecoder()
    decoder.decode(encoder.encode([(b"a", b"b")]))
    block = encoder.encode([(b"a", b"b")])
    assert decoder.decode(block) is decoder.decode(block)
    decoder.decode(encoder.encode([(b"c", b"d")]))
    assert decoder.decode(block) == [(b"c", b"d")]


def test_few_blocks_are_kept():
    encoder, decoder = FieldEncoder(), FieldDecoder()
    decoder.decode(encoder.encode([]))
    for number in range(100):
        decoder.decode(b"\x00\x01a\x02%02d" % number)
        assert 0 < len(decoder._kept) <= BLOCKS
        long = encoder.encode([(b"a", b"%02d" % number * BLOCK)])
        assert len(decoder.decode(long)[0][1]) == 2 * BLOCK
        assert len(decoder._kept) <= BLOCKS
        assert all(len(block) <= BLOCK for block in decoder._kept)


def test_few_long_texts_are_kept():
    encoder, decoder = Encoder(), FieldDecoder()
    for number in (*range(10), *range(10)):
        token = b"%d" % number * 400
        fields = [NeverIndexedHeaderTuple(b"authorization", token)]
        assert list(decoder.decode(encoder.encode(fields))) == [(b"authorization", token)]
        assert 0 < len(decoder._long) <= LONGS
    long = [NeverIndexedHeaderTuple(b"authorization", b"x" * LONG * 2)]
    decoder = FieldDecoder()
    assert len(decoder.decode(encoder.encode(long))[0][1]) == LONG * 2
    assert not decoder._long
