"""The cache over the whole path in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from email.utils import formatdate

import pytest

from apigw.policy.cache.terms import Rules
from apigw.stages.cache import APART, MARKS, PATIENCE, Cached, Invalidation, ResponseCache
from tests.kit import Memory, Pipe
from tests.path.test_exchange import head_of
from tests.path.test_limits import Says

EPOCH = 1_700_000_000.0
MINUTE = Rules(60.0)
Answer = tuple[int, dict[bytes, bytes], bytes]


class Kept:
    """A gateway that keeps what its service answers."""

    def __init__(
        self,
        rules: Rules = MINUTE,
        capacity: int = 10**6,
        largest: int = 10_000,
        renamed: Mapping[bytes, bytes] | None = None,
    ) -> None:
        self.memory = Memory(stages=[Says()])
        clock = self.memory.clock
        self.cache = ResponseCache(capacity, largest, clock, clock.seconds, lambda: EPOCH + clock.seconds())
        self.memory.route.across = Cached(self.memory.across, self.cache, rules, "memory", renamed=renamed)

    def ask(self, more: str = "", path: str = "/a", method: str = "GET", host: str = "h") -> Pipe:
        client = self.memory.client()
        client.feed(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode())
        return client

    @property
    def asked(self) -> int:
        """How often the service was, and got no answer yet or wasn't looked at."""
        return sum(dial.written.count(b" HTTP/1.1\r\n") for dial in self.memory.dials)

    def take(self) -> tuple[Pipe, bytes]:
        """The one connection with a request that wasn't answered, and that."""
        [service] = [dial for dial in self.memory.dials if dial.written]
        return service, service.take()

    def answer(self, fields: str = "", body: bytes = b"one", status: int = 200, dated: bool = True) -> bytes:
        """Answer the one request that waits. :return: it."""
        service, request = self.take()
        date = f"Date: {formatdate(EPOCH + self.memory.clock.seconds(), usegmt=True)}\r\n" * dated
        length = "" if status in (204, 304) else f"Content-Length: {len(body)}\r\n"
        head = f"HTTP/1.1 {status} x\r\n{date}{length}{fields}\r\n"
        service.feed(head.encode() + (body if length and not request.startswith(b"HEAD") else b""))
        return request

    def get(
        self, fields: str = "", body: bytes = b"one", more: str = "", **what
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        """Ask, and let the service answer if it is asked."""
        client = self.ask(more, **what)
        if self.asked:
            self.answer(fields, body)
        return told(client)

    def wait(self, seconds: float) -> None:
        self.memory.clock.advance(seconds)


def told(client: Pipe) -> Answer:
    first, fields, body = head_of(client.take())
    return int(first.split()[1]), fields, body


def says(fields: dict[bytes, bytes]) -> bytes:
    return fields[b"cache-status"].removeprefix(b"apigw; ")


def test_what_is_fresh_is_given_again_with_its_age() -> None:
    kept = Kept(Rules())
    status, fields, body = kept.get("Cache-Control: max-age=10\r\nX-Own: 1\r\n")
    assert (status, body, says(fields)) == (200, b"one", b"fwd=uri-miss; stored")
    assert b"age" not in fields
    kept.wait(7.0)
    status, fields, body = kept.get(body=b"two")
    assert (status, body, says(fields)) == (200, b"one", b"hit; ttl=3")
    assert (fields[b"age"], fields[b"x-own"], fields[b"content-length"]) == (b"7", b"1", b"3")
    kept.wait(3.0)
    status, fields, body = kept.get(body=b"two")
    assert (body, says(fields)) == (b"two", b"fwd=stale")
    assert kept.cache.counts == {("memory", "miss"): 2, ("memory", "hit"): 1}


def test_age_counts_what_was_before_us() -> None:
    kept = Kept()
    kept.get("Age: 55\r\n")
    kept.wait(4.0)
    assert kept.get()[1][b"age"] == b"59"
    kept.wait(1.0)
    assert says(kept.get()[1]) == b"fwd=stale; stored"


def test_without_a_date_it_gets_one() -> None:
    kept = Kept()
    client = kept.ask()
    kept.answer(dated=False)
    told(client)
    assert kept.get()[1][b"date"] == formatdate(EPOCH, usegmt=True).encode()


def test_each_client_has_its_own_ids() -> None:
    kept = Kept()
    first, second = kept.get()[1], kept.get()[1]
    assert first[b"x-request-id"] != second[b"x-request-id"]


@pytest.mark.parametrize(
    "fields", ["Cache-Control: no-store\r\n", "Cache-Control: private\r\n", "Set-Cookie: a=b\r\n", "Vary: *\r\n"]
)
def test_what_is_not_for_all_is_not_kept(fields: str) -> None:
    kept = Kept()
    assert says(kept.get(fields)[1]) == b"fwd=uri-miss"
    assert kept.get(body=b"two")[2] == b"two"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Authorization: Bearer a\r\n", "Authorization: Bearer b\r\n"),
        ("Cookie: a=1\r\n", "Cookie: a=2\r\n"),
        ("X-Api-Key: a\r\n", ""),
        ("X_Api.Key: a\r\n", ""),
        ("X-Auth-Token: a\r\n", ""),
        ("Who: ann\r\n", "Who: bob\r\n"),
        ("Who: ann\r\n", ""),
        ("", "Who: ann\r\n"),
        ("", "Authorization: Bearer a\r\n"),
    ],
)
def test_nobody_gets_what_is_anothers(first: str, second: str) -> None:
    """Not even where the answer says max-age and forgets private."""
    kept = Kept()
    assert kept.get("Cache-Control: max-age=60\r\n", b"first", first)[2] == b"first"
    assert kept.get("Cache-Control: max-age=60\r\n", b"second", second)[2] == b"second"


