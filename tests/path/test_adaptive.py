"""The limit that adapts itself, on the whole path, in memory."""

from __future__ import annotations

from apigw.policy.adaptive import LOW, NORMAL, AdaptiveLimit, AdaptivePolicy
from apigw.upstream.adaptive import Adaptive
from apigw.upstream.send import Send
from tests.kit import Memory
from tests.path.test_resilience import GET, OK, UNAVAILABLE, ask

POLICY = AdaptivePolicy(initial=10.0, lowest=2.0, window=0.5, samples=1)


class Limited:
    def __init__(self, priority: int = NORMAL) -> None:
        self.limit = AdaptiveLimit(POLICY)
        self.priority = priority

    def __call__(self, memory: Memory) -> Send:
        return Adaptive(memory.upstream.request, self.limit, self.priority, memory.clock.seconds)


def test_what_is_beyond_the_limit_is_refused_at_once() -> None:
    memory = Memory(around=Limited())
    clients = [ask(memory) for _ in range(10)]
    answers = [client.take() for client in clients]
    assert [answer[:12] for answer in answers] == [b""] * 9 + [b"HTTP/1.1 503"]
    assert b"upstream-overloaded" in answers[-1]
    assert b"Retry-After: 1\r\n" in answers[-1]
    memory.dials[0].feed(OK)
    assert clients[0].take().endswith(b"hi")
    assert ask(memory).take() == b""


def test_routes_of_low_priority_are_refused_first() -> None:
    memory = Memory(around=Limited(LOW))
    assert [bool(ask(memory).take()) for _ in range(8)] == [False] * 7 + [True]


def test_a_service_that_says_it_has_too_much_to_do_gets_less() -> None:
    limited = Limited()
    memory = Memory(around=limited)
    ask(memory)
    memory.clock.advance(1.0)
    memory.dials[0].feed(UNAVAILABLE)
    assert limited.limit.limit == 9.0
    assert limited.limit.active == 0


def test_a_client_that_goes_away_gives_its_place_back() -> None:
    limited = Limited()
    memory = Memory(around=limited)
    client = ask(memory)
    assert limited.limit.active == 1
    client.reset()
    assert (limited.limit.active, limited.limit.limit) == (0, 10.0)


def test_answers_that_take_longer_and_longer_lower_the_limit() -> None:
    limited = Limited()
    memory = Memory(around=limited)
    limits = []
    for seconds in (0.1, 0.1, 5.0, 5.0):
        clients = [ask(memory, GET) for _ in range(6)]
        memory.clock.advance(seconds)
        for connection in memory.dials:
            if connection.take():
                connection.feed(OK)
        assert all(client.take().endswith(b"hi") for client in clients)
        memory.clock.advance(0.5)
        limits.append(limited.limit.limit)
    assert limits[0] < limits[1] > limits[2] > limits[3]
