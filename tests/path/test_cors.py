"""What pages of other origins get, over the whole path in memory."""

from __future__ import annotations

import pytest

from apigw.dates import HttpDate
from apigw.pipeline import Stage
from apigw.policy.cors import Cors
from apigw.stages.cors import CrossOrigin
from tests.kit import Memory
from tests.path.test_exchange import begin, head_of

APP = b"https://app.example.com"
OK = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n%b\r\nhi"


class Never(Stage):
    """A stage that nothing may reach."""

    def request(self, exchange: object) -> None:
        raise AssertionError


def memory(*more: Stage, refuse: bool = False, origins: tuple[str, ...] = ("https://app.example.com",)) -> Memory:
    return Memory(stages=(CrossOrigin(Cors(origins, expose=()), HttpDate(), refuse), *more))


def get(origin: bytes, method: bytes = b"GET", more: bytes = b"") -> bytes:
    field = b"Origin: %b\r\n" % origin if origin else b""
    return b"%b /a HTTP/1.1\r\nHost: api.example.com\r\n%b%b\r\n" % (method, field, more)


def preflight(origin: bytes, more: bytes = b"") -> bytes:
    return get(origin, b"OPTIONS", b"Access-Control-Request-Method: PUT\r\n" + more)


def answer(ours: Memory, request: bytes, fields: bytes = b"") -> tuple[bytes, dict[bytes, bytes], bytes]:
    client, service = begin(ours, request)
    service.feed(OK % fields)
    return head_of(client.take())


def own_answer(ours: Memory, request: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    client = ours.client()
    client.feed(request)
    assert ours.dials == []
    return head_of(client.take())


@pytest.mark.parametrize("origin", [b"", APP, b"https://evil.test"])
def test_only_allowed_origins_may_read_and_caches_always_know(origin: bytes) -> None:
    status, fields, body = answer(memory(), get(origin))
    assert (status, body) == (b"HTTP/1.1 200 OK", b"hi")
    assert fields.get(b"access-control-allow-origin") == (APP if origin == APP else None)
    assert fields[b"vary"] == b"Origin"


def test_what_a_service_says_of_it_is_replaced() -> None:
    theirs = b"Access-Control-Allow-Origin: *\r\nACCESS-CONTROL-ALLOW-CREDENTIALS: true\r\nX-Kept: 1\r\n"
    _, fields, _ = answer(memory(), get(b"https://evil.test"), theirs)
    assert not [name for name in fields if name.startswith(b"access-control-")]
    assert fields[b"x-kept"] == b"1"


def test_what_varies_for_a_service_still_does() -> None:
    client, service = begin(memory(), get(APP))
    service.feed(OK % b"Vary: Accept-Encoding\r\n")
    data = client.take()
    assert b"Vary: Accept-Encoding\r\n" in data
    assert b"Vary: Origin\r\n" in data
    client, service = begin(memory(), get(APP))
    service.feed(OK % b"vary: Accept-Encoding, origin\r\n")
    assert client.take().lower().count(b"vary:") == 1


def test_any_origin_varies_with_none() -> None:
    _, fields, _ = answer(memory(origins=("*",)), get(b""))
    assert fields[b"access-control-allow-origin"] == b"*"
    assert b"vary" not in fields


def test_a_preflight_is_answered_before_whatever_comes_after() -> None:
    ours = memory(Never())
    status, fields, body = own_answer(ours, preflight(APP, b"Access-Control-Request-Headers: authorization\r\n"))
    assert (status, body) == (b"HTTP/1.1 204 No Content", b"")
    assert fields[b"access-control-allow-origin"] == APP
    assert fields[b"access-control-allow-methods"] == b"PUT"
    assert fields[b"access-control-allow-headers"] == b"authorization"
    assert fields[b"vary"] == b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    assert fields[b"date"]
    assert fields[b"x-request-id"]
    assert ours.done[0].complete


def test_a_preflight_of_another_origin_gets_nothing() -> None:
    status, fields, _ = own_answer(memory(), preflight(b"https://evil.test"))
    assert status == b"HTTP/1.1 204 No Content"
    assert not [name for name in fields if name.startswith(b"access-control-")]
    assert fields[b"vary"].startswith(b"Origin")


@pytest.mark.parametrize("request_", [get(b"https://evil.test"), preflight(b"https://evil.test"), get(b"null")])
def test_other_origins_are_refused_where_that_is_wanted(request_: bytes) -> None:
    status, fields, body = own_answer(memory(refuse=True), request_)
    assert status == b"HTTP/1.1 403 Forbidden"
    assert b'"code": "origin-refused"' in body
    assert not [name for name in fields if name.startswith(b"access-control-")]
    assert fields[b"vary"] == b"Origin"


@pytest.mark.parametrize("origin", [b"", APP, b"http://api.example.com"])
def test_who_is_allowed_or_no_other_origin_is_not_refused(origin: bytes) -> None:
    assert answer(memory(refuse=True), get(origin))[0] == b"HTTP/1.1 200 OK"


def test_two_origins_are_none() -> None:
    _, fields, _ = answer(memory(), get(APP, more=b"Origin: https://evil.test\r\n"))
    assert b"access-control-allow-origin" not in fields


def test_an_error_of_the_gateway_can_be_read_by_script() -> None:
    ours = memory()
    client, service = begin(ours, get(APP))
    service.feed(b"nonsense\r\n\r\n")
    status, fields, body = head_of(client.take())
    assert status.startswith(b"HTTP/1.1 502 ")
    assert fields[b"access-control-allow-origin"] == APP
    assert b"upstream-protocol-error" in body


def test_an_options_request_that_is_no_preflight_is_the_services() -> None:
    assert answer(memory(), get(APP, b"OPTIONS"))[2] == b"hi"