def test_what_is_said_to_be_for_everybody_is() -> None:
    kept = Kept()
    kept.get("Cache-Control: public, max-age=60\r\n", b"first", "Who: ann\r\n")
    assert kept.get(body=b"second", more="Who: bob\r\n")[2] == b"first"
    assert kept.get(body=b"second")[2] == b"first"


def test_vary() -> None:
    kept = Kept()
    german, english = "Accept-Language: de\r\n", "Accept-Language: en\r\n"
    kept.get("Vary: accept-language\r\n", b"de", german)
    _status, fields, body = kept.get("Vary: Accept-Language\r\n", b"en", english)
    assert (body, says(fields)) == (b"en", b"fwd=vary-miss; stored")
    assert kept.get(more=german)[2] == b"de"
    assert kept.get(more=english)[2] == b"en"
    assert kept.get(body=b"none")[2] == b"none"


def test_vary_on_what_the_gateway_says_goes_by_that() -> None:
    """What a client writes there reaches no service."""
    kept = Kept()
    kept.get("Vary: X-User-Id\r\n", b"one", "X-User-Id: ann\r\n")
    assert kept.get(body=b"two", more="X-User-Id: bob\r\n")[2] == b"one"
    assert kept.get("Vary: X-Forwarded-Host\r\n", b"other", host="other")[2] == b"other"


def test_vary_tells_spellings_apart() -> None:
    """Services behind CGI take ``X_Lang`` for ``X-Lang``, others don't."""
    kept = Kept()
    kept.get("Vary: X-Lang\r\n", b"none")
    kept.get("Vary: X-Lang\r\n", b"fr", "X-Lang: fr\r\n")
    for more in ("X_Lang: fr\r\n", "X_Lang: evil\r\n", "X-Lang: fr\r\nx.lang: de\r\n"):
        assert kept.get("Vary: X-Lang\r\n", more.encode(), more)[2] == more.encode()
    assert kept.get(body=b"other")[2] == b"none"
    assert kept.get(body=b"other", more="X-Lang: fr\r\n")[2] == b"fr"


