"""Attempts, peers, breakers and budgets on the whole path, in memory."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionRefusedError

from apigw.messages import Timeouts
from apigw.policy.breaker import BreakerPolicy
from apigw.policy.retry import RetryPolicy
from apigw.upstream.pool import PoolSettings
from tests.kit import Memory, Pipe

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"
OK = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nDate: x\r\nContent-Length: 2\r\n\r\nno"


def ask(memory: Memory, request: bytes = GET) -> Pipe:
    client = memory.client()
    client.feed(request)
    return client


def settle(memory: Memory) -> None:
    """Let pauses between attempts pass."""
    memory.clock.pump([0.1] * 30)


def test_an_attempt_that_finds_no_connection_is_made_at_another_peer_whatever_its_method() -> None:
    memory = Memory(peers=3, retry=RetryPolicy())
    memory.refuse_dials = {0: ConnectionRefusedError()}
    for _ in range(3):
        client = ask(memory, POST)
        settle(memory)
        service = memory.dials[-1]
        assert service.take().endswith(b"\r\n\r\nbody")
        service.feed(OK.replace(b"Date: x", b"Connection: close"))
        assert client.take().endswith(b"hi")
    assert 0 not in memory.dialled
    assert max(len(exchange.attempts) for exchange in memory.done) == 2


def test_an_answer_that_says_unavailable_is_asked_for_again_elsewhere() -> None:
    memory = Memory(peers=2, retry=RetryPolicy())
    client = ask(memory)
    memory.dials[0].feed(UNAVAILABLE)
    assert client.written == b""
    settle(memory)
    assert memory.dialled == [0, 1] or memory.dialled == [1, 0]
    again = memory.dials[1].take()
    assert b"X-Retry-Count: 1\r\n" in again
    memory.dials[1].feed(OK)
    assert client.take().endswith(b"hi")
    assert memory.counts.made == {"503": 1}


def test_the_last_bad_answer_reaches_the_client_as_it_is() -> None:
    memory = Memory(peers=2, retry=RetryPolicy(attempts=2))
    client = ask(memory)
    memory.dials[0].feed(UNAVAILABLE)
    settle(memory)
    memory.dials[1].feed(UNAVAILABLE)
    answer = client.take()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert answer.endswith(b"no")


@pytest.mark.parametrize("framing", [b"Content-Length: 100000\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_bad_answer_whose_body_streams_is_dropped_with_its_connection(framing: bytes) -> None:
    memory = Memory(peers=2, retry=RetryPolicy())
    client = ask(memory)
    memory.dials[0].feed(b"HTTP/1.1 502 Bad Gateway\r\n" + framing + b"\r\n5\r\nhello\r\n")
    assert memory.dials[0].closed == "aborted"
    settle(memory)
    memory.dials[1].feed(OK)
    assert client.take().endswith(b"hi")


def test_a_post_that_was_sent_is_never_sent_again() -> None:
    memory = Memory(peers=2, retry=RetryPolicy())
    client = ask(memory, POST)
    memory.dials[0].end()
    settle(memory)
    assert client.take().startswith(b"HTTP/1.1 502 ")
    assert len(memory.dials) == 1
    assert memory.counts.declined == {"method": 1}


def test_a_get_whose_kept_connection_died_is_sent_again() -> None:
    memory = Memory(retry=RetryPolicy())
    client = ask(memory)
    memory.dials[0].feed(OK)
    client.take()
    client.feed(GET)
    memory.dials[0].end()
    settle(memory)
    memory.dials[1].feed(OK)
    assert client.take().endswith(b"hi")


def test_a_body_that_was_kept_is_sent_again_from_its_first_byte() -> None:
    memory = Memory(peers=2, retry=RetryPolicy())
    client = ask(memory, b"PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
    assert memory.dials[0].take().endswith(b"3\r\none\r\n")
    memory.dials[0].reset()
    client.feed(b"3\r\ntwo\r\n")
    settle(memory)
    client.feed(b"0\r\n\r\n")
    sent = memory.dials[1].take()
    assert sent.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"") == b"3one3two0"
    memory.dials[1].feed(OK)
    assert client.take().endswith(b"hi")


def test_a_body_too_long_to_keep_is_not_sent_again() -> None:
    memory = Memory(peers=2, retry=RetryPolicy())
    client = ask(memory, b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 80000\r\n\r\n" + b"x" * 80000)
    memory.dials[0].reset()
    settle(memory)
    assert client.take().startswith(b"HTTP/1.1 502 ")
    assert memory.counts.declined == {"body": 1}


def test_nothing_is_tried_again_once_a_byte_went_to_the_client() -> None:
    memory = Memory(peers=2, retry=RetryPolicy())
    client = ask(memory)
    memory.dials[0].feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    memory.dials[0].reset()
    settle(memory)
    assert client.closed == "aborted"
    assert len(memory.dials) == 1


def test_a_client_that_goes_away_during_the_pause_ends_it() -> None:
    memory = Memory(peers=2, retry=RetryPolicy(shortest=1.0, longest=1.0))
    client = ask(memory)
    memory.dials[0].feed(UNAVAILABLE)
    client.reset()
    settle(memory)
    assert len(memory.dials) == 1
    assert memory.done[0].error is not None
    assert memory.done[0].error.status == 499


def test_all_attempts_together_have_one_total_deadline() -> None:
    memory = Memory(peers=3, retry=RetryPolicy(reasons=frozenset(("timeout",))), timeouts=Timeouts(1.0, 60.0, 2.5))
    client = ask(memory)
    memory.clock.pump([0.1] * 40)
    assert client.take().startswith(b"HTTP/1.1 504 ")
    assert 2 <= len(memory.done[0].attempts) <= 3
    ended = memory.done[0].attempts[-1]
    assert ended.deadline == memory.done[0].attempts[0].deadline


def test_a_dead_service_gets_no_more_than_its_budget_on_top() -> None:
    memory = Memory(peers=2, retry=RetryPolicy(attempts=3, shortest=0.0, longest=0.0))
    memory.refuse_dials = ConnectionRefusedError()
    for _ in range(100):
        ask(memory)
        memory.clock.advance(0.001)
    settle(memory)
    attempts = sum(len(exchange.attempts) for exchange in memory.done)
    assert len(memory.done) == 100
    assert attempts <= 100 + 20 + 3 + 1


# -- breakers --------------------------------------------------------------------------------------------------------


def trip(memory: Memory, times: int) -> None:
    for _ in range(times):
        client = ask(memory)
        memory.dials[-1].feed(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        assert client.take().startswith(b"HTTP/1.1 500 ")


def test_an_open_breaker_fails_fast_with_its_code_and_a_retry_after() -> None:
    memory = Memory(breaker=BreakerPolicy(volume=5, open_for=30.0))
    trip(memory, 5)
    client = ask(memory)
    answer = client.take()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code": "circuit-open"' in answer
    assert b"Retry-After: 30\r\n" in answer
    assert len(memory.dials) == 5


def test_a_half_open_breaker_admits_its_probes_and_closes_after_enough_of_them() -> None:
    memory = Memory(breaker=BreakerPolicy(volume=5, open_for=30.0, half_open=1, closes_after=2))
    trip(memory, 5)
    memory.clock.advance(30.5)
    first, second = ask(memory), ask(memory)
    assert second.take().startswith(b"HTTP/1.1 503 ")
    memory.dials[-1].feed(OK)
    assert first.take().endswith(b"hi")
    third = ask(memory)
    memory.dials[-1].feed(OK)
    assert third.take().endswith(b"hi")
    assert memory.peers[0].breaker.state == "closed"


def test_a_probe_whose_client_hangs_up_gives_its_permit_back() -> None:
    memory = Memory(breaker=BreakerPolicy(volume=5, open_for=30.0))
    trip(memory, 5)
    memory.clock.advance(30.5)
    ask(memory).reset()
    client = ask(memory)
    memory.dials[-1].feed(OK)
    assert client.take().endswith(b"hi")


def test_peers_with_an_open_breaker_are_passed_over() -> None:
    memory = Memory(peers=2, breaker=BreakerPolicy(volume=1, open_for=30.0))
    client = ask(memory)
    bad = memory.dialled[0]
    memory.dials[0].feed(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
    client.take()
    for _ in range(4):
        client = ask(memory)
        memory.dials[-1].feed(OK)
        assert client.take().endswith(b"hi")
    assert memory.dialled.count(bad) == 1


def test_answers_that_are_cut_in_their_body_count_as_failures() -> None:
    memory = Memory(breaker=BreakerPolicy(ratio=0.5, volume=4, open_for=30.0))
    for _ in range(2):
        client = ask(memory)
        memory.dials[-1].feed(OK.replace(b"Date: x", b"Connection: close"))
        assert client.take().endswith(b"hi")
    for _ in range(2):
        ask(memory)
        memory.dials[-1].feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        memory.dials[-1].reset()
    assert memory.peers[0].breaker.state == "open"
    assert memory.peers[0].candidate.active == 0


def test_a_probe_that_streams_closes_the_breaker_with_its_head() -> None:
    memory = Memory(breaker=BreakerPolicy(volume=5, open_for=30.0, closes_after=1))
    trip(memory, 5)
    memory.clock.advance(30.5)
    ask(memory)
    memory.dials[-1].feed(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
    assert memory.peers[0].breaker.state == "closed"
    memory.dials[-1].reset()
    assert memory.peers[0].candidate.active == 0


def test_requests_under_way_are_counted_until_their_body_ends() -> None:
    memory = Memory()
    client = ask(memory)
    candidate = memory.peers[0].candidate
    assert candidate.active == 1
    memory.dials[0].feed(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
    assert candidate.active == 1
    memory.dials[0].feed(b"lf")
    assert client.take().endswith(b"half")
    assert candidate.active == 0


@pytest.mark.parametrize(("trusted", "told"), [((), b"30000"), (("192.0.2.0/24",), b"1500")])
def test_the_time_that_a_trusted_caller_leaves_shortens_ours(trusted: tuple[str, ...], told: bytes) -> None:
    memory = Memory(trusted=trusted)
    client = ask(memory, GET.replace(b"\r\n\r\n", b"\r\nX-Timeout-Remaining: 1500\r\n\r\n"))
    assert b"X-Timeout-Remaining: " + told + b"\r\n" in memory.dials[0].take()
    memory.clock.pump([0.1] * 16)
    assert bool(client.take()) is bool(trusted)


def test_all_in_line_hear_at_once_that_the_breaker_opened() -> None:
    memory = Memory(pool=PoolSettings(max_connections=1), breaker=BreakerPolicy(volume=1, open_for=30.0))
    first = ask(memory)
    waiting = [ask(memory) for _ in range(5)]
    failed = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
    memory.dials[0].feed(failed)
    assert first.take().startswith(b"HTTP/1.1 500 ")
    memory.dials[0].feed(failed)  # the answer to the one that was sent as the connection became free
    memory.clock.pump([0.0] * 6)
    assert waiting.pop(0).take().startswith(b"HTTP/1.1 500 ")
    for client in waiting:
        assert b'"code": "circuit-open"' in client.take()
