"""Frames taken apart and counted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.http2 import (
    CONTINUATION,
    DATA,
    FRAME_SIZE,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Allowance,
    Allowed,
    Excess,
    FrameGuard,
    Http2Limits,
    resets_in,
    without_resets,
)

LIMITS = Http2Limits(
    resets=Allowed(1.0, 3.0),
    pings=Allowed(1.0, 3.0),
    settings=Allowed(1.0, 3.0),
    idle_frames=Allowed(1.0, 3.0),
    max_continuations=2,
)


class Now:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 1) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def begun(limits: Http2Limits = LIMITS, now: Any = None) -> FrameGuard:
    guard = FrameGuard(limits, 100, now or Now())
    assert list(guard.feed(PREFACE)) == [(SETTINGS, PREFACE)]
    return guard


def reason(guard: FrameGuard, data: bytes) -> str:
    with pytest.raises(Excess) as raised:
        list(guard.feed(data))
    return raised.value.reason


FRAMES = [frame(HEADERS, b"head", 4), frame(DATA, b"data" * 10), frame(PING, bytes(8)), frame(DATA, b"", 1)]


@given(st.lists(st.integers(0, len(PREFACE) + sum(map(len, FRAMES))), max_size=5))
def test_frames_are_the_same_wherever_they_are_cut(cuts):
    data = PREFACE + b"".join(FRAMES)
    guard = FrameGuard(LIMITS, 100, Now())
    found = []
    at = 0
    for cut in [*sorted(cuts), len(data)]:
        found += guard.feed(data[at:cut])
        at = cut
    assert [frame for _, frame in found] == [PREFACE, *FRAMES]
    assert [kind for kind, _ in found] == [SETTINGS, HEADERS, DATA, PING, DATA]


@pytest.mark.parametrize("data", [b"G", b"PRI * HTTP/1.1\r\n", PREFACE[:-1] + b"x"])
def test_what_is_no_preface(data):
    guard = FrameGuard(LIMITS, 100, Now())
    assert reason(guard, data) == "not-http2"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (frame(PING, bytes(8)), "pings"),
        (frame(PING, bytes(8), 1), "pings"),
        (frame(SETTINGS), "settings"),
        (frame(RST_STREAM, bytes(4)), "resets"),
        (frame(DATA), "idle-frames"),
        (frame(PRIORITY, bytes(5)), "idle-frames"),
        (frame(WINDOW_UPDATE, bytes(4)), "idle-frames"),
        (frame(0xBB), "idle-frames"),
    ],
)
def test_so_many_in_a_time(data, why):
    assert reason(begun(), data * 4) == why
    now = Now()
    guard = begun(now=now)
    assert len(list(guard.feed(data * 3))) == 3
    now.time += 2.0
    assert len(list(guard.feed(data * 2))) == 2
    assert reason(guard, data) == why


def test_data_and_the_end_of_it_are_no_idle_frames():
    guard = begun()
    assert len(list(guard.feed((frame(DATA, bytes(64)) + frame(DATA, b"", 1)) * 10))) == 20


def test_data_with_little_data_counts_a_tenth():
    guard = begun()
    assert len(list(guard.feed(frame(DATA, b"a") * 29))) == 29
    assert reason(guard, frame(DATA, b"a") * 2) == "idle-frames"


def test_more_is_granted_up_to_the_burst():
    allowance = Allowance("why", Allowed(0.001, 2.0), 0.0)
    allowance.grant(10.0)
    for _ in range(2):
        allowance.spend(0.0)
    with pytest.raises(Excess):
        allowance.spend(0.0)
    allowance.grant(1.0)
    allowance.spend(0.0)


def test_a_head_has_so_many_frames_and_bytes():
    guard = begun()
    assert len(list(guard.feed(frame(HEADERS) + frame(CONTINUATION) * 2))) == 3
    assert guard.awaits_head
    assert reason(guard, frame(CONTINUATION)) == "continuations"
    guard = begun()
    list(guard.feed(frame(HEADERS, bytes(60))))
    assert reason(guard, frame(CONTINUATION, bytes(41))[:9]) == "header-size"
    guard = begun()
    for _ in range(5):
        list(guard.feed(frame(HEADERS, bytes(60)) + frame(CONTINUATION, bytes(40), 4)))
    assert not guard.awaits_head


def test_a_large_frame_is_refused_before_it_is_here():
    guard = begun()
    assert list(guard.feed((FRAME_SIZE).to_bytes(3, "big") + bytes([DATA, 0, 0, 0, 0, 1]))) == []
    guard = begun()
    assert reason(guard, (FRAME_SIZE + 1).to_bytes(3, "big") + bytes(6)) == "frame-size"


def test_what_is_awaited():
    guard = FrameGuard(LIMITS, 100, Now())
    assert guard.awaits_head
    list(guard.feed(PREFACE))
    assert not guard.awaits_head
    list(guard.feed(frame(DATA, b"abcd", stream=7)[:11]))
    assert (guard.awaits_head, guard.partial_data) == (False, (7, 2))
    list(guard.feed(b"cd"))
    assert guard.partial_data == (0, 0)
    list(guard.feed(frame(PING, bytes(8))[:12]))
    assert (guard.awaits_head, guard.partial_data) == (True, (0, 0))


def test_resets_among_frames():
    data = frame(PING, bytes(8)) + frame(RST_STREAM, bytes(4)) + frame(SETTINGS) + frame(RST_STREAM, bytes(4))
    assert (resets_in(data), resets_in(b"")) == (2, 0)
    assert without_resets(data) == frame(PING, bytes(8)) + frame(SETTINGS)