def test_vary_goes_by_a_field_that_is_renamed_too() -> None:
    kept = Kept(renamed={b"x-lang": b"x-old"})
    for more in ("X-Old: fr\r\n", "X-Old: de\r\n", "X-Lang: de\r\n", "X-Old: de\r\nX-Lang: fr\r\n", ""):
        assert kept.get("Vary: X-Lang\r\n", more.encode(), more)[2] == more.encode()
    assert kept.get(body=b"other", more="X-Old: fr\r\n")[2] == b"X-Old: fr\r\n"


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "x_http_method", "X-Host", "X-HTTP-Host-Override"])
def test_what_is_made_of_another_method_or_host_than_asked_for_is_not_for_others(name: str) -> None:
    kept = Kept()
    assert says(kept.get(body=b"evil", more=f"{name}: x\r\n")[1]) == b"fwd=bypass"
    assert kept.get()[2] == b"one"
    assert kept.get(body=b"evil", more=f"{name}: x\r\n")[2] == b"evil"


def test_uris_are_told_apart() -> None:
    kept = Kept()
    kept.get(body=b"one")
    assert kept.get(body=b"two", path="/a?x=1")[2] == b"two"
    assert kept.get(body=b"three", host="other")[2] == b"three"
    assert kept.get()[2] == b"one"


def test_head_gets_what_get_has_left() -> None:
    kept = Kept()
    assert says(kept.get(method="HEAD")[1]) == b"fwd=uri-miss"
    kept.get("X-Own: 1\r\n")
    status, fields, body = kept.get(method="HEAD")
    assert (status, body, fields[b"content-length"], fields[b"x-own"]) == (200, b"", b"3", b"1")
    assert says(fields) == b"hit; ttl=60"


def test_parts_are_passed() -> None:
    kept = Kept()
    kept.get()
    _status, fields, body = kept.get(body=b"n", more="Range: bytes=1-1\r\n")
    assert (body, says(fields)) == (b"n", b"fwd=bypass")
    assert kept.get()[2] == b"one"


@pytest.mark.parametrize(
    "more", ['If-None-Match: "x", W/"a"\r\n', "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"]
)
def test_who_has_it_is_told_so(more: str) -> None:
    kept = Kept()
    kept.get('ETag: "a"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Language: en\r\n')
    status, fields, body = kept.get(more=more)
    assert (status, body, fields[b"etag"]) == (304, b"", b'"a"')
    assert b"content-language" not in fields
    assert says(fields) == b"hit; ttl=60"


def test_the_service_is_asked_whether_it_is_still_good() -> None:
    kept = Kept(Rules())
    kept.get('Cache-Control: max-age=10\r\nETag: "a"\r\nX-Old: 1\r\nX-New: 1\r\n')
    kept.wait(20.0)
    client = kept.ask('If-None-Match: "theirs"\r\n')
    request = kept.answer('Cache-Control: max-age=5\r\nETag: "a"\r\nX-New: 2\r\n', status=304)
    assert b'If-None-Match: "a"\r\n' in request
    assert b"theirs" not in request
    status, fields, body = told(client)
    assert (status, body, fields[b"age"]) == (200, b"one", b"0")
    assert (fields[b"x-old"], fields[b"x-new"]) == (b"1", b"2")
    assert says(fields) == b"fwd=stale; fwd-status=304; stored"
    kept.wait(4.0)
    assert says(kept.get()[1]) == b"hit; ttl=1"


def test_a_new_answer_takes_the_place_of_the_old_one() -> None:
    kept = Kept(Rules())
    kept.get('Cache-Control: max-age=10\r\nETag: "a"\r\n')
    kept.wait(20.0)
    client = kept.ask('If-None-Match: "b"\r\n')
    kept.answer('Cache-Control: max-age=10\r\nETag: "b"\r\n', b"two")
    status, fields, body = told(client)
    assert (status, body, says(fields)) == (304, b"", b"fwd=stale; stored")
    assert kept.get()[2] == b"two"
    assert len(kept.cache.store) == 1


