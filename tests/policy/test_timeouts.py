"""Deadlines that travel."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.timeouts import (
    MAX_REMAINING,
    attempt_timeout,
    left,
    milliseconds,
    parse_remaining,
    total,
    worth_waiting,
)

SECONDS = st.floats(0.0, 1e6)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (b"0", 0.0),
        (b"1", 0.001),
        (b"1500", 1.5),
        (b"0001500", 1.5),
        (b"3600000", 3600.0),
        (b"3600001", None),
        (b"9" * 12, None),
        (b"9" * 5000, None),
        (b"", None),
        (b"-1", None),
        (b"+1", None),
        (b"1.5", None),
        (b"1e3", None),
        (b" 1", None),
        (b"1, 2", None),
        (b"5s", None),
        ("²".encode(), None),
        (b"\xff", None),
    ],
)
def test_what_a_caller_leaves(value, seconds):
    assert parse_remaining(value) == seconds


@given(SECONDS, st.none() | SECONDS)
def test_a_caller_can_shorten_only(own, remaining):
    chosen = total(own, remaining)
    assert chosen <= own
    assert chosen in (own, remaining)


@given(SECONDS, SECONDS, st.floats(-1e6, 1e6))
def test_no_attempt_outlives_the_deadline(own, deadline, now):
    timeout = attempt_timeout(own, deadline, now)
    assert 0.0 <= timeout <= own
    assert timeout <= max(0.0, deadline - now)
    assert timeout in (own, left(deadline, now))


def test_without_a_deadline_each_has_its_own_time():
    assert attempt_timeout(15.0, inf, 100.0) == 15.0
    assert left(inf, 100.0) == inf


@pytest.mark.parametrize(
    ("pause", "deadline", "least", "worth"),
    [
        (1.0, 12.0, 0.0, True),
        (2.0, 12.0, 0.0, False),
        (1.0, 12.0, 1.0, False),
        (1.0, 12.0, 0.9, True),
        (0.0, 9.0, 0.0, False),
    ],
)
def test_a_pause_that_leaves_no_time_is_not_made(pause, deadline, least, worth):
    assert worth_waiting(pause, deadline, 10.0, least) == worth


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, 0), (-5.0, 0), (nan, 0), (0.0009, 0), (0.001, 1), (29.9999, 29999), (inf, 3600000), (1e300, 3600000)],
)
def test_what_the_service_is_left(seconds, shown):
    assert milliseconds(seconds) == shown


@given(st.floats())
def test_what_we_send_we_can_read(seconds):
    shown = parse_remaining(b"%d" % milliseconds(seconds))
    assert shown is not None
    assert 0.0 <= shown <= MAX_REMAINING
