"""What clients ask for over WebSocket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.graphql.asked import read_message
from apigw.policy.graphql.refused import Refused
from apigw.policy.graphql.socket import ClientMessages, unmasked

MASK = b"\x01\x80\x00\xff"


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    size = len(payload)
    length, more = (
        (size, b"")
        if size < 126
        else (126, size.to_bytes(2, "big"))
        if size < 65536
        else (127, size.to_bytes(8, "big"))
    )
    head = bytes((fin << 7 | reserved | opcode, masked << 7 | length)) + more
    return head + MASK + unmasked(MASK, payload) if masked else head + payload


def refuse_bad(heard: list[bytes]) -> ClientMessages:
    def look(text: bytes) -> None:
        heard.append(text)
        if text.startswith(b"bad"):
            raise Refused("depth", "bad")

    return ClientMessages(look, 100_000)


def test_unmasked() -> None:
    assert unmasked(b"\x37\xfa\x21\x3d", b"\x7f\x9f\x4d\x51\x58") == b"Hello"  # RFC 6455 section 5.7
    assert unmasked(MASK, b"") == b""


@given(st.lists(st.binary(max_size=300), max_size=5), st.data())
def test_frames_go_on_whole_and_as_they_came(texts: list[bytes], data: st.DataObject) -> None:
    stream, expected = b"", []
    for text in texts:
        cut = data.draw(st.integers(0, len(text)))
        stream += frame(text[:cut], fin=False) + frame(b"ping", 9) + frame(text[cut:], 0) + frame(b"x" * 130)
        expected += [text, b"x" * 130]
    heard: list[bytes] = []
    messages = ClientMessages(heard.append, 100_000)
    out, at = b"", 0
    while at < len(stream):
        step = data.draw(st.integers(1, 200))
        out += messages(stream[at : at + step])
        at += step
    assert heard == expected
    assert sorted(out) == sorted(stream)
    assert messages.refused is None


def test_nothing_but_control_frames_goes_on_after_a_refusal() -> None:
    heard: list[bytes] = []
    messages = refuse_bad(heard)
    good, close = frame(b"good"), frame(b"\x03\xe8", 8)
    assert messages(good + frame(b"ba", fin=False)) == good
    assert messages.refused is None
    assert messages(frame(b"d", 0) + frame(b"good") + close) == close
    assert messages.refused is not None
    assert messages.refused.rule == "depth"
    assert heard == [b"good", b"bad"]


@pytest.mark.parametrize(
    "wrong",
    [
        frame(b"a", 2),
        frame(b"a", 0),
        frame(b"a", 3),
        frame(b"a", reserved=0x40),
        frame(b"a", masked=False),
        frame(b"a", fin=False) + frame(b"b"),
        frame(b"a", 9, fin=False),
        frame(b"a" * 126, 9),
        frame(b"a" * 100_000)[:14],
        b"\x81\xff" + b"\xff" * 8,
        frame(b"", fin=False) + frame(b"", 0, fin=False) * 20_000,
    ],
)
def test_what_is_not_to_be_waited_for(wrong: bytes) -> None:
    heard: list[bytes] = []
    messages = refuse_bad(heard)
    assert messages(frame(b"good") + wrong + frame(b"more")) == frame(b"good")
    assert messages.refused is not None
    assert messages.refused.rule == "socket"
    assert messages(frame(b"more")) == b""
    assert heard == [b"good"]


def test_messages() -> None:
    for kind in ("connection_init", "ping", "pong", "complete", "stop", "connection_terminate"):
        assert read_message(b'{"type": "%b", "id": "1"}' % kind.encode()) is None
    for kind in ("subscribe", "start"):
        asked = read_message(b'{"id": "1", "type": "%b", "payload": {"query": "{a}"}}' % kind.encode())
        assert asked is not None
        assert asked.query == "{a}"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type": "Subscribe"}',
        b'{"type": ["subscribe"]}',
        b'{"type": "subscribe"}',
        b'{"type": "subscribe", "payload": {}}',
        b'{"type": "start", "payload": {"data": "{}"}}',
        b'{"type": "ping", "type": "subscribe", "payload": {"query": "{a}"}}',
        b'{"type": "ping", "Type": "subscribe", "payload": {"query": "{a}"}}',
        b'{"type": "subscribe", "payload": {"query": "{a}"}, "PAYLOAD": {"query": "{b}"}}',
    ],
)
def test_messages_that_are_refused(text: bytes) -> None:
    with pytest.raises(Refused):
        read_message(text)