def test_a_304_of_something_else_is_not_believed() -> None:
    kept = Kept(Rules())
    kept.get('Cache-Control: max-age=10\r\nETag: "a"\r\n')
    kept.wait(20.0)
    client = kept.ask()
    kept.answer('ETag: "b"\r\n', status=304)
    request = kept.answer('ETag: "b"\r\n', b"two")
    assert b"If-None-Match" not in request
    assert told(client)[2] == b"two"


def test_a_client_can_have_it_asked_about() -> None:
    kept = Kept()
    kept.get('ETag: "a"\r\n')
    client = kept.ask("Cache-Control: no-cache\r\n")
    kept.answer(status=304)
    assert says(told(client)[1]) == b"fwd=request; fwd-status=304; stored"
    kept.wait(5.0)
    assert says(kept.get(body=b"two", more="Cache-Control: max-age=4\r\n")[1]) == b"fwd=stale; stored"
    assert says(kept.get(more="Cache-Control: no-store\r\n")[1]) == b"fwd=bypass"


def test_a_client_can_refuse_to_have_the_service_asked() -> None:
    kept = Kept()
    status, _, body = kept.get(more="Cache-Control: only-if-cached\r\n")
    assert status == 504
    assert b'"not-cached"' in body
    kept.get()
    assert kept.get(more="Cache-Control: only-if-cached\r\n")[2] == b"one"


def test_old_answers_are_given_while_new_ones_come() -> None:
    kept = Kept(Rules(10.0, while_revalidate=20.0))
    kept.get('ETag: "a"\r\n', more="Accept: x\r\n")
    kept.wait(15.0)
    for _ in range(2):
        client = kept.ask('Accept: x\r\nIf-None-Match: "theirs"\r\n', method="HEAD")
        assert says(told(client)[1]) == b"hit; ttl=-5"
    request = kept.answer('ETag: "b"\r\n', b"two")
    assert request.startswith(b"GET /a ")
    assert b'If-None-Match: "a"' in request
    assert b"Accept: x" in request
    _status, fields, body = kept.get()
    assert (body, says(fields)) == (b"two", b"hit; ttl=10")
    kept.wait(31.0)
    assert kept.get(body=b"three")[2] == b"three"


def test_a_refresh_that_fails_leaves_the_old_answer() -> None:
    kept = Kept(Rules(10.0, while_revalidate=20.0))
    kept.get()
    kept.wait(15.0)
    assert kept.ask().take().endswith(b"one")
    service, _ = kept.take()
    service.reset()
    assert kept.ask().take().endswith(b"one")


def test_a_refresh_with_a_body_that_streams_is_taken_to_its_end() -> None:
    kept = Kept(Rules(10.0, while_revalidate=20.0))
    kept.get()
    kept.wait(15.0)
    kept.ask()
    service, _ = kept.take()
    service.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n")
    service.feed(b"0\r\n\r\n")
    assert kept.get()[2] == b"two"


@pytest.mark.parametrize("how", ["reset", 503, 500])
def test_old_answers_stand_for_errors(how: object) -> None:
    kept = Kept(Rules(10.0, if_error=100.0))
    kept.get()
    kept.wait(15.0)
    client = kept.ask()
    if isinstance(how, int):
        kept.answer(status=how)
    else:
        kept.take()[0].reset()
    status, fields, body = told(client)
    assert (status, body, fields[b"age"]) == (200, b"one", b"15")
    assert says(fields) == b"fwd=stale; fwd-status=%d" % (how if isinstance(how, int) else 502)
    kept.wait(100.0)
    client = kept.ask()
    kept.answer(status=503)
    assert told(client)[0] == 503


def test_an_error_takes_nothing_away() -> None:
    kept = Kept(Rules())
    kept.get('Cache-Control: max-age=10\r\nETag: "a"\r\n')
    kept.wait(15.0)
    client = kept.ask()
    kept.answer(status=500)
    assert told(client)[0] == 500
    client = kept.ask()
    assert b'If-None-Match: "a"' in kept.answer(status=304)
    assert told(client)[2] == b"one"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_what_changes_something_removes_what_is_kept(method: str) -> None:
    kept = Kept()
    kept.get()
    kept.get(path="/b")
    kept.get("Location: /b\r\n", method=method)
    assert kept.get(body=b"two")[2] == b"two"
    assert kept.get(body=b"two", path="/b")[2] == b"two"


