"""Answers as bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.cache.kept import packed, unpacked
from apigw.policy.cache.store import Entry
from apigw.policy.cache.terms import Terms

URI = (b"h", b"/a")
SPACE = ("route", None, "")

seconds = st.floats(0.0, 1e6)
plain = st.binary(max_size=30).filter(lambda data: b"\r" not in data and b"\n" not in data)
entries = st.builds(
    lambda status, fields, body, terms, age, since, vary: Entry(
        URI, SPACE, status, b"OK", fields, body, terms, age, since, tuple(n for n, _ in vary), tuple(v for _, v in vary)
    ),
    st.integers(200, 599),
    st.lists(st.tuples(plain, plain), max_size=5),
    st.binary(max_size=200),
    st.builds(Terms, seconds, st.booleans(), st.booleans(), st.booleans(), seconds, seconds),
    seconds,
    seconds,
    st.lists(st.tuples(plain, st.none() | st.binary(max_size=10)), max_size=3),
)


@given(entries, seconds)
def test_another_process_has_the_same_and_as_old(entry: Entry, here: float) -> None:
    now = entry.since + 5.0
    got = unpacked(packed(entry, now, 1e9), URI, SPACE, here, 1e9 + 2.0)
    assert got is not None
    for name in ("status", "reason", "fields", "body", "terms", "vary", "values", "size"):
        assert getattr(got, name) == getattr(entry, name)
    assert got.at(here) == pytest.approx(entry.at(now) + 2.0, abs=1e-3)


@given(st.binary(max_size=200))
def test_garbage_is_nothing(data: bytes) -> None:
    assert unpacked(data, URI, SPACE, 0.0, 0.0) is None


@given(entries, st.data())
def test_what_was_cut_or_changed_is_nothing_or_whole(entry: Entry, data: st.DataObject) -> None:
    whole = packed(entry, 0.0, 1e9)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert unpacked(cut, URI, SPACE, 0.0, 1e9) is None


def test_an_answer_without_a_body_has_its_line_ended() -> None:
    whole = packed(Entry(URI, SPACE, 204, b"No Content", [], b"", Terms(60.0), 0.0, 0.0), 0.0, 0.0)
    assert unpacked(whole, URI, SPACE, 0.0, 0.0) is not None
    assert unpacked(whole[:-1], URI, SPACE, 0.0, 0.0) is None


@pytest.mark.parametrize(
    "change",
    [
        {"status": 100},
        {"status": "200"},
        {"fields": [["X", "a\r\nSet-Cookie: b"]]},
        {"fields": [["X"]]},
        {"lifetime": float("nan")},
        {"born": "soon"},
        {"size": 0},
        {"vary": ["a"]},
        {"values": [1]},
    ],
)
def test_what_nobody_of_ours_has_written_is_nothing(change: dict[str, object]) -> None:
    entry = Entry(URI, SPACE, 200, b"OK", [(b"X", b"y")], b"body", Terms(60.0), 0.0, 0.0)
    head, _, body = packed(entry, 0.0, 0.0).partition(b"\n")
    made = json.dumps(json.loads(head) | change).encode() + b"\n" + body
    assert unpacked(made, URI, SPACE, 0.0, 0.0) is None
