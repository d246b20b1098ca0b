"""What is tried again, when, and what never is."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw import errors
from apigw.policy.retry import (
    IDEMPOTENT,
    MAX_CHAIN,
    MAX_RETRY_AFTER,
    REASONS,
    RETRY,
    RetryPolicy,
    parse_retry_after,
    parse_retry_count,
    policy,
)

ALL = RetryPolicy(reasons=REASONS)
NEW_YEAR = 946684800.0  # 2000-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("reason", "method", "sent", "replayable", "verdict"),
    [
        # Nothing was sent, so nothing can be done twice.
        ("connect", b"GET", False, True, RETRY),
        ("connect", b"POST", False, True, RETRY),
        ("connect", b"POST", False, False, "body"),
        # The peer may have done it.
        ("reset", b"GET", True, True, RETRY),
        ("reset", b"PUT", True, True, RETRY),
        ("reset", b"DELETE", True, True, RETRY),
        ("reset", b"PUT", True, False, "body"),
        ("reset", b"POST", True, True, "method"),
        ("reset", b"PATCH", True, True, "method"),
        ("reset", b"get", True, True, "method"),  # methods are case-sensitive, RFC 9110 section 9.1
        ("reset", b"BREW", True, True, "method"),
        ("timeout", b"GET", True, True, RETRY),
        ("timeout", b"POST", True, True, "method"),
        ("timeout", b"POST", False, True, RETRY),
        # Another try would change nothing.
        ("", b"GET", False, True, "reason"),
        ("", b"GET", True, True, "reason"),
    ],
)
def test_an_attempt_without_an_answer(reason, method, sent, replayable, verdict):
    assert ALL.unanswered(1, reason, method, sent=sent, replayable=replayable) == verdict


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (errors.ConnectFailed(), RETRY),
        (errors.NameNotResolved(), RETRY),
        (errors.ConnectTimeout(), RETRY),
        (errors.TlsFailed(), "reason"),
        (errors.UpstreamProtocolError(), RETRY),
        (errors.UpstreamOverloaded(), "reason"),
        (errors.UpstreamReset(), RETRY),
        (errors.StaleConnection(), RETRY),
        (errors.UpstreamTimeout(), "reason"),  # not among the defaults
    ],
)
def test_by_the_words_of_errors(error, verdict):
    assert RetryPolicy().unanswered(1, error.reason, b"GET", sent=False, replayable=True) == verdict


def test_a_kept_connection_that_died_is_no_leave_to_post_twice():
    reason = errors.StaleConnection.reason
    assert ALL.unanswered(1, reason, b"GET", sent=True, replayable=True) == RETRY
    assert ALL.unanswered(1, reason, b"POST", sent=True, replayable=True) == "method"


@pytest.mark.parametrize(
    ("status", "method", "replayable", "retry_after", "verdict"),
    [
        (200, b"GET", True, None, "status"),
        (404, b"GET", True, None, "status"),
        (500, b"GET", True, None, "status"),
        (502, b"GET", True, None, RETRY),
        (503, b"DELETE", True, 0.0, RETRY),
        (503, b"GET", True, MAX_RETRY_AFTER, RETRY),
        (503, b"GET", True, MAX_RETRY_AFTER + 1, "retry-after"),
        (503, b"POST", True, None, "method"),
        (504, b"PUT", False, None, "body"),
    ],
)
def test_an_answer(status, method, replayable, retry_after, verdict):
    assert ALL.answered(1, status, method, replayable=replayable, retry_after=retry_after) == verdict


@pytest.mark.parametrize(("attempts", "made"), [(1, 1), (2, 2), (3, 3), (10, 10)])
def test_no_more_attempts_than_allowed(attempts, made):
    chosen = RetryPolicy(attempts)
    count = 1
    while not chosen.unanswered(count, "connect", b"GET", sent=False, replayable=True):
        count += 1
    assert count == made
    assert chosen.answered(attempts, 503, b"GET", replayable=True) == "attempts"


def test_a_chain_of_retries_ends():
    assert ALL.answered(1, 503, b"GET", replayable=True, chain=MAX_CHAIN - 1) == RETRY
    assert ALL.answered(1, 503, b"GET", replayable=True, chain=MAX_CHAIN) == "chain"
    assert ALL.unanswered(1, "connect", b"GET", sent=False, replayable=True, chain=MAX_CHAIN) == "chain"


def test_methods_may_be_named():
    chosen = RetryPolicy(methods=frozenset((b"POST",)))
    assert chosen.unanswered(1, "reset", b"POST", sent=True, replayable=True) == RETRY
    assert chosen.unanswered(1, "reset", b"GET", sent=True, replayable=True) == "method"


# -- pauses ------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 10_000), st.integers(0, 2**32), st.floats(0.0, 10.0))
def test_pauses_stay_within_their_bounds(attempt, seed, retry_after):
    pause = RetryPolicy(shortest=0.05, longest=2.0).pause(attempt, Random(seed), retry_after)
    assert retry_after <= pause <= retry_after + min(2.0, 0.05 * 2.0 ** min(attempt - 1, 99))


def test_pauses_grow_and_use_the_whole_range():
    chance = Random(1)
    chosen = RetryPolicy(shortest=0.1, longest=1.0)
    for attempt, scale in [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (5, 1.0), (6, 1.0)]:
        pauses = [chosen.pause(attempt, chance) for _ in range(500)]
        assert min(pauses) < 0.05 * scale
        assert 0.95 * scale < max(pauses) < scale


# -- configuration -----------------------------------------------------------------------------------------------------


def test_the_words_of_the_configuration():
    assert policy(3, ["connect", "reset", "502", "503", "504"], ["idempotent"], 0.05, 2.0) == RetryPolicy()
    chosen = policy(1, ["timeout", "429"], ["idempotent", "POST"], 0.0, 0.0)
    assert chosen.reasons == {"timeout"}
    assert chosen.statuses == {429}
    assert chosen.methods == IDEMPOTENT | {b"POST"}
    assert policy(2, [], ["GET"], 1.0, 1.0).methods == {b"GET"}


@pytest.mark.parametrize("word", ["conect", "", "200", "600", "99999", "-503", "5xx", "٥٠٣", "503 "])
def test_words_that_mean_nothing(word):
    with pytest.raises(ValueError, match="neither a status"):
        policy(3, ["connect", word], ["idempotent"], 0.05, 2.0)


@pytest.mark.parametrize(("attempts", "shortest", "longest"), [(0, 0.1, 1.0), (3, 2.0, 1.0), (3, -1.0, 1.0)])
def test_numbers_that_make_no_sense(attempts, shortest, longest):
    with pytest.raises(ValueError, match=r"attempt|pause"):
        policy(attempts, [], [], shortest, longest)


# -- fields ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (None, 0),
        (b"", 0),
        (b"0", 0),
        (b"2", 2),
        (b"002", 2),
        (b"3", 3),
        (b"77", MAX_CHAIN),
        (b"9" * 5000, MAX_CHAIN),
        (b"-1", 0),
        (b"1, 2", 0),
        (b"1.5", 0),
        ("²".encode(), 0),
    ],
)
def test_retry_counts(value, count):
    assert parse_retry_count(value) == count


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (b"0", 0.0),
        (b"120", 120.0),
        (b" 5\t", 5.0),
        (b"Sat, 01 Jan 2000 00:00:30 GMT", 30.0),
        (b"Saturday, 01-Jan-00 00:00:30 GMT", 30.0),
        (b"Sat Jan  1 00:00:30 2000", 30.0),
        (b"Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        (b"", None),
        (b"-5", None),
        (b"1.5", None),
        (b"soon", None),
        (b"Sat, 99 Jan 2000 00:00:30 GMT", None),
        (b"Sat, 01 Jan 99999 00:00:30 GMT", None),
        ("²".encode(), None),
        (b"1" * 65, None),
    ],
)
def test_retry_after(value, seconds):
    assert parse_retry_after(value, NEW_YEAR) == seconds


@given(st.binary(max_size=70) | st.text("SatJan0123456789 ,:-+GMT", max_size=40).map(str.encode))
def test_no_retry_after_is_an_exception(value):
    seconds = parse_retry_after(value, NEW_YEAR)
    assert seconds is None or seconds >= 0.0