def test_what_failed_to_change_something_removes_nothing() -> None:
    kept = Kept()
    kept.get()
    client = kept.ask(method="DELETE")
    kept.answer(status=409)
    assert told(client)[0] == 409
    assert kept.get()[2] == b"one"


def test_other_routes_remove_it_too() -> None:
    kept = Kept()
    kept.get()
    other = Memory(stages=[Invalidation(kept.cache)])
    client = other.client()
    client.feed(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    other.dials[0].feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert kept.get(body=b"two")[2] == b"two"


def test_what_was_asked_for_before_a_change_is_not_kept() -> None:
    kept = Kept()
    reader = kept.ask()
    service, _ = kept.take()
    kept.get(method="POST")
    service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
    assert told(reader)[2] == b"old"
    assert kept.get(body=b"new")[2] == b"new"


# -- at once ----------------------------------------------------------------------------------------------------


def test_a_hundred_at_once_are_one_for_the_service() -> None:
    kept = Kept()
    clients = [kept.ask() for _ in range(100)]
    assert kept.asked == 1
    kept.answer()
    answers = [told(client) for client in clients]
    assert {(status, body) for status, _, body in answers} == {(200, b"one")}
    assert [says(fields) for _, fields, _ in answers[:2]] == [b"fwd=uri-miss; stored", b"fwd=uri-miss; collapsed"]


def test_nobody_waits_for_what_is_anothers() -> None:
    kept = Kept()
    for more in ("Who: ann\r\n", "Who: bob\r\n", "Cookie: a\r\n"):
        kept.ask(more)
    assert kept.asked == 3


def test_what_turns_out_to_be_private_is_asked_for_by_each() -> None:
    kept = Kept()
    clients = [kept.ask() for _ in range(3)]
    kept.answer("Cache-Control: private\r\n")
    assert kept.asked == 2
    assert [bool(client.written) for client in clients] == [True, False, False]
    kept.ask()
    assert kept.asked == 3
    for dial in kept.memory.dials:
        dial.take()
    kept.wait(APART)
    kept.ask()
    kept.ask()
    assert kept.asked == 1


def test_variants_are_asked_for_side_by_side() -> None:
    kept = Kept()
    clients = {name: [kept.ask(f"Accept-Language: {name}\r\n") for _ in range(3)] for name in ("de", "en", "fr")}
    assert kept.asked == 1
    kept.answer("Vary: Accept-Language\r\n", b"de")
    assert kept.asked == 2
    for dial in kept.memory.dials:
        language = b"en" if b"Accept-Language: en" in dial.written else b"fr"
        if dial.take():
            dial.feed(b"HTTP/1.1 200 OK\r\nVary: Accept-Language\r\nContent-Length: 2\r\n\r\n" + language)
    assert {name: [told(client)[2] for client in some] for name, some in clients.items()} == {
        "de": [b"de"] * 3,
        "en": [b"en"] * 3,
        "fr": [b"fr"] * 3,
    }


def test_who_waits_goes_on_when_the_first_one_goes_away() -> None:
    kept = Kept()
    first, second, third = kept.ask(), kept.ask(), kept.ask()
    kept.take()
    first.reset()
    assert kept.asked == 1
    kept.answer()
    assert told(second)[2] == told(third)[2] == b"one"


def test_an_error_is_for_who_asked() -> None:
    kept = Kept()
    first, second = kept.ask(), kept.ask()
    kept.take()[0].reset()
    assert told(first)[0] == 502
    kept.answer()
    assert told(second)[2] == b"one"


def test_nobody_waits_for_ever() -> None:
    kept = Kept()
    kept.ask()
    second = kept.ask()
    _service, _ = kept.take()
    kept.wait(PATIENCE)
    kept.answer(body=b"two")
    assert told(second)[2] == b"two"


def test_a_client_that_is_slow_or_gone_holds_up_nobody() -> None:
    for what in ("pause", "reset"):
        kept = Kept()
        first, second = kept.ask(), kept.ask()
        service, _ = kept.take()
        service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none")
        if what == "reset":
            first.reset()
        else:
            first.producer.pauseProducing()
        assert not service.paused
        service.feed(b"two")
        assert told(second)[2] == b"onetwo"
        assert kept.cache.store.collecting == 0


# -- bounds ----------------------------------------------------------------------------------------------------


def test_a_body_that_streams_is_kept_at_its_end() -> None:
    kept = Kept()
    client = kept.ask()
    service, _ = kept.take()
    service.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
    assert b"one" in client.written
    service.feed(b"3\r\ntwo\r\n0\r\n\r\n")
    _status, fields, body = kept.get()
    assert (body, fields[b"content-length"]) == (b"onetwo", b"6")


def test_a_body_that_is_cut_is_not_kept() -> None:
    kept = Kept()
    kept.ask()
    service, _ = kept.take()
    service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none")
    service.reset()
    assert kept.cache.store.collecting == 0
    assert kept.get(body=b"two")[2] == b"two"


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 101\r\n\r\n" + "x" * 101,
        f"Transfer-Encoding: chunked\r\n\r\n65\r\n{'x' * 101}\r\n0\r\n\r\n",
    ],
)
def test_a_body_that_is_too_large_passes(framing: str) -> None:
    kept = Kept(largest=100)
    client = kept.ask()
    service, _ = kept.take()
    service.feed(b"HTTP/1.1 200 OK\r\n" + framing.encode())
    assert b"x" * 101 in client.take()
    assert (len(kept.cache.store), kept.cache.store.collecting) == (0, 0)


