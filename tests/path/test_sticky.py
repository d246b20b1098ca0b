"""Sticky cookies on the whole path, in memory."""

from __future__ import annotations

import re

from apigw.policy.retry import RetryPolicy
from apigw.policy.sticky import Sticky
from apigw.upstream.sticky import StickyPeers
from tests.kit import Memory
from tests.path.test_resilience import OK, UNAVAILABLE, settle


def memory_with(peers: int = 4, max_age: int | None = None) -> Memory:
    sticky = StickyPeers(Sticky(b"s" * 16, "memory"), b"peer", max_age)
    return Memory(peers=peers, sticky=sticky, retry=RetryPolicy())


def visit(memory: Memory, cookie: bytes = b"", answer: bytes = OK) -> tuple[int, bytes]:
    """:return: the number of the peer that was asked, and the answer."""
    client = memory.client()
    before = len(memory.dials)
    client.feed(b"GET / HTTP/1.1\r\nHost: h\r\n%b\r\n" % (b"Cookie: a=b; %b\r\n" % cookie if cookie else b""))
    assert len(memory.dials) == before + 1
    memory.dials[-1].feed(answer.replace(b"Date: x", b"Connection: close"))
    settle(memory)
    return memory.dialled[before], client.take()


def cookie_of(answer: bytes) -> bytes:
    return re.search(rb"Set-Cookie: (peer=[^;]+); Path=/; HttpOnly; SameSite=Lax\r\n", answer)[1]  # type: ignore[index]


def test_a_client_with_the_cookie_comes_back_to_its_peer() -> None:
    memory = memory_with()
    peer, answer = visit(memory)
    cookie = cookie_of(answer)
    for _ in range(6):
        again, answer = visit(memory, cookie)
        assert again == peer
        assert b"Set-Cookie" not in answer
    assert len({visit(memory)[0] for _ in range(8)}) == 4


def test_a_cookie_that_somebody_made_up_is_worth_nothing() -> None:
    memory = memory_with()
    _, answer = visit(memory)
    forged = cookie_of(answer)[:-2] + b"xx"
    assert len({visit(memory, forged)[0] for _ in range(8)}) == 4
    assert b"Set-Cookie" in visit(memory, forged)[1]


def test_a_client_whose_peer_is_unhealthy_gets_another_one_and_its_cookie() -> None:
    memory = memory_with()
    peer, answer = visit(memory)
    memory.upstream._group.set_available(memory.peers[peer].candidate, False, 0.0)
    other, moved = visit(memory, cookie_of(answer))
    assert other != peer
    assert cookie_of(moved) != cookie_of(answer)


def test_a_retry_leaves_the_peer_of_the_cookie() -> None:
    memory = memory_with(peers=2)
    peer, answer = visit(memory)
    client = memory.client()
    client.feed(b"GET / HTTP/1.1\r\nHost: h\r\nCookie: %b\r\n\r\n" % cookie_of(answer))
    assert memory.dialled[-1] == peer
    memory.dials[-1].feed(UNAVAILABLE)
    settle(memory)
    assert memory.dialled[-1] != peer
    memory.dials[-1].feed(OK)
    assert cookie_of(client.take()) != cookie_of(answer)


def test_no_cookie_for_an_answer_that_failed() -> None:
    memory = memory_with(peers=1)
    _, answer = visit(memory, answer=b"HTTP/1.1 500 Oh\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert b"Set-Cookie" not in answer


def test_a_cookie_may_last() -> None:
    _, answer = visit(memory_with(max_age=60))
    assert b"; Path=/; Max-Age=60; HttpOnly; SameSite=Lax\r\n" in answer
