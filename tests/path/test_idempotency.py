"""Idempotency keys over the whole path in memory."""

from __future__ import annotations

from itertools import count

import pytest
import pytest_twisted

from apigw.policy.idempotency import Answer, dump, fingerprint, place
from apigw.policy.retry import RetryPolicy
from apigw.stages.idempotency import CAPACITY, EACH, LEASE, MAX_BODY, Answers, Claims, Once
from apigw.stages.pieces import PIECE
from apigw.state.answers import LocalAnswers
from tests.kit import Memory, Pipe
from tests.path.test_exchange import head_of
from tests.path.test_limits import Says

OK = b"HTTP/1.1 201 Created\r\nDate: x\r\nX-Own: 1\r\nContent-Length: 2\r\n\r\nhi"
NO = b"HTTP/1.1 503 No\r\nDate: x\r\nContent-Length: 2\r\n\r\nno"


class Down:
    """A store that fails."""

    down = True

    def __init__(self, answers: LocalAnswers) -> None:
        self._answers = answers

    def __getattr__(self, name: str):
        async def step(*arguments):
            if self.down:
                raise ConnectionError("the store is gone")
            return await getattr(self._answers, name)(*arguments)

        return step


class Gate:
    def __init__(self, answers: Answers | None = None, retry: RetryPolicy | None = None) -> None:
        plain = Memory(stages=[Says()], retry=retry)
        self.memory = plain
        seconds = plain.clock.seconds
        self.answers = LocalAnswers(seconds)
        numbers = count()
        claims = Claims(answers or self.answers, plain.clock, seconds, lambda: b"%d" % next(numbers))
        self.room = claims.room
        plain.route.across = Once(plain.across, claims, 3600.0, 30.0)

    def ask(self, key: str = "k", body: bytes = b"body", more: str = "", method: str = "POST", path: str = "/") -> Pipe:
        client = self.memory.client()
        head = f"{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n"
        head += f"Idempotency-Key: {key}\r\n" * bool(key) + more
        client.feed(head.encode() + b"\r\n" + body)
        return client

    @property
    def served(self) -> int:
        """How often the service was asked."""
        return sum(dial.written.count(b" HTTP/1.1\r\n") for dial in self.memory.dials)


def answer(client: Pipe) -> tuple[int, dict[bytes, bytes], bytes]:
    first, fields, body = head_of(client.take())
    return int(first.split()[1]), fields, body


def test_what_is_asked_again_has_the_same_answer() -> None:
    gate = Gate()
    first = gate.ask()
    assert b"Idempotency-Key: k" in gate.memory.dials[0].written
    assert gate.memory.dials[0].written.endswith(b"\r\n\r\nbody")
    gate.memory.dials[0].feed(OK)
    status, fields, body = answer(first)
    assert (status, body, fields[b"x-own"]) == (201, b"hi", b"1")
    assert b"idempotency-replayed" not in fields
    for more in ("", "X-Idempotency-Key: k\r\n"):
        status, fields, body = answer(gate.ask(more=more))
        assert (status, body, fields[b"x-own"]) == (201, b"hi", b"1")
        assert fields[b"idempotency-replayed"] == b"true"
        assert fields[b"content-length"] == b"2"
    assert gate.served == 1


def test_a_hundred_at_once_are_one_for_the_service() -> None:
    gate = Gate()
    clients = [gate.ask() for _ in range(100)]
    assert gate.served == 1
    assert not any(client.written for client in clients)
    gate.memory.dials[0].feed(OK)
    answers = [answer(client) for client in clients]
    assert {(status, body) for status, _, body in answers} == {(201, b"hi")}
    assert [b"idempotency-replayed" in fields for _, fields, _ in answers] == [False] + [True] * 99


@pytest.mark.parametrize("what", [{"body": b"else"}, {"method": "PATCH"}, {"path": "/other"}])
@pytest.mark.parametrize("done", [True, False])
def test_a_key_is_for_one_request(what: dict, done: bool) -> None:
    gate = Gate()
    gate.ask()
    if done:
        gate.memory.dials[0].feed(OK)
    status, _, body = answer(gate.ask(**what))
    assert status == 422
    assert b"idempotency-key-reused" in body
    assert gate.served == 1


