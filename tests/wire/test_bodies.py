"""Bodies stream both ways from the first byte, in every framing, and so does what comes before and after them."""

from __future__ import annotations

import select
from threading import Thread

import pytest

from tests.wire.conftest import Connect
from tests.wire.gateway import Gateway
from tests.wire.sockets import Cut, Service, Wire

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
UPLOAD = b"POST /up HTTP/1.1\r\nHost: h\r\n"
LARGE = 8 * 1024 * 1024


def begin(client: Connect, service: Service, request: bytes) -> tuple[Wire, Wire]:
    """:return: the client's end and the service's, after ``request`` was sent."""
    wire = client()
    wire.send(request)
    return wire, service.accept()


# -- uploads -----------------------------------------------------------------------------------------------------------


def test_an_upload_flows_from_its_first_byte(client: Connect, service: Service) -> None:
    wire, there = begin(client, service, UPLOAD + b"Content-Length: 6\r\n\r\n")
    assert there.head().one(b"content-length") == b"6"
    for byte in (b"a", b"b", b"c"):
        wire.send(byte)
        assert there.exactly(1) == byte
    wire.send(b"def")
    assert there.exactly(3) == b"def"
    there.send(OK)
    assert wire.answer().body == b"hi"


def test_an_upload_of_unknown_length_flows_with_its_trailers(client: Connect, service: Service) -> None:
    wire, there = begin(client, service, UPLOAD + b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
    head = there.head()
    assert head.one(b"transfer-encoding") == b"chunked"
    assert head.one(b"trailer") == b"X-Sum"
    assert head.all(b"content-length") == []
    wire.send(b"1;ext=1\r\na\r\n")
    assert there.until(b"a\r\n") == b"1\r\na\r\n"
    wire.send(b"2\r\nb")
    assert there.until(b"b\r\n") == b"1\r\nb\r\n"
    wire.send(b"c\r\n0\r\nX-Sum: 3\r\nContent-Type: evil/x\r\n\r\n")
    assert there.until(b"\r\n\r\n") == b"1\r\nc\r\n0\r\nX-Sum: 3\r\n\r\n"
    there.send(OK)
    assert wire.answer().body == b"hi"
    wire.send(GET)
    assert there.request().first == b"GET /a HTTP/1.1"


def test_no_body_and_an_empty_one_are_two_things(client: Connect, service: Service) -> None:
    wire, there = begin(client, service, b"POST /none HTTP/1.1\r\nHost: h\r\n\r\n")
    assert there.request().all(b"content-length") == []
    there.send(OK)
    wire.answer()
    wire.send(b"POST /empty HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    assert there.request().one(b"content-length") == b"0"
    there.send(OK)
    wire.answer()
    wire.send(b"POST /empty HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    got = there.request()
    assert got.body == b""
    assert got.all(b"content-length") + got.all(b"transfer-encoding") in ([b"0"], [b"chunked"])


def test_a_get_may_have_a_body(client: Connect, service: Service) -> None:
    wire, there = begin(client, service, b"GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" + GET)
    got = there.request()
    assert (got.body, got.text("Connection")) == (b"abc", "close")
    there.send(OK)
    assert wire.answer().body == b"hi"
    # A service that doesn't read it would take it for the next request.
    assert there.ended()
    assert service.accept().request().first == b"GET /a HTTP/1.1"


# -- 100 (Continue) ----------------------------------------------------------------------------------------------------

EXPECTS = UPLOAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"


def test_100_comes_from_the_service(client: Connect, service: Service) -> None:
    wire, there = begin(client, service, EXPECTS)
    assert there.head().one(b"expect") == b"100-continue"
    assert not select.select([wire.socket], [], [], 0.05)[0]
    there.send(b"HTTP/1.1 100 Continue\r\nX-Some: thing\r\n\r\n")
    assert wire.head().status == 100
    wire.send(b"ok")
    assert there.exactly(2) == b"ok"
    there.send(OK)
    assert wire.answer().body == b"hi"


def test_a_service_may_decline_before_the_body(client: Connect, service: Service) -> None:
    wire, there = begin(client, service, EXPECTS)
    there.head()
    there.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
    answer = wire.answer()
    assert answer.status == 401
    assert answer.one(b"connection") == b"close"
    assert wire.ended()
    there.gone()


def test_who_does_not_wait_for_100_needs_none(client: Connect, service: Service) -> None:
    wire, there = begin(client, service, EXPECTS + b"ok")
    assert there.request().body == b"ok"
    there.send(OK)
    assert wire.answer().body == b"hi"


def test_a_body_over_the_cap_is_refused_and_not_asked_for(client: Connect, service: Service) -> None:
    wire = client()
    wire.send(UPLOAD + b"Content-Length: 1048577\r\nExpect: 100-continue\r\n\r\n")
    answer = wire.answer()
    assert answer.status == 413
    assert answer.one(b"connection") == b"close"
    assert wire.ended()
    assert service.untouched()


# -- early answers -----------------------------------------------------------------------------------------------------


def pour(wire: Wire, data: bytes) -> int:
    """Send until there is something to read. :return: how much was sent."""
    wire.socket.setblocking(False)
    view = memoryview(data)
    while view:
        readable, writable, _ = select.select([wire.socket], [wire.socket], [], 5)
        assert readable or writable
        if readable:
            break
        view = view[wire.socket.send(view[:65536]) :]
    wire.socket.settimeout(5)
    return len(data) - len(view)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nf4240\r\n"]
)
@pytest.mark.parametrize("close", ["keep", "close"])
def test_an_early_answer_is_seen_by_who_still_sends(
    client: Connect, service: Service, gateway: Gateway, framing: bytes, close: str
) -> None:
    wire, there = begin(client, service, UPLOAD + framing)
    there.head()
    pour(wire, b"x" * 500000)
    there.send(b"HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\n\r\nno!")
    if close == "close":
        there.close()  # with bytes unread, which is a reset right after the answer
    pour(wire, b"x" * 499999)
    answer = wire.answer()
    assert (answer.status, answer.body) == (413, b"no!")
    assert answer.one(b"connection") == b"close"
    assert wire.ended()
    assert gateway.line(answer.text("x-request-id"))["status"] == 413


@pytest.mark.parametrize("answer", [OK, b"HTTP/1.1 204 No Content\r\n\r\n"])
def test_an_early_answer_that_is_complete_ends_the_upload(client: Connect, service: Service, answer: bytes) -> None:
    wire, there = begin(client, service, UPLOAD + b"Content-Length: 1000\r\n\r\nsome")
    there.head()
    there.send(answer)
    got = wire.answer()
    assert got.first == answer.partition(b"\r\n")[0]
    assert got.one(b"connection") == b"close"
    assert wire.ended()
    there.gone()


def test_the_gateways_own_413_is_seen_by_who_still_sends(client: Connect, service: Service) -> None:
    wire, there = begin(client, service, UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n800000\r\n")
    there.head()
    assert pour(wire, b"x" * LARGE) < LARGE
    answer = wire.answer()
    assert answer.status == 413
    assert wire.ended()
    there.gone()


def test_both_bodies_may_flow_at_once(client: Connect, service: Service) -> None:
    wire, there = begin(client, service, UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n")
    there.head()
    there.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert wire.head().status == 200
    for byte in (b"a", b"b", b"c"):
        wire.send(b"1\r\n" + byte + b"\r\n")
        assert there.until(byte + b"\r\n") == b"1\r\n" + byte + b"\r\n"
        there.send(b"1\r\n" + byte + b"\r\n")
        assert wire.until(byte + b"\r\n") == b"1\r\n" + byte + b"\r\n"
    wire.send(b"0\r\n\r\n")
    assert there.until(b"\r\n\r\n") == b"0\r\n\r\n"
    there.send(b"0\r\n\r\n")
    assert wire.until(b"\r\n\r\n") == b"0\r\n\r\n"
    wire.send(GET)
    assert there.request().first == b"GET /a HTTP/1.1"


# -- downloads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
def test_a_download_flows_from_its_first_byte(client: Connect, service: Service, chunked: bool) -> None:
    wire, there = begin(client, service, GET)
    there.request()
    there.send(
        b"HTTP/1.1 200 OK\r\n" + (b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 3") + b"\r\n\r\n"
    )
    head = wire.head()
    assert bool(head.all(b"transfer-encoding")) is chunked
    for byte in (b"a", b"b", b"c"):
        piece = b"1\r\n" + byte + b"\r\n" if chunked else byte
        there.send(piece)
        assert wire.exactly(len(piece)) == piece
    if chunked:
        there.send(b"0\r\nX-Sum: 1\r\nSet-Cookie: evil=1\r\n\r\n")
        assert wire.until(b"\r\n\r\n") == b"0\r\nX-Sum: 1\r\n\r\n"
    wire.send(GET)
    assert there.request().first == b"GET /a HTTP/1.1"


def test_a_body_that_ends_with_its_connection_is_framed_anew(client: Connect, service: Service) -> None:
    wire, there = begin(client, service, GET)
    there.request()
    there.send(b"HTTP/1.0 200 OK\r\n\r\nsome ")
    assert wire.head().one(b"transfer-encoding") == b"chunked"
    assert wire.exactly(10) == b"5\r\nsome \r\n"
    there.send(b"more")
    there.close()
    assert wire.until(b"0\r\n\r\n") == b"4\r\nmore\r\n0\r\n\r\n"
    wire.send(GET)
    assert service.accept().request().first == b"GET /a HTTP/1.1"


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 404 Not Found\r\n\r\n"),
        (b"GET", b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 500\r\n\r\n'),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"DELETE", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_answers_without_body_end_with_their_head(
    client: Connect, service: Service, method: bytes, answer: bytes
) -> None:
    wire, there = begin(client, service, method + b" /a HTTP/1.1\r\nHost: h\r\n\r\n")
    there.request()
    there.send(answer)
    got = wire.answer(method)
    assert got.first == answer.partition(b"\r\n")[0]
    assert got.all(b"transfer-encoding") == []
    if b"500" in answer:
        assert got.one(b"content-length") == b"500"
    wire.send(GET)
    there.request()
    there.send(OK)
    assert wire.answer().body == b"hi"


def test_the_gateways_own_answers_to_head_have_no_body(client: Connect) -> None:
    wire = client()
    wire.send(b"HEAD /health HTTP/1.1\r\nHost: h\r\n\r\n")
    wire.send(b"HEAD /a HTTP/1.1\r\nHost: h\r\nVia: 1.1 x\r\nContent-Length: 9999999\r\n\r\n")
    assert int(wire.answer(b"HEAD").one(b"content-length")) > 0
    refused = wire.answer(b"HEAD")
    assert refused.status == 413
    assert wire.ended()


def test_103_passes_before_the_answer(client: Connect, service: Service) -> None:
    wire, there = begin(client, service, GET)
    there.request()
    there.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x-mine\r\nX-Mine: 1\r\n\r\n")
    early = wire.answer()
    assert early.first == b"HTTP/1.1 103 Early Hints"
    assert early.fields == [(b"Link", b"</a.css>; rel=preload")]
    there.send(b"HTTP/1.1 102 Processing\r\n\r\n" + OK)
    assert [wire.answer().status, wire.answer().status] == [102, 200]


# -- connections -------------------------------------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(client: Connect, service: Service) -> None:
    wire = client()
    wire.send(
        b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"
        b"POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
        b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n"
        b"HEAD /4 HTTP/1.1\r\nHost: h\r\n\r\n"
        b"POST /5 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    there = service.accept()
    for number in (1, 2, 4, 5):
        got = there.request()
        assert got.first.split()[1] == b"/%d" % number
        there.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + (b"" if number == 4 else b"%d" % number))
    answers = [wire.answer(method) for method in (b"GET", b"POST", b"GET", b"HEAD", b"POST")]
    assert [answer.body[:1] for answer in answers] == [b"1", b"2", b"{", b"", b"5"]


def flood(wire: Wire, request: bytes, most: int) -> int:
    """Send requests and read nothing, until the gateway takes no more. :return: how many were sent."""
    data = request * (65536 // len(request))
    view = memoryview(data)
    sent = 0
    wire.socket.setblocking(False)
    while sent < most and select.select([], [wire.socket], [], 0.3)[1]:
        sent += wire.socket.send(view[sent % len(data) :])
    wire.socket.settimeout(5)
    left = -sent % len(request)
    Thread(target=wire.send, args=(request[len(request) - left :],)).start()
    return (sent + left) // len(request)


def test_who_asks_on_and_never_reads_is_not_read_either(client: Connect, service: Service, gateway: Gateway) -> None:
    before = gateway.resident()
    wire = client(receive_buffer=4096, send_buffer=4096)
    count = flood(wire, b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n", 4_000_000)
    assert gateway.resident() - before < 5_000_000
    for _ in range(count):
        assert wire.answer().status == 200


@pytest.mark.parametrize("count", [1, 3])
def test_who_has_sent_all_and_says_so_is_answered(client: Connect, service: Service, count: int) -> None:
    wire = client()
    wire.send(GET * count)
    wire.finish()
    there = service.accept()
    for _ in range(count):
        there.request()
        there.send(OK)
    answers = []
    while len(answers) < count:
        answer = wire.answer()
        assert answer.status in (100, 200)
        if answer.status == 200:
            answers.append(answer)
    assert [answer.body for answer in answers] == [b"hi"] * count
    assert wire.ended()


@pytest.mark.parametrize("rest", [b"GET /never HT", b"POST /never HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab"])
def test_half_a_request_at_the_end_is_none(client: Connect, service: Service, rest: bytes) -> None:
    wire, there = begin(client, service, GET + rest)
    wire.finish()
    assert there.request().first == b"GET /a HTTP/1.1"
    there.send(OK)
    answer = wire.answer()
    if answer.status == 100:
        answer = wire.answer()
    assert answer.body == b"hi"
    wire.gone()


def test_who_says_so_after_the_answer_has_begun_gets_all_of_it(
    client: Connect, service: Service, gateway: Gateway
) -> None:
    wire = client(receive_buffer=4096)
    wire.send(GET)
    there = service.accept()
    there.request()
    there.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n")
    head = wire.head()
    sender = Thread(target=there.send, args=(b"x" * 3000000,))
    sender.start()
    wire.exactly(100000)
    wire.finish()
    assert len(wire.exactly(2900000)) == 2900000
    sender.join()
    assert wire.ended()
    assert gateway.line(head.text("x-request-id"))["bytes_out"] == 3000000


def test_who_says_so_between_requests_is_let_go_in_order(client: Connect, service: Service) -> None:
    wire, there = begin(client, service, GET)
    there.request()
    there.send(OK)
    wire.answer()
    wire.finish()
    assert wire.ended()


def test_who_has_sent_a_body_and_says_so_is_answered(client: Connect, service: Service) -> None:
    wire, there = begin(client, service, UPLOAD + b"Content-Length: 3\r\n\r\nabc")
    wire.finish()
    assert there.request().body == b"abc"
    there.send(b"HTTP/1.1 200 OK\r\n\r\n")
    answer = wire.head()
    if answer.status == 100:
        answer = wire.head()
    assert answer.status == 200
    there.send(b"slow")
    assert wire.until(b"slow")
    there.close()
    assert wire.rest().endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "kept"),
    [
        (b"GET /a HTTP/1.0\r\n\r\n", False),
        (b"GET /a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", True),
        (b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", False),
    ],
)
def test_persistence_follows_the_client(client: Connect, service: Service, request_: bytes, kept: bool) -> None:
    wire, there = begin(client, service, request_)
    got = there.request()
    assert got.first == b"GET /a HTTP/1.1"
    assert len(got.all(b"host")) == 1
    there.send(OK)
    answer = wire.answer()
    assert answer.first == b"HTTP/1.1 200 OK"
    assert answer.all(b"connection") == [b"keep-alive" if kept else b"close"]
    if kept:
        wire.send(request_)
        assert there.request().first == b"GET /a HTTP/1.1"
    else:
        assert wire.ended()


def test_an_http10_client_gets_chunks_as_plain_bytes_and_no_1xx(client: Connect, service: Service) -> None:
    wire, there = begin(client, service, b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    there.request()
    there.send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
    there.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n2\r\nho\r\n0\r\nX-Sum: 1\r\n\r\n")
    answer = wire.answer()
    assert answer.status == 200
    assert answer.all(b"transfer-encoding") == []
    assert answer.one(b"connection") == b"close"
    assert answer.body == b"hiho"


@pytest.mark.parametrize("head", [b"Content-Length: 10\r\n", b"Transfer-Encoding: chunked\r\n", b""])
def test_a_service_that_dies_within_a_body_cuts_it_for_the_client(
    client: Connect, service: Service, gateway: Gateway, head: bytes
) -> None:
    for version in (b"1.1", b"1.0"):
        wire, there = begin(client, service, b"GET /a HTTP/" + version + b"\r\nHost: h\r\n\r\n")
        there.request()
        there.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        request_id = wire.head().text("x-request-id")
        there.send(b"5\r\nab")
        wire.until(b"ab")
        if head:
            there.close()
        else:
            there.reset()
        with pytest.raises(Cut):
            wire.rest()
        assert gateway.line(request_id)["error"] == "upstream-reset"
