"""Answers that are compressed on their way, and those that must not be, over the whole path in memory."""

from __future__ import annotations

import gzip
import zlib

import pytest

from apigw.messages import Response, field_value
from apigw.policy.client_auth import NOTHING_ASKED, ClientAuths, ClientCertificate, ClientTls
from apigw.stages.codings import Gzip
from apigw.stages.compression import Compression
from tests.kit import Memory, asking
from tests.path.test_exchange import begin, head_of

TEXT = b"the same again, " * 100


def memory(public: bool = False) -> Memory:
    return Memory(stages=(Compression({"gzip": Gzip}, ["text/*"], 1000, public),))


def get(more: bytes = b"Accept-Encoding: gzip\r\n", method: bytes = b"GET") -> bytes:
    return b"%b /a HTTP/1.1\r\nHost: gw\r\n%b\r\n" % (method, more)


def answer(
    request: bytes, fields: bytes = b"", body: bytes = TEXT, status: bytes = b"200", public: bool = False
) -> tuple[dict[bytes, bytes], bytes]:
    client, service = begin(memory(public), request)
    length = b"" if status in (b"204", b"304") else b"Content-Length: %d\r\n" % len(body)
    sent = b"" if request.startswith(b"HEAD") or not length else body
    service.feed(b"HTTP/1.1 %b x\r\nContent-Type: text/plain\r\n%b%b\r\n%b" % (status, length, fields, sent))
    first, found, rest = head_of(client.take())
    assert first.split(b" ")[1] == status
    return found, rest


def test_a_body_that_is_there_is_compressed_as_a_whole() -> None:
    fields, body = answer(get(), b'ETag: "x"\r\nAccept-Ranges: bytes\r\nVary: Cookie\r\n')
    assert gzip.decompress(body) == TEXT
    assert fields[b"content-encoding"] == b"gzip"
    assert fields[b"content-length"] == b"%d" % len(body)
    assert fields[b"etag"] == b'W/"x"'
    assert b"accept-ranges" not in fields
    assert b"Accept-Encoding" in fields[b"vary"]


@pytest.mark.parametrize("request_", [get(b""), get(b"Accept-Encoding: gzip;q=0\r\n")])
def test_who_does_not_take_it_gets_it_as_it_is(request_: bytes) -> None:
    fields, body = answer(request_, b'ETag: "x"\r\n')
    assert body == TEXT
    assert fields[b"vary"] == b"Accept-Encoding"
    assert fields[b"etag"] == b'"x"'
    assert b"content-encoding" not in fields


def test_a_request_may_forbid_it() -> None:
    fields, body = answer(get(b"Accept-Encoding: gzip\r\nCache-Control: no-transform\r\n"))
    assert body == TEXT
    assert fields[b"vary"] == b"Accept-Encoding"


@pytest.mark.parametrize(
    ("fields", "status", "body"),
    [
        (b"Content-Encoding: br\r\n", b"200", TEXT),
        (b"Content-Range: bytes 0-1599/9999\r\n", b"206", TEXT),
        (b"Cache-Control: no-transform\r\n", b"200", TEXT),
        (b"", b"200", b"too small"),
        (b"", b"204", b""),
    ],
)
def test_what_is_left_alone(fields: bytes, status: bytes, body: bytes) -> None:
    found, rest = answer(get(), fields, body, status)
    assert rest == body
    assert b"vary" not in found
    assert found.get(b"content-encoding") == (b"br" if b"br" in fields else None)


def test_head_tells_that_it_varies() -> None:
    fields, body = answer(get(method=b"HEAD"))
    assert body == b""
    assert fields[b"vary"] == b"Accept-Encoding"
    assert b"content-encoding" not in fields


@pytest.mark.parametrize(("asked", "tag"), [(b'W/"x"', b'W/"x"'), (b'"x"', b'"x"')])
def test_the_tag_of_a_304_is_the_one_that_the_client_has(asked: bytes, tag: bytes) -> None:
    fields, _ = answer(get(b"If-None-Match: %b\r\n" % asked), b'ETag: "x"\r\n', b"", b"304")
    assert fields[b"etag"] == tag


@pytest.mark.parametrize("sent", [b"Cookie: a=b\r\n", b"Authorization: Basic eA==\r\n", b""])
@pytest.mark.parametrize("got", [b"Set-Cookie: a=b\r\n", b""])
def test_public_leaves_out_what_may_hold_a_secret(sent: bytes, got: bytes) -> None:
    fields, _ = answer(get(b"Accept-Encoding: gzip\r\n" + sent), got, public=True)
    assert (b"content-encoding" in fields) is not bool(sent or got)
    fields, _ = answer(get(b"Accept-Encoding: gzip\r\n" + sent), got)
    assert b"content-encoding" in fields


def test_a_client_certificate_is_a_credential_too() -> None:
    exchange = asking()
    exchange.request.fields = [(b"Accept-Encoding", b"gzip")]
    stage = Compression({"gzip": Gzip}, ["text/*"], 1000, True)
    for certificate, coded in ((ClientCertificate(b"CN=ann", b"00"), False), (None, True)):
        exchange.request.client.tls = ClientTls(ClientAuths(), NOTHING_ASKED, certificate)
        response = Response(200, b"OK", [(b"Content-Type", b"text/plain")], TEXT)
        stage.response(exchange, response)
        assert (field_value(response.fields, b"content-encoding") is not None) is coded


def test_each_piece_leaves_at_once() -> None:
    client, service = begin(memory(), get())
    service.feed(b"HTTP/1.1 200 x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.take()
    decode = zlib.decompressobj(31)
    for piece in (b"first", b"second"):
        service.feed(b"%x\r\n%b\r\n" % (len(piece), piece))
        size, _, data = client.take().partition(b"\r\n")
        assert int(size, 16) == len(data) - 2
        assert decode.decompress(data[:-2]) == piece
    service.feed(b"0\r\n\r\n")
    end = client.take()
    assert end.endswith(b"\r\n0\r\n\r\n")
    decode.decompress(end.split(b"\r\n", 1)[1][:-7])
    assert decode.eof


def test_a_cut_stays_one() -> None:
    client, service = begin(memory(), get())
    service.feed(b"HTTP/1.1 200 x\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\nabc")
    service.end()
    assert client.closed == "aborted"


def test_the_pace_is_still_the_clients() -> None:
    client, service = begin(memory(), get())
    service.feed(b"HTTP/1.1 200 x\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\nabc")
    client.producer.pauseProducing()
    assert service.paused
    client.producer.resumeProducing()
    assert not service.paused
