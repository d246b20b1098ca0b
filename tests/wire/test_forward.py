"""What a service gets of a request and a client of an answer, byte for byte, and that nothing of one is for another."""

from __future__ import annotations

import gzip
import re

import pytest

from tests.wire.conftest import Connect
from tests.wire.gateway import Gateway
from tests.wire.sockets import Message, Service, Wire

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nhi"


def exchange(client: Connect, service: Service, request: bytes = GET, answer: bytes = OK) -> tuple[Message, Message]:
    """:return: what the service got, and what the client got."""
    wire = client()
    wire.send(request)
    there = service.accept()
    got = there.request()
    there.send(answer)
    return got, wire.answer(request.partition(b" ")[0])


# -- the request ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        b"/a?x=[1]",
        b"/p?",
        b"/a?b=c%20d&e=%C3%BC&&=",
        b"/a?q=http://h/?x",
        b"/a%2Fb",
        b"/a//b",
        b"/a/",
        b"/",
        b"/?",
        b"/%61",
        b"/a|b^c`{d}",
        b"/a;v=1?x;y",
        b"/~a'()*!$,@:",
    ],
)
def test_the_target_goes_on_byte_for_byte(client: Connect, service: Service, target: bytes) -> None:
    got, answer = exchange(client, service, b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    assert got.first == b"GET " + target + b" HTTP/1.1"
    assert answer.body == b"hi"


def test_a_target_in_absolute_form_goes_on_in_origin_form(client: Connect, service: Service) -> None:
    got, _ = exchange(client, service, b"GET http://other.example/a?b HTTP/1.1\r\nHost: other.example\r\n\r\n")
    assert got.first == b"GET /a?b HTTP/1.1"
    assert got.one(b"host") == b"other.example"


@pytest.mark.parametrize("method", [b"get", b"PROPFIND", b"M-SEARCH", b"x!#$%&'*+-.^_`|~"])
def test_any_method_goes_on_in_its_case(client: Connect, service: Service, method: bytes) -> None:
    got, answer = exchange(client, service, method + b" /a HTTP/1.1\r\nHost: h\r\n\r\n")
    assert got.first == method + b" /a HTTP/1.1"
    assert answer.status == 200


def test_fields_keep_order_case_bytes_and_number(client: Connect, service: Service) -> None:
    fields = [
        (b"x-lower", b"1"),
        (b"X-UPPER", b"2"),
        (b"X-Same", b"a"),
        (b"Accept", b"text/html;q=0.1,  */*"),
        (b"x-same", b"b, c"),
        (b"Cookie", b"a=1; b=\xc3\xbc\xff"),
        (b"Cookie", b"c=2"),
        (b"X-Empty", b""),
        (b"Authorization", b'Digest username="a, b"'),
    ]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    got, _ = exchange(client, service, b"GET / HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\n")
    names = {name.lower() for name, _ in fields}
    assert [field for field in got.fields if field[0].lower() in names] == fields


def test_nothing_is_added_that_asks_for_another_answer(client: Connect, service: Service) -> None:
    got, _ = exchange(client, service)
    assert {name.lower() for name, _ in got.fields} == {
        b"host",
        b"via",
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-gateway-service",
        b"x-request-id",
        b"x-correlation-id",
        b"x-original-path",
        b"x-timeout-remaining",
    }


def test_hop_by_hop_and_nominated_fields_stay_here(client: Connect, service: Service) -> None:
    got, _ = exchange(
        client,
        service,
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Mine ,x-request-id, X-Forwarded-For, Authorization\r\n"
        b"X-Mine: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
        b"Proxy-Authorization: x\r\nAuthorization: Bearer x\r\nX-Stays: 1\r\n\r\n",
    )
    for name in (b"connection", b"x-mine", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"http2-settings"):
        assert got.all(name) == []
    assert got.all(b"proxy-authorization") == []
    for name in (b"x-request-id", b"x-forwarded-for", b"authorization", b"x-stays"):
        assert len(got.all(name)) == 1


@pytest.mark.parametrize(
    "name",
    [
        b"X-User-Id",
        b"x-user-role",
        b"X_User_Id",
        b"X.User.Id-Signature",
        b"X-User-Id-Timestamp",
        b"X-Gateway-Service",
        b"X_GATEWAY_service",
        b"X-Original-Path",
        b"X-Api-Version",
        b"X-Timeout-Remaining",
        b"X-Retry-Count",
        b"X-Forwarded-For",
        b"X_Forwarded_For",
        b"X-Forwarded-Proto",
        b"X-Forwarded-Host",
        b"X-Forwarded-Port",
        b"X-Real-IP",
        b"Forwarded",
    ],
)
def test_fields_by_which_services_trust_are_the_gateways_alone(client: Connect, service: Service, name: bytes) -> None:
    wire = client()
    wire.send(b"GET / HTTP/1.1\r\nHost: h\r\n" + name + b": forged\r\n\r\n")
    there = service.accept()
    got = there.until(b"\r\n\r\n")
    there.send(OK)
    assert b"forged" not in got
    assert re.findall(rb"(?im)^x[^a-z]user", got) == []


def test_the_service_is_told_where_a_request_comes_from(client: Connect, service: Service) -> None:
    got, _ = exchange(
        client,
        service,
        b"GET /a%20b?c HTTP/1.1\r\nHost: h.example:81\r\nX-Forwarded-For: 10.9.9.9\r\nForwarded: for=10.9.9.9\r\n"
        b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nVia: 1.0 before\r\n\r\n",
    )
    assert got.one(b"host") == b"h.example:81"
    assert got.one(b"x-forwarded-for") == b"127.0.0.1"
    assert got.one(b"x-forwarded-proto") == b"http"
    assert got.one(b"x-forwarded-host") == b"h.example:81"
    assert got.one(b"forwarded") == b'for=127.0.0.1;host="h.example:81";proto=http'
    assert re.fullmatch(rb"1\.0 before, 1\.1 apigw-[0-9a-f]+", got.one(b"via"))
    assert got.one(b"x-original-path") == b"/a%20b"
    assert 0 < int(got.one(b"x-timeout-remaining")) <= 30000


def test_a_request_that_has_been_here_is_a_loop(client: Connect, service: Service) -> None:
    got, _ = exchange(client, service)
    wire = client()
    wire.send(b"GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 x\r\nvia: " + got.one(b"via") + b", 1.1 y\r\n\r\n")
    answer = wire.answer()
    assert answer.status == 508
    assert b"loop-detected" in answer.body
    assert answer.one(b"proxy-status") == b"apigw; error=proxy_loop_detected"
    assert service.untouched()


# -- the answer --------------------------------------------------------------------------------------------------------


def test_an_answer_keeps_its_fields(client: Connect, service: Service) -> None:
    fields = [
        (b"set-cookie", b"a=1; Path=/"),
        (b"X-UPPER", b"2"),
        (b"Set-Cookie", b"b=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
        (b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (b"Server", b"theirs"),
        (b"SET-COOKIE", b"c=\xff"),
        (b"Location", b"http://elsewhere/"),
        (b"WWW-Authenticate", b'Basic realm="a, b"'),
    ]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    _, answer = exchange(client, service, answer=b"HTTP/1.1 203 What Ever\r\n" + lines + b"Content-Length: 0\r\n\r\n")
    assert answer.first == b"HTTP/1.1 203 What Ever"
    names = {name.lower() for name, _ in fields}
    assert [field for field in answer.fields if field[0].lower() in names] == fields


def test_hop_by_hop_fields_of_an_answer_stay_here(client: Connect, service: Service) -> None:
    _, answer = exchange(
        client,
        service,
        answer=b"HTTP/1.1 200 OK\r\nConnection: close, X-Mine, Set-Cookie\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Authenticate: x\r\nUpgrade: h2c\r\nSet-Cookie: a=1\r\nVia: 1.1 before\r\nX-Request-Id: theirs\r\n"
        b"Content-Length: 0\r\n\r\n",
    )
    for name in (b"connection", b"x-mine", b"keep-alive", b"proxy-authenticate", b"upgrade"):
        assert answer.all(name) == []
    assert answer.all(b"set-cookie") == [b"a=1"]
    assert re.fullmatch(rb"1\.1 before, 1\.1 apigw-[0-9a-f]+", answer.one(b"via"))
    assert answer.one(b"x-request-id") != b"theirs"


def test_an_answer_without_date_gets_one(client: Connect, service: Service) -> None:
    _, answer = exchange(client, service, answer=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert answer.one(b"date").endswith(b" GMT")


def test_a_redirect_is_the_clients_to_follow(client: Connect, service: Service) -> None:
    location = b"http://127.0.0.1:%d/there" % service.port
    redirect = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
    _, answer = exchange(client, service, answer=redirect)
    assert answer.status == 302
    assert answer.one(b"location") == location
    assert service.untouched()


def test_a_coded_body_stays_coded(client: Connect, service: Service) -> None:
    body = gzip.compress(b"x" * 1000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    got, answer = exchange(client, service, answer=head + body)
    assert got.all(b"accept-encoding") == []
    assert answer.one(b"content-encoding") == b"gzip"
    assert answer.body == body


@pytest.mark.parametrize("status", [400, 401, 404, 418, 429, 500, 502, 503, 599])
def test_errors_of_a_service_pass_unchanged(client: Connect, service: Service, status: int) -> None:
    answer = b"HTTP/1.1 %d Their Words\r\nContent-Type: text/x\r\nContent-Length: 5\r\n\r\ntheir" % status
    _, got = exchange(client, service, answer=answer)
    assert got.first == b"HTTP/1.1 %d Their Words" % status
    assert got.one(b"content-type") == b"text/x"
    assert got.body == b"their"
    assert got.all(b"proxy-status") == []


# -- kept connections --------------------------------------------------------------------------------------------------


def kept(client: Connect, service: Service, answer: bytes = OK) -> tuple[Wire, Wire]:
    """A client's connection and the service's, after one exchange."""
    wire = client()
    wire.send(GET)
    there = service.accept()
    there.request()
    there.send(answer)
    wire.answer()
    return wire, there


def test_cookies_never_cross_users(client: Connect, service: Service) -> None:
    _, there = kept(client, service, OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: session=alice; Path=/\r\n\r\n"))
    bob = client()
    bob.send(GET)
    assert there.request().all(b"cookie") == []
    there.send(OK)
    assert bob.answer().all(b"set-cookie") == []


def test_bytes_on_a_kept_connection_never_become_an_answer(client: Connect, service: Service) -> None:
    _, there = kept(client, service)
    there.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    there.gone()
    bob = client()
    bob.send(GET)
    there = service.accept()
    there.request()
    there.send(OK)
    assert bob.answer().body == b"hi"


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        OK + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\npoison",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison",
        b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ],
)
def test_a_connection_in_doubt_is_not_kept(client: Connect, service: Service, answer: bytes) -> None:
    wire, there = kept(client, service, answer)
    there.gone()
    wire.send(GET)
    there = service.accept()
    there.request()
    there.send(OK)
    assert wire.answer().body == b"hi"


@pytest.mark.parametrize("method", [b"DELETE", b"POST", b"GET"])
def test_what_dies_on_a_kept_connection_is_not_sent_again_in_secret(
    client: Connect, service: Service, gateway: Gateway, method: bytes
) -> None:
    wire, there = kept(client, service)
    wire.send(method + b" /once HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    assert there.request().first == method + b" /once HTTP/1.1"
    there.reset()
    answer = wire.answer()
    assert answer.status == 502
    assert gateway.line(answer.text("x-request-id"))["attempts"] == 1
    assert service.untouched()
