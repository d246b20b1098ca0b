"""The gateway's own errors in one shape, the ids of requests, and the line that each leaves in the access log."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from tests.wire.conftest import Connect
from tests.wire.gateway import Gateway
from tests.wire.sockets import Message, Service, Wire, connect

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
BAD = b"GET /a HTTP/1.1\r\n"


def details(answer: Message) -> dict[str, object]:
    """What problem details say, after a look at what all of them have."""
    assert answer.one(b"content-type") == b"application/problem+json"
    assert answer.one(b"cache-control") == b"no-store"
    assert answer.one(b"date").endswith(b" GMT")
    said = json.loads(answer.body)
    assert said["status"] == answer.status
    assert said["type"] == f"urn:apigw:error:{said['code']}"
    assert said["title"]
    assert said["request_id"] == answer.text("x-request-id")
    assert not {"status", "type", "title", "code", "request_id", "detail"} ^ {*said, "detail"}
    return dict(said)


def enveloped(answer: Message) -> dict[str, object]:
    """What the founding system's form says, after a look at what all of them have."""
    assert answer.one(b"content-type") == b"application/json"
    said = json.loads(answer.body)
    assert list(said) == ["success", "error", "timestamp"]
    assert said["success"] is False
    assert datetime.fromisoformat(said["timestamp"].replace("Z", "+00:00")).tzinfo == timezone.utc
    error = said["error"]
    assert list(error) == ["type", "code", "message", "details", "correlationId"]
    assert error["correlationId"] == answer.text("x-correlation-id")
    return dict(error)


# -- the forms ---------------------------------------------------------------------------------------------------------


def test_problem_details_are_the_default(client: Connect) -> None:
    wire = client()
    wire.send(BAD + b"\r\n")
    assert details(wire.answer())["code"] == "missing-host"


@pytest.mark.parametrize(
    ("accept", "envelope"),
    [
        (b"application/json", False),
        (b"*/*", False),
        (b"application/vnd.apigw.envelope+json", True),
        (b"text/html, APPLICATION/vnd.apigw.envelope+json;q=0.9", True),
        (b"application/problem+json", False),
    ],
)
def test_a_client_chooses_the_form(client: Connect, accept: bytes, envelope: bool) -> None:
    wire = client()
    wire.send(b"TRACE /a HTTP/1.1\r\nHost: h\r\nAccept: " + accept + b"\r\n\r\n")
    answer = wire.answer()
    assert answer.status == 405
    assert (enveloped if envelope else details)(answer)["code"] == "method-not-allowed"


OTHER = """\
[gateway]
access_log = -
error_format = envelope
log_query = full
trusted_proxies = 127.0.0.0/8, 10.0.0.0/8
response_time_header = no
target_service_header = no
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[discovery]
dns_servers = 127.0.0.1:1
[service:user]
urls = http://127.0.0.1:{port}
retry.attempts = 1
breaker.volume = 1000000
preserve_host = no
[service:none]
urls = http://127.0.0.1:{refusing}
retry.attempts = 1
[service:nameless]
urls = http://nowhere.invalid:80
retry.attempts = 1
[service:deaf]
urls = http://127.0.0.1:{deaf}
retry.attempts = 1
timeout.connect = 200ms
[service:one]
urls = http://127.0.0.1:{port}
retry.attempts = 1
breaker.volume = 1000000
max_connections = 1
max_queue = 1
queue_timeout = 200ms
[route:users]
path = /users/{{id}}
service = user
rewrite = /internal/{{id}}/x
methods = GET, POST
[service:other]
urls = https://127.0.0.1:{port}
retry.attempts = 1
[route:other]
path = /other
service = other
[route:none]
path = /none
service = none
[route:nameless]
path = /nameless
service = nameless
[route:deaf]
path = /deaf
service = deaf
[route:one]
path = /one
service = one
"""


@pytest.fixture(scope="module")
def _other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Service]]:
    service = Service()
    with socket.socket() as refusing, socket.socket() as deaf:
        refusing.bind(("127.0.0.1", 0))
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # the only one that is let wait
            config = OTHER.format(port=service.port, refusing=refusing.getsockname()[1], deaf=port)
            with Gateway(tmp_path_factory.mktemp("other"), config) as gateway:
                gateway.wait(lambda: any("dns:nowhere.invalid fails" in line for line in gateway.output))
                yield gateway, service
    service.close()