def test_once_it_is_too_large_the_clients_pace_counts() -> None:
    kept = Kept(largest=100)
    client = kept.ask()
    service, _ = kept.take()
    service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nx")
    client.producer.pauseProducing()
    assert not service.paused
    kept = Kept(largest=100)
    client = kept.ask()
    service, _ = kept.take()
    service.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    client.producer.pauseProducing()
    service.feed(b"65\r\n" + b"x" * 101 + b"\r\n")
    assert service.paused
    client.producer.resumeProducing()
    assert not service.paused
    client.reset()
    assert service.closed


def test_events_are_not_kept() -> None:
    kept = Kept()
    assert says(kept.get("Content-Type: text/event-stream; charset=utf-8\r\n")[1]) == b"fwd=uri-miss"


def test_what_goes_is_counted() -> None:
    kept = Kept(capacity=3000)
    for number in range(5):
        kept.get(path=f"/{number}")
    assert kept.cache.store.size <= 3000
    assert kept.cache.store.evicted == 3
    kept.cache.resize(0, 10)
    assert len(kept.cache.store) == 0


def test_purge() -> None:
    kept = Kept()
    for path in ("/a", "/a/b", "/c?x"):
        kept.get(path=path)
    kept.get(path="/a", host="other")
    assert kept.cache.purge(host="H:80", path="/a") == 1
    assert kept.cache.purge(path="/a", prefix=True, route="else") == 0
    assert kept.cache.purge(path="/a", prefix=True) == 2
    under_way = kept.ask()
    assert kept.cache.purge(route="memory") == 1
    kept.answer()
    assert told(under_way)[2] == b"one"
    assert kept.cache.purge() == 0


def test_what_is_remembered_of_answers_that_can_not_be_shared_takes_little_memory() -> None:
    """It doesn't count among the bytes of the cache, and clients choose how long their URIs are."""
    cache = Kept().cache
    tracemalloc.start()
    try:
        for number in range(MARKS // 10):
            cache.mark((b"h", b"/%d" % number + b"a" * 8000), ("route",), True)
        assert tracemalloc.get_traced_memory()[0] < MARKS / 10 * 500
    finally:
        tracemalloc.stop()
    assert cache.marked((b"h", b"/7" + b"a" * 8000), ("route",))
    assert not cache.marked((b"h", b"/7"), ("route",))
