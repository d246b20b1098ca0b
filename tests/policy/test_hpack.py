"""Field blocks, read by hpack."""

from __future__ import annotations

import pytest
from hpack import Decoder, NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.hpack import FieldEncoder

NAMES = st.one_of(
    st.sampled_from([b":status", b"date", b"server", b"set-cookie", b"vary", b"x-request-id"]),
    st.binary(min_size=1, max_size=200),
)
BLOCKS = st.lists(st.tuples(NAMES, st.one_of(st.binary(max_size=300), st.sampled_from([b"200", b""]))), max_size=10)


@given(st.lists(BLOCKS, max_size=4))
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
