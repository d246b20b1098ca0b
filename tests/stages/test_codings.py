"""What is encoded comes out again, each piece at once."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from apigw.stages.codings import available

Decode = Callable[[bytes], bytes]


def decoder(name: str) -> Decode:
    """:return: takes bytes as they come, and gives what can be had by then."""
    decoders: dict[str, Callable[[], Decode]] = {
        "gzip": lambda: zlib.decompressobj(31).decompress,
        "br": lambda: brotli.Decompressor().process,
        "zstd": lambda: zstandard.ZstdDecompressor(max_window_size=8 * 1024**2).decompressobj().decompress,
    }
    return decoders[name]()


def test_all_three_are_there() -> None:
    assert list(available()) == ["zstd", "br", "gzip"]


@given(st.sampled_from(["zstd", "br", "gzip"]), st.lists(st.binary(min_size=1, max_size=500), max_size=5))
def test_each_piece_comes_out_at_once(name: str, pieces: list[bytes]) -> None:
    stream, decode = available()[name](), decoder(name)
    for piece in pieces:
        assert decode(stream.feed(piece)) == piece
    assert decode(stream.end()) == b""


@pytest.mark.parametrize("name", ["zstd", "br", "gzip"])
def test_it_gets_smaller_also_in_pieces(name: str) -> None:
    stream = available()[name]()
    text = b"".join(b'{"number": %d, "text": "the same again"}\n' % number for number in range(20000))
    out = b"".join(stream.feed(text[at : at + 16384]) for at in range(0, len(text), 16384)) + stream.end()
    assert len(out) < len(text) / 5
    assert decoder(name)(out) == text