@pytest.fixture
def other(_other: tuple[Gateway, Service]) -> Iterator[tuple[Gateway, Service, Wire]]:
    """A gateway with everything else than the defaults, its service, and a client's connection."""
    gateway, service = _other
    before = len(gateway.output)
    wire = connect(gateway.port)
    yield gateway, service, wire
    wire.close()
    service.settle()
    assert gateway.output[before:] == []


Other = tuple[Gateway, Service, Wire]


def test_the_envelope_may_be_the_default(other: Other) -> None:
    _, _, wire = other
    wire.send(b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n")
    assert enveloped(wire.answer())["code"] == "route-not-found"
    wire.send(b"GET /nowhere HTTP/1.1\r\nHost: h\r\nAccept: application/problem+json\r\n\r\n")
    assert details(wire.answer())["code"] == "route-not-found"
    wire.send(BAD + b"\r\n")
    error = enveloped(wire.answer())
    assert (error["code"], error["type"]) == ("missing-host", "MISSING_HOST")


def test_a_method_that_no_route_takes_is_told_which_are(other: Other) -> None:
    gateway, _, wire = other
    wire.send(b"PUT /users/7 HTTP/1.1\r\nHost: h\r\n\r\n")
    answer = wire.answer()
    assert answer.status == 405
    assert {b"GET", b"POST"} <= set(answer.one(b"allow").split(b", "))
    assert gateway.line(answer.text("x-request-id"))["status"] == 405


@pytest.mark.parametrize(
    ("path", "status", "code", "proxy_status"),
    [
        (b"/none", 502, "upstream-connect-failed", b"connection_refused"),
        (b"/deaf", 504, "upstream-connect-timeout", b"connection_timeout"),
    ],
)
def test_a_service_that_cannot_be_reached(
    other: Other, path: bytes, status: int, code: str, proxy_status: bytes
) -> None:
    gateway, _, wire = other
    wire.send(b"GET " + path + b" HTTP/1.1\r\nHost: h\r\nAccept: application/problem+json\r\n\r\n")
    answer = wire.answer()
    assert answer.status == status
    said = details(answer)
    assert said["code"] == code
    assert answer.one(b"proxy-status") == b"apigw; error=" + proxy_status
    assert b"127.0.0.1" not in answer.body
    assert b"nowhere" not in answer.body
    line = gateway.line(answer.text("x-request-id"))
    assert (line["status"], line["error"], line["attempts"]) == (status, code, 1)
    assert line["route"] == line["service"] == path[1:].decode()
    assert line["peer"]


def test_a_service_whose_name_has_no_address(other: Other) -> None:
    gateway, _, wire = other
    wire.send(b"GET /nameless HTTP/1.1\r\nHost: h\r\nAccept: application/problem+json\r\n\r\n")
    answer = wire.answer()
    assert answer.status == 503
    assert details(answer)["code"] == "upstream-unavailable"
    assert answer.one(b"proxy-status") == b"apigw; error=destination_unavailable"
    assert b"nowhere" not in answer.body
    line = gateway.line(answer.text("x-request-id"))
    assert (line["status"], line["error"], line["service"]) == (503, "upstream-unavailable", "nameless")
    assert not line["peer"]


def test_a_service_that_speaks_no_tls(other: Other) -> None:
    _, service, wire = other
    wire.send(b"GET /other HTTP/1.1\r\nHost: h\r\nAccept: application/problem+json\r\n\r\n")
    there = service.accept()
    there.some()
    there.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    answer = wire.answer()
    assert answer.status == 502
    assert details(answer)["code"] == "upstream-tls-failed"
    assert answer.one(b"proxy-status") == b"apigw; error=tls_protocol_error"
    there.gone()


def test_a_service_at_its_limit(other: Other) -> None:
    gateway, service, first = other
    second, third = connect(gateway.port), connect(gateway.port)
    request = b"GET /one HTTP/1.1\r\nHost: h\r\nAccept: application/problem+json\r\n\r\n"
    first.send(request)
    there = service.accept()
    there.request()
    second.send(request)
    third.send(request)
    answers = [second.answer(), third.answer()]
    for answer in answers:
        assert answer.status == 503
        assert details(answer)["code"] == "upstream-overloaded"
        assert int(answer.one(b"retry-after")) >= 1
        assert answer.one(b"proxy-status") == b"apigw; error=connection_limit_reached"
    lines = sorted((gateway.line(answer.text("x-request-id")) for answer in answers), key=lambda line: line["total_ms"])
    assert lines[0]["total_ms"] < 150
    assert 200 <= lines[1]["queue_ms"] <= lines[1]["total_ms"]
    there.send(OK)
    assert first.answer().status == 200
    second.close()
    third.close()


def test_a_service_that_breaks_off(client: Connect, service: Service, gateway: Gateway) -> None:
    for partial, code, error in (
        (b"", "upstream-reset", b"connection_terminated"),
        (b"HTTP/1.1 200 O", "upstream-protocol-error", b"http_protocol_error"),
    ):
        wire = client()
        wire.send(GET)
        there = service.accept()
        there.request()
        there.send(partial)
        there.close()
        answer = wire.answer()
        assert answer.status == 502
        assert details(answer)["code"] == code
        assert answer.one(b"proxy-status") == b"apigw; error=" + error
        assert gateway.line(answer.text("x-request-id"))["error"] == code


# -- ids ---------------------------------------------------------------------------------------------------------------


def identified(client: Connect, service: Service, fields: bytes) -> tuple[Message, Message]:
    wire = client()
    wire.send(b"GET /a HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n")
    there = service.accept()
    got = there.request()
    there.send(OK)
    return got, wire.answer()


def test_clean_ids_are_kept(client: Connect, service: Service, gateway: Gateway) -> None:
    got, answer = identified(client, service, b"X-Request-ID: my-id:1\r\nx-correlation-id: all/of/it\r\n")
    for message in (got, answer):
        assert message.one(b"x-request-id") == b"my-id:1"
        assert message.one(b"x-correlation-id") == b"all/of/it"
    gateway.line("my-id:1")


@pytest.mark.parametrize("bad", [b"", b"a b", b"a\tb", b"x" * 129, b'a"b', b"a,b", b"<a>", b"\xff", b"a{b}"])
def test_other_ids_are_made_anew(client: Connect, service: Service, gateway: Gateway, bad: bytes) -> None:
    got, answer = identified(client, service, b"X-Request-Id: " + bad + b"\r\nX-Correlation-Id: " + bad + b"\r\n")
    made = answer.text("x-request-id")
    assert re.fullmatch(r"[0-9a-f]{16,64}", made)
    assert got.text("x-request-id") == got.text("x-correlation-id") == answer.text("x-correlation-id") == made
    gateway.line(made)


def test_no_two_requests_get_one_id(client: Connect) -> None:
    wire = client()
    wire.send(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n" * 50)
    assert len({wire.answer().one(b"x-request-id") for _ in range(50)}) == 50


def test_what_an_answer_tells(client: Connect, service: Service, other: Other) -> None:
    _, answer = identified(client, service, b"")
    assert re.fullmatch(rb"[0-9]+\.[0-9]ms", answer.one(b"x-response-time"))
    assert answer.one(b"x-target-service") == b"user"
    _, service, wire = other
    wire.send(b"GET /users/7 HTTP/1.1\r\nHost: h\r\n\r\n")
    there = service.accept()
    there.request()
    there.send(OK)
    answer = wire.answer()
    assert answer.all(b"x-response-time") == answer.all(b"x-target-service") == []


# -- the access log ----------------------------------------------------------------------------------------------------


def test_a_line_tells_all_of_a_request(client: Connect, service: Service, gateway: Gateway) -> None:
    wire = client()
    wire.send(
        b'POST /a%20"b?token=s%20ecret&dGhpcyBpcyBzZWNyZXQ=&x=[1] HTTP/1.1\r\nHost: H.example:81\r\n'
        b"Content-Length: 5\r\n\r\nhello"
    )
    there = service.accept()
    there.request()
    there.send(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    request_id = wire.head().text("x-request-id")
    there.send(b"3\r\ndef\r\n0\r\n\r\n")
    line = gateway.line(request_id)
    assert abs(datetime.fromisoformat(line.pop("time").replace("Z", "+00:00")).timestamp() - _now()) < 60
    times = {name: line.pop(name) for name in ("total_ms", "queue_ms", "connect_ms", "first_byte_ms")}
    assert line == {
        "request_id": request_id,
        "client_ip": "127.0.0.1",
        "user": None,
        "method": "POST",
        "host": "H.example:81",
        "path": '/a%20"b?token=*&*&x=*',
        "protocol": "HTTP/1.1",
        "route": "users",
        "service": "user",
        "peer": f"127.0.0.1:{service.port}",
        "status": 201,
        "bytes_in": 5,
        "bytes_out": 6,
        "attempts": 1,
        "error": None,
    }
    assert 0 < times["connect_ms"] < times["first_byte_ms"] < times["total_ms"]
    assert times["queue_ms"] == 0


def _now() -> float:
    return datetime.now(timezone.utc).timestamp()


def test_a_refused_request_has_a_line_with_what_is_known_of_it(client: Connect, gateway: Gateway) -> None:
    wire = client()
    wire.send(BAD + b"\r\n")
    line = gateway.line(wire.answer().text("x-request-id"))
    assert (line["status"], line["error"], line["client_ip"]) == (400, "missing-host", "127.0.0.1")
    assert (line["attempts"], line["peer"], line["bytes_in"]) == (0, "", 0)


def test_a_cut_request_has_a_line_with_what_was_sent(client: Connect, service: Service, gateway: Gateway) -> None:
    wire = client()
    wire.send(GET)
    there = service.accept()
    there.request()
    there.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
    request_id = wire.head().text("x-request-id")
    wire.exactly(4)
    there.close()
    line = gateway.line(request_id)
    assert (line["status"], line["error"], line["bytes_out"]) == (200, "upstream-reset", 4)


def test_each_request_has_one_line(client: Connect, gateway: Gateway) -> None:
    wire = client()
    path = b"/nowhere/but/here"
    wire.send(b"TRACE %b HTTP/1.1\r\nHost: h\r\n\r\n" % path * 20 + b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
    answers = [wire.answer() for _ in range(21)]
    gateway.line(answers[-1].text("x-request-id"))
    ids = [line["request_id"] for line in gateway.logged if line["path"] == path.decode()]
    assert ids == [answer.text("x-request-id") for answer in answers[:-1]]


# -- behind trusted proxies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "client_ip", "forwarded_for", "proto", "host"),
    [
        (b"", "127.0.0.1", b"127.0.0.1", b"http", b"h.example"),
        (b"X-Forwarded-For: 192.0.2.9\r\n", "192.0.2.9", b"192.0.2.9, 127.0.0.1", b"http", b"h.example"),
        (
            b"X-Forwarded-For: 6.6.6.6, 192.0.2.9, 10.0.0.7\r\n"
            b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: api.example\r\n",
            "192.0.2.9",
            b"6.6.6.6, 192.0.2.9, 10.0.0.7, 127.0.0.1",
            b"https",
            b"api.example",
        ),
        (b"X-Forwarded-For: 192.0.2.9, junk\r\n", "127.0.0.1", b"192.0.2.9, junk, 127.0.0.1", b"http", b"h.example"),
        (
            b'Forwarded: for=6.6.6.6, for="[2001:db8::1]:99";proto=https;host=api.example\r\n',
            "2001:db8::1",
            b"2001:db8::1, 127.0.0.1",
            b"https",
            b"api.example",
        ),
    ],
)
def test_the_word_of_a_trusted_proxy_counts(
    other: Other, fields: bytes, client_ip: str, forwarded_for: bytes, proto: bytes, host: bytes
) -> None:
    gateway, service, wire = other
    wire.send(b"GET /users/7?a=b HTTP/1.1\r\nHost: h.example\r\n" + fields + b"\r\n")
    there = service.accept()
    got = there.request()
    there.send(OK)
    assert got.first == b"GET /internal/7/x?a=b HTTP/1.1"
    assert got.one(b"host") == b"127.0.0.1:%d" % service.port
    assert got.one(b"x-original-path") == b"/users/7"
    assert got.one(b"x-forwarded-for") == forwarded_for
    assert got.one(b"x-forwarded-proto") == proto
    assert got.one(b"x-forwarded-host") == host
    line = gateway.line(wire.answer().text("x-request-id"))
    assert line["client_ip"] == client_ip
    assert line["path"] == "/users/7?a=b"
