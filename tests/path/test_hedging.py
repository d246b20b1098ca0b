"""Hedged requests on the whole path, in memory."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionRefusedError

from apigw.policy.hedge import Hedge, HedgePolicy
from apigw.policy.retry import IDEMPOTENT
from apigw.upstream.hedged import Hedged
from apigw.upstream.pool import PoolSettings
from apigw.upstream.send import Send
from tests.kit import Memory, Pipe
from tests.path.test_resilience import GET, OK, POST, ask


def hedged(memory: Memory) -> Send:
    """Hedges after a second."""
    hedge = Hedge(HedgePolicy(samples=1, shortest=1.0, longest=1.0))
    hedge.answered(0.5, 0.0)
    return Hedged(
        memory.upstream.request,
        memory.upstream,
        hedge,
        memory.budget,
        memory.counts,
        IDEMPOTENT,
        memory.clock,
        memory.clock.seconds,
    )


def racing(memory: Memory) -> tuple[Pipe, Pipe, Pipe]:
    """A client whose request has been sent to two peers."""
    client = ask(memory)
    memory.clock.advance(0.9)
    assert len(memory.dials) == 1
    memory.clock.advance(0.1)
    first, second = memory.dials
    assert memory.dialled[0] != memory.dialled[1]
    assert first.take() == second.take()
    return client, first, second


def test_an_answer_in_time_is_not_hedged() -> None:
    memory = Memory(peers=2, around=hedged)
    client = ask(memory)
    memory.clock.advance(0.9)
    memory.dials[0].feed(OK)
    memory.clock.advance(10.0)
    assert client.take().endswith(b"hi")
    assert len(memory.dials) == 1
    assert not memory.counts.made


def test_the_answer_of_the_copy_counts_and_the_first_request_is_cancelled() -> None:
    memory = Memory(peers=2, around=hedged)
    client, first, second = racing(memory)
    second.feed(OK)
    assert client.take().endswith(b"hi")
    assert first.closed == "aborted"
    assert not second.closed
    attempts = memory.done[0].attempts
    assert [attempt.status for attempt in attempts] == [0, 200]
    assert attempts[-1].candidate is not attempts[0].candidate
    assert memory.counts.made == {"hedge": 1}


def test_the_first_answer_counts_where_it_is_faster_and_the_copy_is_cancelled() -> None:
    memory = Memory(peers=2, around=hedged)
    client, first, second = racing(memory)
    first.feed(OK)
    assert client.take().endswith(b"hi")
    assert second.closed == "aborted"
    assert [attempt.status for attempt in memory.done[0].attempts] == [0, 200]


def test_the_loser_says_nothing_about_its_peer() -> None:
    memory = Memory(peers=2, around=hedged)
    _, first, second = racing(memory)
    second.feed(OK)
    assert first.closed
    assert all(peer.breaker.closed and not peer.candidate.active for peer in memory.peers)


def test_while_one_of_the_two_is_under_way_a_failure_of_the_other_is_no_failure() -> None:
    memory = Memory(peers=2, around=hedged)
    client, first, second = racing(memory)
    first.reset()
    assert client.take() == b""
    second.feed(OK)
    assert client.take().endswith(b"hi")


def test_the_failure_of_the_first_is_told_where_both_fail() -> None:
    memory = Memory(peers=2, around=hedged)
    client, first, second = racing(memory)
    second.feed(b"garbage\r\n\r\n")
    first.reset()
    assert b"upstream-reset" in client.take()


def test_a_failure_before_the_time_of_the_copy_is_one_at_once() -> None:
    memory = Memory(peers=2, around=hedged)
    memory.refuse_dials = ConnectionRefusedError()
    assert b"upstream-connect-failed" in ask(memory).take()
    memory.clock.advance(10.0)


def test_a_client_that_goes_away_ends_both() -> None:
    memory = Memory(peers=2, around=hedged)
    client, first, second = racing(memory)
    client.reset()
    assert (first.closed, second.closed) == ("aborted", "aborted")
    assert len(memory.done) == 1


def test_a_copy_whose_body_streams_streams() -> None:
    memory = Memory(peers=2, around=hedged)
    client, first, second = racing(memory)
    second.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi")
    assert first.closed == "aborted"
    second.feed(b"ho")
    assert client.take().endswith(b"hiho")


@pytest.mark.parametrize("request_", [POST, GET.replace(b"GET", b"PATCH"), POST.replace(b"POST", b"PUT")])
def test_what_may_not_be_sent_twice_or_has_a_body_is_not_hedged(request_: bytes) -> None:
    memory = Memory(peers=2, around=hedged)
    ask(memory, request_)
    memory.clock.advance(5.0)
    assert len(memory.dials) == 1


def test_one_peer_is_not_asked_twice() -> None:
    memory = Memory(peers=1, around=hedged)
    ask(memory)
    memory.clock.advance(5.0)
    assert len(memory.dials) == 1


def test_hedges_are_paid_from_the_budget() -> None:
    memory = Memory(peers=2, around=hedged, pool=PoolSettings(max_connections=100))
    for _ in range(60):
        ask(memory)
    memory.clock.advance(1.0)
    assert 3 <= memory.counts.made["hedge"] <= 3 + 60 * 0.2
    assert memory.counts.made["hedge"] + memory.counts.declined["budget"] == 60
    assert len(memory.dials) == 60 + memory.counts.made["hedge"]


def test_what_waits_for_a_connection_is_not_hedged() -> None:
    memory = Memory(peers=2, around=hedged, pool=PoolSettings(max_connections=1), queue_timeout=30.0)
    for _ in range(3):
        ask(memory)
    memory.dials[0].feed(b"HTTP/1.1 100 Continue\r\n\r\n")
    memory.clock.advance(1.0)
    assert memory.counts.made["hedge"] <= 2
    assert len(memory.dials) == 2
