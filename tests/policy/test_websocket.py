"""The WebSocket frames that a gateway follows and makes, against those of the websockets package."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader
from websockets.utils import accept_key

from apigw.policy.websocket import Frames, accept, close_frame, is_key

FRAMES = st.builds(
    Frame,
    st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONT]),
    st.one_of(st.binary(max_size=200), st.sampled_from([b"x" * 125, b"x" * 126, b"x" * 65535, b"x" * 65536])),
    st.booleans(),
)


def test_accept_and_keys() -> None:
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    assert accept(key.encode()).decode() == accept_key(key) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert is_key(key.encode())
    assert not any(map(is_key, (b"", b"short==", key.encode() + b"=", b"dGhlIHNhbXBsZSBub25jZR==", b"!" * 22 + b"==")))


@given(st.lists(FRAMES, max_size=5), st.booleans(), st.integers(1, 40))
def test_boundaries_are_found_however_the_bytes_are_cut(frames: list[Frame], masked: bool, size: int) -> None:
    wire = [frame.serialize(mask=masked) for frame in frames]
    ends = {sum(map(len, wire[:number])) for number in range(len(wire) + 1)}
    data = b"".join(wire)
    followed = Frames()
    size = max(size, len(data) // 50)
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        assert followed.follow(piece) == len(piece)
        assert followed.between is (at + len(piece) in ends)
    assert not followed.closed


@given(FRAMES, FRAMES, st.integers(1, 300))
def test_it_stops_at_the_end_of_what_has_begun(first: Frame, second: Frame, cut: int) -> None:
    one, two = first.serialize(mask=True), second.serialize(mask=True)
    cut = min(cut, len(one))
    followed = Frames()
    followed.follow(one[:cut])
    assert followed.follow(one[cut:] + two, True) == len(one) - cut
    assert followed.between


@pytest.mark.parametrize("mask", [b"", b"abcd"])
def test_close_frames(mask: bytes) -> None:
    data = close_frame(4001, "The token has expired.", mask)
    reader = StreamReader()
    reader.feed_data(data)
    parsing = Frame.parse(reader.read_exact, mask=bool(mask))
    with pytest.raises(StopIteration) as done:
        next(parsing)
    assert Close.parse(done.value.value.data) == Close(4001, "The token has expired.")
    followed = Frames()
    followed.follow(data)
    assert followed.closed
    assert followed.between
    assert len(close_frame(1001, "x" * 500)) == 127