def test_keys_of_others_are_others() -> None:
    gate = Gate()
    for more in ("From: 192.0.2.1\r\n", "From: 192.0.2.2\r\n", "Who: ann\r\n", "Who: acme\r\n"):
        gate.ask(more=more)
    assert gate.served == 4


@pytest.mark.parametrize("name", ["Cookie", "Authorization", "X-Api-Key"])
def test_guests_of_one_address_whom_the_service_tells_apart_get_nothing_of_each_other(name: str) -> None:
    gate = Gate()
    first = gate.ask(more=f"{name}: anna\r\n")
    waiting = gate.ask(more=f"{name}: bob\r\n")
    gate.memory.dials[0].feed(OK)
    assert answer(first)[0] == 201
    assert answer(waiting)[0] == 422
    for more, status in ((f"{name}: anna\r\n", 201), (f"{name}: bob\r\n", 422), ("", 422)):
        assert answer(gate.ask(more=more))[0] == status
    assert gate.served == 1


def test_without_a_key_and_with_a_safe_method_nothing_is_kept() -> None:
    gate = Gate()
    gate.ask("")
    gate.ask("")
    gate.ask(method="GET")
    gate.ask(method="GET")
    assert gate.served == 4


@pytest.mark.parametrize("key", ["with space", "x" * 300, "k\r\nIdempotency-Key: l"])
def test_what_is_no_key_is_refused(key: str) -> None:
    status, _, body = answer(Gate().ask(key))
    assert status == 400
    assert b"idempotency-key-invalid" in body


def test_whoever_went_away_finds_the_answer() -> None:
    gate = Gate()
    gate.ask().reset()
    again = gate.ask()
    assert not again.written
    gate.memory.dials[0].feed(OK)
    assert answer(again)[0] == 201
    assert answer(gate.ask())[0] == 201
    assert gate.served == 1


def test_an_answer_that_says_not_now_is_for_those_who_wait_and_not_kept() -> None:
    gate = Gate()
    first, second = gate.ask(), gate.ask()
    gate.memory.dials[0].feed(NO)
    assert [answer(client)[0] for client in (first, second)] == [503, 503]
    gate.ask()
    assert gate.served == 2


def test_a_failure_is_for_those_who_wait_and_not_kept() -> None:
    gate = Gate()
    first, second = gate.ask(), gate.ask()
    gate.memory.dials[0].feed(OK[:-1])
    gate.memory.dials[0].reset()
    assert [answer(client)[0] for client in (first, second)] == [502, 502]
    gate.ask()
    assert gate.memory.dials[1].written


def test_with_a_key_a_post_is_tried_again() -> None:
    gate = Gate(retry=RetryPolicy(attempts=2))
    first = gate.ask()
    gate.memory.dials[0].reset()
    gate.memory.clock.advance(3.0)
    gate.memory.dials[1].feed(OK)
    assert answer(first)[0] == 201
    without = gate.ask("")
    gate.memory.dials[1].reset()
    assert answer(without)[0] == 502


def test_an_answer_too_large_to_be_kept_is_the_firsts_alone() -> None:
    gate = Gate()
    first, second = gate.ask(), gate.ask()
    size = MAX_BODY + 1000
    service = gate.memory.dials[0]
    service.feed(b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * (MAX_BODY + 1))
    assert answer(second)[0] == 409
    service.feed(b"y" * 999)
    status, _, body = answer(first)
    assert (status, len(body), body[-1000:]) == (200, size, b"x" + b"y" * 999)
    third = answer(gate.ask())
    assert third[0] == 409
    assert b"idempotency-answer-not-kept" in third[2]
    assert gate.served == 1


def test_a_body_too_large_for_a_fingerprint_is_refused() -> None:
    assert answer(Gate().ask(body=b"x" * (MAX_BODY + 1)))[0] == 413


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it() -> None:
    gate = Gate()
    client = gate.memory.client()
    client.feed(
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\nIdempotency-Key: k\r\n\r\n"
    )
    assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.feed(b"body")
    assert b"Expect" not in gate.memory.dials[0].written
    gate.memory.dials[0].feed(OK)
    assert answer(client)[0] == 201


