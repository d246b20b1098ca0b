"""Who calls, as two fields say it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.traceparent import MAX_STATE, Parent, Ratio, parent_line, parse_parent, parse_state

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = b"00f067aa0ba902b7"
GOOD = b"00-%b-%b-01" % (TRACE, SPAN)


def test_a_parent() -> None:
    assert parse_parent([GOOD]) == Parent(TRACE, SPAN, 1)
    assert not parse_parent([GOOD[:-1] + b"0"]).sampled
    assert parse_parent([GOOD[:-2] + b"ff"]).flags == 3


def test_later_versions_may_say_more() -> None:
    assert parse_parent([b"cc" + GOOD[2:]]) == Parent(TRACE, SPAN, 1)
    assert parse_parent([b"cc" + GOOD[2:] + b"-what.the.future"]) == Parent(TRACE, SPAN, 1)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [GOOD, GOOD],
        [b""],
        [GOOD.upper()],
        [GOOD + b"-"],
        [GOOD + b"-more"],
        [b"cc" + GOOD[2:] + b"more"],
        [b"ff" + GOOD[2:]],
        [b" " + GOOD],
        [GOOD + b"\n"],
        [GOOD[:-1]],
        [GOOD.replace(TRACE, b"0" * 32)],
        [GOOD.replace(SPAN, b"0" * 16)],
        [GOOD.replace(b"-", b"_")],
        [b"00-%b-%b-0g" % (TRACE, SPAN)],
    ],
)
def test_anything_else_begins_a_new_trace(values: list[bytes]) -> None:
    assert parse_parent(values) is None


@given(st.binary(max_size=80))
def test_garbage_never_fails(data: bytes) -> None:
    found = parse_parent([data])
    assert found is None or b"-" + found.trace_id + b"-" + found.span_id + b"-" in data
    state = parse_state([data])
    assert len(state) <= MAX_STATE
    assert b"\n" not in state
    assert b"\r" not in state


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ([], b""),
        ([b"rojo=00f067aa0ba902b7"], b"rojo=00f067aa0ba902b7"),
        ([b"a=1 , b=2", b"c=3,,"], b"a=1,b=2,c=3"),
        ([b"fw529a3039@dt=x", b"1a@b=y"], b"fw529a3039@dt=x,1a@b=y"),
        ([b"a=1,a=2"], b""),
        ([b"A=1"], b""),
        ([b"a"], b""),
        ([b"a="], b""),
        ([b"a=b=c"], b""),
        ([b"a=\x01"], b""),
        ([b"1a=x"], b""),
        ([b",".join(b"k%d=v" % n for n in range(33))], b""),
        ([b",".join(b"k%d=v" % n for n in range(32))], b",".join(b"k%d=v" % n for n in range(32))),
        ([b"a=" + b"x" * 256 + b",b=" + b"y" * 256], b""),
    ],
)
def test_a_state(values: list[bytes], state: bytes) -> None:
    assert parse_state(values) == state


@given(st.binary(min_size=16, max_size=16).map(bytes.hex).map(str.encode), st.floats(0.0, 1.0))
def test_a_share_is_the_same_everywhere(trace_id: bytes, share: float) -> None:
    assert Ratio(share).takes(trace_id) == (int(trace_id[-14:], 16) < share * 2**56)


def test_all_and_none() -> None:
    assert Ratio(1.0).takes(b"f" * 32)
    assert not Ratio(0.0).takes(b"0" * 31 + b"1")
    assert sum(Ratio(0.25).takes(b"0" * 18 + b"%014x" % (n << 48)) for n in range(256)) == 64


def test_the_line_can_be_parsed() -> None:
    for flags in range(4):
        line = parent_line(TRACE, SPAN, flags)
        assert parse_parent([line.removeprefix(b"traceparent: ").removesuffix(b"\r\n")]) == Parent(TRACE, SPAN, flags)
