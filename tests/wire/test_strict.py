"""What isn't surely one HTTP message is refused, on either side, and nothing of it goes on."""

from __future__ import annotations

import json
import select
from collections.abc import Iterator
from threading import Thread

import pytest

from tests.wire.conftest import Connect
from tests.wire.gateway import Gateway
from tests.wire.sockets import Cut, Service, Wire, connect

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


def get(fields: bytes) -> bytes:
    return b"GET /a HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n"


def post(fields: bytes, body: bytes = b"") -> bytes:
    return b"POST /a HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n" + body


def chunks(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked\r\n", body)


REFUSED = {
    "CL and TE": (post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
    "TE and CL": (post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"), 400),
    "two CL": (post(b"Content-Length: 2\r\nContent-Length: 3\r\n", b"abc"), 400),
    "two equal CL": (post(b"Content-Length: 2\r\nContent-Length: 2\r\n", b"ab"), 400),
    "CL list": (post(b"Content-Length: 2, 2\r\n", b"ab"), 400),
    "CL plus": (post(b"Content-Length: +2\r\n", b"ab"), 400),
    "CL minus": (post(b"Content-Length: -2\r\n", b"ab"), 400),
    "CL empty": (post(b"Content-Length: \r\n", b"ab"), 400),
    "CL hex": (post(b"Content-Length: 0x2\r\n", b"ab"), 400),
    "CL underscore": (post(b"Content-Length: 1_0\r\n", b"ab"), 400),
    "CL arabic": (post("Content-Length: \u0662\r\n".encode(), b"ab"), 400),
    "CL 5000 digits": (post(b"Content-Length: " + b"9" * 5000 + b"\r\n"), 400),
    "CL 2^63": (post(b"Content-Length: 9223372036854775808\r\n"), 400),
    "TE identity": (post(b"Transfer-Encoding: identity\r\n"), 400),
    "TE chunked twice": (post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
    "TE chunked, identity": (post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"), 400),
    "TE xchunked": (post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 501),
    "TE gzip, chunked": (post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 501),
    "TE quoted": (post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"), 400),
    "TE vertical tab": (post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), 400),
    "TE empty": (post(b"Transfer-Encoding: \r\n", b"0\r\n\r\n"), 400),
    "TE in 1.0": (b"POST /a HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "bare LF": (b"GET /a HTTP/1.1\nHost: h\n\n", 400),
    "bare LF in fields": (b"GET /a HTTP/1.1\r\nHost: h\r\nX: y\nZ: z\r\n\r\n", 400),
    "bare CR in a value": (get(b"X: a\rb\r\n"), 400),
    "CR CR LF": (b"GET /a HTTP/1.1\r\r\nHost: h\r\n\r\n", 400),
    "NUL in a value": (get(b"X: a\0b\r\n"), 400),
    "control in a value": (get(b"X: a\x01b\r\n"), 400),
    "DEL in a value": (get(b"X: a\x7fb\r\n"), 400),
    "obs-fold": (get(b"X: a\r\n b\r\n"), 400),
    "obs-fold first": (b"GET /a HTTP/1.1\r\n Host: h\r\n\r\n", 400),
    "space before colon": (get(b"X : a\r\n"), 400),
    "TE space before colon": (post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"), 400),
    "no colon": (get(b"nonsense\r\n"), 400),
    "no name": (get(b": a\r\n"), 400),
    "bad name": (get(b"X(y): a\r\n"), 400),
    "8-bit name": (get(b"X\xe9: a\r\n"), 400),
    "NUL in a name": (get(b"X\0: a\r\n"), 400),
    "no Host": (b"GET /a HTTP/1.1\r\n\r\n", 400),
    "two Host": (get(b"Host: h\r\n"), 400),
    "two Host, one other": (get(b"host: other\r\n"), 400),
    "empty Host": (b"GET /a HTTP/1.1\r\nHost: \r\n\r\n", 400),
    "Host list": (b"GET /a HTTP/1.1\r\nHost: h, i\r\n\r\n", 400),
    "Host with user": (b"GET /a HTTP/1.1\r\nHost: u@h\r\n\r\n", 400),
    "Host with path": (b"GET /a HTTP/1.1\r\nHost: h/x\r\n\r\n", 400),
    "Host with space": (b"GET /a HTTP/1.1\r\nHost: h i\r\n\r\n", 400),
    "Host bad port": (b"GET /a HTTP/1.1\r\nHost: h:99999\r\n\r\n", 400),
    "Host bad IPv6": (b"GET /a HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
    "absolute form against Host": (b"GET http://other/a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "absolute form with user": (b"GET http://u@h/a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "other scheme": (b"GET ftp://h/a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "no slash": (b"GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "fragment": (b"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "control in the target": (b"GET /a\x01 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "8-bit target": (b"GET /\xe9 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "space in the target": (b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "two spaces": (b"GET  /a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "tab": (b"GET\t/a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "leading space": (b" GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "star": (b"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "bad method": (b"G(T /a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "long method": (b"G" * 33 + b" /a HTTP/1.1\r\nHost: h\r\n\r\n", 501),
    "no version": (b"GET /a\r\nHost: h\r\n\r\n", 400),
    "bad version": (b"GET /a HTTP/1.x\r\nHost: h\r\n\r\n", 400),
    "two digits": (b"GET /a HTTP/1.10\r\nHost: h\r\n\r\n", 400),
    "lower version": (b"GET /a http/1.1\r\nHost: h\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /a HTTP/0.9\r\nHost: h\r\n\r\n", 505),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/3.0": (b"GET /a HTTP/3.0\r\nHost: h\r\n\r\n", 505),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "noise": (bytes(range(256)), 400),
    "bad Connection": (get(b"Connection: a b\r\n"), 400),
    "unknown Expect": (post(b"Content-Length: 2\r\nExpect: miracles\r\n"), 417),
    "long line": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
    "long line, unended": (b"GET /" + b"a" * 9000, 414),
    "large head": (get(b"X: " + b"a" * 17000 + b"\r\n"), 431),
    "large head, unended": (b"GET /a HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 3000, 431),
    "many fields": (get(b"a:\r\n" * 101), 431),
    "TRACE": (b"TRACE /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 405),
    "CONNECT": (b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", 405),
    "large body": (post(b"Content-Length: 1048577\r\n"), 413),
    "chunk size empty": (chunks(b"\r\nab\r\n"), 400),
    "chunk size signed": (chunks(b"+2\r\nab\r\n"), 400),
    "chunk size 0x": (chunks(b"0x2\r\nab\r\n"), 400),
    "chunk size long": (chunks(b"00000000000000002\r\nab\r\n"), 400),
    "chunk size large": (chunks(b"8000000000000000\r\n"), 400),
    "chunk size space": (chunks(b"2 \r\nab\r\n"), 400),
    "chunk size underscore": (chunks(b"1_0\r\nab\r\n"), 400),
    "chunk LF": (chunks(b"2\nab\r\n"), 400),
    "chunk CR": (chunks(b"2\rXab\r\n"), 400),
    "chunk too long": (chunks(b"2\r\nabc\r\n"), 400),
    "chunk without end": (chunks(b"2\r\nab0\r\n\r\n"), 400),
    "chunk end LF": (chunks(b"2\r\nab\n0\r\n\r\n"), 400),
    "chunk extension LF": (chunks(b"2;a\nb\r\nab\r\n0\r\n\r\n"), 400),
    "chunk extension CR": (chunks(b"2;a\rb\r\nab\r\n0\r\n\r\n"), 400),
    "chunk extension quote": (chunks(b'2;a="\r\nab\r\n0\r\n\r\n'), 400),
    "chunk extension long": (chunks(b"2;a=" + b"b" * 300 + b"\r\nab\r\n"), 400),
    "trailer folded": (chunks(b"0\r\nX: a\r\n b\r\n\r\n"), 400),
    "trailer frames": (chunks(b"0\r\nContent-Length: 3\r\n\r\n"), 400),
    "trailer frames too": (chunks(b"0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400),
    "trailer LF": (chunks(b"0\r\nX: a\n\r\n"), 400),
    "trailers large": (chunks(b"0\r\n" + b"X: " + b"a" * 17000 + b"\r\n\r\n"), 431),
}
"""Requests, and the status each is refused with."""


@pytest.mark.parametrize(("request_", "status"), REFUSED.values(), ids=REFUSED)
def test_a_bad_request_is_refused_once_and_nothing_after_it_is_read(
    client: Connect, service: Service, gateway: Gateway, request_: bytes, status: int
) -> None:
    wire = client()
    wire.send(request_ + SMUGGLED)
    method = b"HEAD" if request_.startswith(b"HEAD") else b"GET"
    answer = wire.answer(method)
    assert answer.status == status
    assert answer.one(b"connection") == b"close"
    assert answer.one(b"content-type") == b"application/problem+json"
    assert json.loads(answer.body)["status"] == status
    assert wire.ended()
    line = gateway.line(answer.text("x-request-id"))
    assert line["status"] == status
    assert line["error"] == json.loads(answer.body)["code"]
    # A body that turns out to be bad may have gone there in part, but without an end, and nothing after it.
    got = service.received()
    assert b"smuggled" not in got
    assert not got.endswith(b"0\r\n\r\n")


ACCEPTED = {
    "empty line before": b"\r\n" + GET,
    "TE in capitals": chunks(b"2\r\nab\r\n0\r\n\r\n").replace(b"chunked", b"CHUNKED"),
    "chunk extensions": chunks(b'2;a;b=c;d="e\\"f"\r\nab\r\n0;x\r\n\r\n'),
    "zeros": chunks(b"0002\r\nab\r\n000\r\n\r\n"),
    "hex of either case": chunks(b"a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n"),
    "CL with zeros": post(b"Content-Length: 0002\r\n", b"ab"),
    "no white space": b"GET /a HTTP/1.1\r\nHost:h\r\nX:\r\n\r\n",
    "much white space": b"GET /a HTTP/1.1\r\nHost: \t h \t\r\nX: \t \r\n\r\n",
    "8-bit value": get(b"X: \xe4\xf6\xfc\r\n"),
    "absolute form": b"GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n",
    "absolute form, default port": b"GET HTTP://H:80/a HTTP/1.1\r\nHost: h\r\n\r\n",
    "IPv6": b"GET /a HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    "HTTP/1.2": b"GET /a HTTP/1.2\r\nHost: h\r\n\r\n",
    "100 fields": get(b"a:\r\n" * 99),
    "8000 bytes": b"GET /" + b"a" * 8000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
}
"""Requests that are unusual and valid."""


@pytest.mark.parametrize("request_", ACCEPTED.values(), ids=ACCEPTED)
def test_an_unusual_request_is_one_request(client: Connect, service: Service, request_: bytes) -> None:
    wire = client()
    wire.send(request_ + GET.replace(b"/a", b"/next"))
    there = service.accept()
    there.request()
    there.send(OK)
    assert wire.answer().body == b"hi"
    assert there.request().first == b"GET /next HTTP/1.1"
    there.send(OK)
    assert wire.answer().body == b"hi"


# -- answers -----------------------------------------------------------------------------------------------------------


def answer(fields: bytes, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n" + body


BAD_ANSWERS = {
    "CL and TE": answer(b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "two CL": answer(b"Content-Length: 2\r\nContent-Length: 3\r\n", b"ab"),
    "CL list": answer(b"Content-Length: 2, 2\r\n", b"ab"),
    "CL minus": answer(b"Content-Length: -2\r\n", b"ab"),
    "CL 5000 digits": answer(b"Content-Length: " + b"9" * 5000 + b"\r\n"),
    "TE gzip": answer(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "TE identity": answer(b"Transfer-Encoding: identity\r\n", b"ab"),
    "TE in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "bare CR": answer(b"X: a\rb\r\nContent-Length: 0\r\n"),
    "NUL": answer(b"X: a\0b\r\nContent-Length: 0\r\n"),
    "obs-fold": answer(b"X: a\r\n b\r\nContent-Length: 0\r\n"),
    "space before colon": answer(b"Content-Length : 0\r\n"),
    "bad name": answer(b"X(y): a\r\nContent-Length: 0\r\n"),
    "no colon": answer(b"nonsense\r\n"),
    "HTTP/2": b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>",
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "status 99": b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
    "control in the reason": b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n",
    "leading line": b"\r\n" + OK,
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "204 with a length": b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nab",
    "204 with chunks": b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "1xx with a length": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nab" + OK,
    "1xx in 1.0": b"HTTP/1.0 103 Early Hints\r\n\r\n" + OK,
    "large head": answer(b"X: " + b"a" * 70000 + b"\r\n"),
    "endless head": answer(b"X: a\r\n" * 300),
    "bad chunk": answer(b"Transfer-Encoding: chunked\r\n", b"zz\r\n"),
}
"""Answers that are not, or not surely, HTTP."""


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_bad_answer_is_a_502_and_its_connection_ends(
    client: Connect, service: Service, gateway: Gateway, answer: bytes
) -> None:
    wire = client()
    wire.send(GET)
    there = service.accept()
    there.request()
    there.send(answer)
    got = wire.answer()
    assert got.status == 502
    assert got.one(b"proxy-status") == b"apigw; error=http_protocol_error"
    assert json.loads(got.body)["code"] == "upstream-protocol-error"
    there.gone()
    assert gateway.line(got.text("x-request-id"))["error"] == "upstream-protocol-error"
    wire.send(GET)
    there = service.accept()
    there.request()
    there.send(OK)
    assert wire.answer().body == b"hi"


@pytest.mark.parametrize("rest", [b"zz\r\n", b"1\r\nabc", b"0\r\nX: a\nb\r\n\r\n", b"0\r\nContent-Length: 1\r\n\r\n"])
def test_an_answer_that_turns_bad_is_cut(client: Connect, service: Service, gateway: Gateway, rest: bytes) -> None:
    wire = client()
    wire.send(GET)
    there = service.accept()
    there.request()
    there.send(answer(b"Transfer-Encoding: chunked\r\n", b"2\r\nab\r\n"))
    request_id = wire.head().text("x-request-id")
    wire.until(b"ab\r\n")
    there.send(rest)
    with pytest.raises(Cut):
        wire.rest()
    there.gone()
    line = gateway.line(request_id)
    assert (line["status"], line["error"]) == (200, "upstream-protocol-error")


# -- slowness ----------------------------------------------------------------------------------------------------------

IMPATIENT = """
[gateway]
access_log = -
header_timeout = 300ms
body_idle_timeout = 300ms
keepalive_timeout = 300ms
write_idle_timeout = 300ms
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:{port}
retry.attempts = 1
breaker.volume = 1000000
timeout.first_byte = 300ms
timeout.idle = 300ms
[route:users]
path = /
service = user
"""


@pytest.fixture(scope="module")
def _slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Service]]:
    service = Service()
    with Gateway(tmp_path_factory.mktemp("impatient"), IMPATIENT.format(port=service.port)) as gateway:
        yield gateway, service
    service.close()


@pytest.fixture
def impatient(_slow: tuple[Gateway, Service]) -> Iterator[tuple[Gateway, Service, Wire]]:
    """A gateway that waits 0.3 s for anything, its service, and a client's connection."""
    gateway, service = _slow
    wire = connect(gateway.port)
    before = len(gateway.output)
    yield gateway, service, wire
    wire.close()
    service.settle()
    assert gateway.output[before:] == []


Impatient = tuple[Gateway, Service, Wire]


def drip(wire: Wire, data: bytes) -> None:
    """Send a byte now and then, until there is an answer."""
    for at in range(len(data)):
        wire.send(data[at : at + 1])
        if select.select([wire.socket], [], [], 0.05)[0]:
            return
    pytest.fail("it was let drip")


def test_a_head_has_so_much_time_in_all(impatient: Impatient) -> None:
    gateway, _, wire = impatient
    drip(wire, get(b"X: " + b"x" * 100))
    answer = wire.answer()
    assert answer.status == 408
    assert wire.ended()
    assert gateway.line(answer.text("x-request-id"))["error"] == "request-timeout"


def test_a_body_has_a_least_pace(impatient: Impatient) -> None:
    gateway, service, wire = impatient
    wire.send(post(b"Content-Length: 1000\r\n"))
    there = service.accept()
    drip(wire, b"x" * 200)
    answer = wire.answer()
    assert answer.status == 408
    assert wire.ended()
    there.gone()
    assert gateway.line(answer.text("x-request-id"))["error"] == "request-timeout"


def test_a_chunk_line_that_drips_is_no_body(impatient: Impatient) -> None:
    _, service, wire = impatient
    wire.send(chunks(b"1;a="))
    service.accept()
    drip(wire, b"x" * 200)
    assert wire.answer().status == 408


@pytest.mark.parametrize("first", [b"", GET])
def test_who_asks_nothing_is_let_go(impatient: Impatient, first: bytes) -> None:
    gateway, service, wire = impatient
    if first:
        wire.send(first)
        there = service.accept()
        there.request()
        there.send(OK)
        wire.answer()
    count = len(gateway.logged)
    assert wire.ended()
    assert len(gateway.logged) <= count + 1


def test_who_does_not_read_is_let_go(impatient: Impatient) -> None:
    gateway, service, _ = impatient
    wire = connect(gateway.port, receive_buffer=4096)
    wire.send(GET)
    there = service.accept()
    there.request()
    there.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    request_id = wire.head().text("x-request-id")
    with pytest.raises(OSError):
        while True:
            there.send(b"x" * 65536)
    assert gateway.line(request_id)["error"] == "client-disconnected"
    wire.close()


def test_who_reads_slowly_is_let_read(impatient: Impatient) -> None:
    gateway, service, _ = impatient
    wire = connect(gateway.port, receive_buffer=4096)
    wire.send(GET)
    there = service.accept()
    there.request()
    size = 8_000_000
    there.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    sending = Thread(target=there.send, args=(b"x" * size,))
    sending.start()
    wire.head()
    for _ in range(20):
        wire.exactly(20_000)
        select.select([], [], [], 0.05)  # a slow way, not a wait for something
    wire.exactly(size - 20 * 20_000)
    sending.join()
    wire.close()


def test_a_service_has_so_much_time(impatient: Impatient) -> None:
    gateway, service, wire = impatient
    wire.send(GET)
    there = service.accept()
    there.request()
    got = wire.answer()
    assert got.status == 504
    assert json.loads(got.body)["code"] == "upstream-first-byte-timeout"
    assert got.one(b"proxy-status") == b"apigw; error=http_response_timeout"
    there.gone()
    wire.send(GET)
    there = service.accept()
    there.request()
    there.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh")
    request_id = wire.head().text("x-request-id")
    with pytest.raises(Cut):
        wire.exactly(2)
    assert gateway.line(request_id)["error"] == "upstream-idle-timeout"