def test_who_waits_too_long_is_told_so_and_the_service_goes_on() -> None:
    gate = Gate()
    gate.memory.route.across._patience = 5.0
    gate.ask()
    second = gate.ask()
    gate.memory.clock.advance(5.0)
    status, fields, body = answer(second)
    assert (status, fields[b"retry-after"]) == (409, b"1")
    assert b"idempotency-key-under-way" in body
    gate.memory.dials[0].feed(OK)
    assert answer(gate.ask())[0] == 201


@pytest_twisted.ensureDeferred
async def test_a_claim_of_another_gateway_is_waited_for_and_taken_over_when_that_dies() -> None:
    gate = Gate()
    theirs = fingerprint(b"POST", b"h", b"/", b"body") + b"?" + b"their token"
    await gate.answers.claim(place("ip 192.0.2.7", b"k"), theirs, LEASE)
    client = gate.ask()
    for _ in range(59):
        gate.memory.clock.advance(0.1)
    assert gate.served == 0
    for _ in range(5):
        gate.memory.clock.advance(0.1)
    assert gate.served == 1, "nobody has renewed it"
    gate.memory.dials[0].feed(OK)
    status, fields, _ = answer(client)
    assert status == 201
    assert b"idempotency-replayed" not in fields


@pytest_twisted.ensureDeferred
async def test_a_claim_is_renewed_as_long_as_the_service_takes() -> None:
    gate = Gate()
    gate.ask()
    theirs = fingerprint(b"POST", b"h", b"/", b"body") + b"?" + b"their token"
    for _ in range(14):
        gate.memory.clock.advance(1.0)
        assert await gate.answers.claim(place("ip 192.0.2.7", b"k"), theirs, LEASE) != theirs


@pytest_twisted.ensureDeferred
async def test_an_answer_of_another_gateway_is_waited_for() -> None:
    gate = Gate()
    told = fingerprint(b"POST", b"h", b"/", b"body")
    where = place("ip 192.0.2.7", b"k")
    await gate.answers.claim(where, told + b"?theirs", LEASE)
    client = gate.ask()
    gate.memory.clock.advance(0.1)
    kept = Answer(200, b"OK", [(b"X-Own", b"2")], b"Date: x\r\n", b"theirs")
    await gate.answers.finish(where, told + b"?theirs", told + b"=" + dump(kept), 60.0)
    gate.memory.clock.advance(0.3)
    status, fields, body = answer(client)
    assert (status, fields[b"x-own"], fields[b"idempotency-replayed"], body) == (200, b"2", b"true", b"theirs")
    assert gate.served == 0


def test_where_keys_can_not_be_looked_up_nothing_is_done(logged_errors: object) -> None:
    gate = Gate(Down(LocalAnswers(lambda: 0.0)))
    status, fields, body = answer(gate.ask())
    assert (status, fields[b"retry-after"]) == (503, b"1")
    assert b"idempotency-unavailable" in body
    assert gate.served == 0
    gate.ask("")
    assert gate.served == 1


def test_an_answer_that_can_not_be_kept_at_once_is_kept_later() -> None:
    down = Down(LocalAnswers(lambda: 0.0))
    down.down = False
    gate = Gate(down)
    first = gate.ask()
    down.down = True
    gate.memory.dials[0].feed(OK)
    assert answer(first)[0] == 201
    assert answer(gate.ask())[0] == 201, "this gateway knows it"
    down.down = False
    gate.memory.clock.advance(0.5)
    assert gate.memory.route.across._claims.flights == {}
    assert answer(gate.ask())[0] == 201
    assert gate.served == 1


# -- what it holds in memory -------------------------------------------------------------------------------------------


def long(size: int) -> bytes:
    return b"HTTP/1.1 201 Created\r\nDate: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size


def slow(client: Pipe) -> None:
    """From now on it takes what is written, and then nothing until it is asked to."""

    def write(data: bytes) -> None:
        Pipe.write(client, data)
        client.producer.pauseProducing()

    client.write = write


def test_a_hundred_who_wait_hold_one_body_and_slow_ones_one_answer() -> None:
    gate = Gate()
    clients = [gate.ask(body=b"x" * MAX_BODY) for _ in range(100)]
    assert gate.room.size == MAX_BODY + EACH
    for client in clients:
        slow(client)
    gate.memory.dials[0].feed(long(MAX_BODY))
    assert gate.room.size == MAX_BODY, "what all of them are given"
    assert all(0 < len(client.written) < 2 * PIECE for client in clients)
    for client in clients:
        for _ in range(MAX_BODY // PIECE):
            client.producer.resumeProducing()
    assert {(status, len(body)) for status, _, body in map(answer, clients)} == {(201, MAX_BODY)}
    assert gate.served == 1
    assert gate.room.size == 0


def test_a_slow_client_that_goes_away_gives_back_what_it_held() -> None:
    gate = Gate()
    client = gate.ask()
    slow(client)
    gate.memory.dials[0].feed(long(MAX_BODY))
    assert gate.room.size == MAX_BODY
    client.reset()
    assert gate.room.size == 0


def test_without_room_a_request_is_refused_undone_and_may_come_again() -> None:
    gate = Gate()
    gate.room.capacity = 3 * EACH + 3 * 50_000
    clients = [gate.ask(str(number), b"x" * 50_000) for number in range(100)]
    assert gate.served == 3
    for client in clients[3:]:
        status, fields, body = answer(client)
        assert (status, fields[b"retry-after"]) == (503, b"1")
        assert b"idempotency-full" in body
    assert gate.room.refused == 97
    for dial in gate.memory.dials:
        dial.feed(OK)
    assert [answer(client)[0] for client in clients[:3]] == [201] * 3
    assert gate.room.size == 0
    gate.ask("99", b"x" * 50_000)
    assert gate.served == 4


def test_what_comes_in_chunks_is_refused_as_soon_as_there_is_no_room() -> None:
    gate = Gate()
    gate.room.capacity = EACH + 1000
    client = gate.memory.client()
    client.feed(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nIdempotency-Key: k\r\n\r\n")
    client.feed(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
    assert not client.written
    client.feed(b"1\r\nx\r\n")
    assert answer(client)[0] == 503
    assert gate.served == 0
    assert gate.room.size == 0
    client = gate.memory.client()
    client.feed(
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nIdempotency-Key: k\r\n\r\n"
        b"3e9\r\n" + b"x" * 1001 + b"\r\n"
    )
    assert answer(client)[0] == 503
    assert gate.room.size == 0


def test_who_goes_away_while_it_sends_gives_back_what_it_held() -> None:
    gate = Gate()
    client = gate.memory.client()
    client.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\nIdempotency-Key: k\r\n\r\n" + b"x" * 1000)
    assert gate.room.size == EACH + 1000
    client.reset()
    assert gate.room.size == 0


def test_an_answer_without_room_is_the_firsts_alone() -> None:
    gate = Gate()
    gate.room.capacity = 2 * EACH + 1000
    first, second = gate.ask(), gate.ask()
    gate.memory.dials[0].feed(long(20_000))
    assert (answer(second)[0], answer(gate.ask())[0]) == (409, 409)
    status, _, body = answer(first)
    assert (status, len(body)) == (201, 20_000)
    assert gate.served == 1
    assert gate.room.size == 0


def test_a_kept_answer_without_room_is_had_later() -> None:
    gate = Gate()
    gate.ask()
    gate.memory.dials[0].feed(long(100_000))
    gate.room.capacity = EACH + 50_000
    assert answer(gate.ask())[0] == 503
    gate.room.capacity = CAPACITY
    assert answer(gate.ask())[0] == 201
    assert gate.served == 1


def test_what_failed_holds_nothing() -> None:
    gate = Gate()
    client = gate.ask()
    gate.memory.dials[0].feed(long(1000)[:-1])
    gate.memory.dials[0].reset()
    assert answer(client)[0] == 502
    assert gate.room.size == 0


def test_an_answer_that_can_not_be_kept_counts_until_it_is() -> None:
    down = Down(LocalAnswers(lambda: 0.0))
    down.down = False
    gate = Gate(down)
    gate.ask()
    down.down = True
    gate.memory.dials[0].feed(long(1000))
    assert gate.room.size > EACH + 2000
    down.down = False
    gate.memory.clock.advance(0.5)
    assert gate.room.size == 0
