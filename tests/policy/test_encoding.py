"""Which coding a client gets, and what becomes of the fields."""

from __future__ import annotations

import pytest

from apigw.policy.encoding import accepted, compressible, encoded, known_weak, varying

KNOWN = ("zstd", "br", "gzip")
TYPES = {"text/*", "+json", "application/json"}


@pytest.mark.parametrize(
    ("value", "coding"),
    [
        (b"", ""),
        (b"gzip", "gzip"),
        (b"GZip", "gzip"),
        (b"x-gzip", "gzip"),
        (b"gzip, deflate, br, zstd", "zstd"),
        (b"gzip;q=1.0, br;q=0.8", "gzip"),
        (b"gzip ; q=0.5 ,\tbr; q=0.5", "br"),
        (b"gzip;q=0", ""),
        (b"gzip;q=0.000, *", "zstd"),
        (b"*", "zstd"),
        (b"*;q=0", ""),
        (b"zstd;q=0, *;q=0.1", "br"),
        (b"identity", ""),
        (b"identity, gzip;q=0.5", ""),
        (b"identity;q=0.5, gzip", "gzip"),
        (b"identity, gzip", "gzip"),
        (b"gzip;q=2", ""),
        (b"gzip;level=9", ""),
        (b"deflate", ""),
        (b",,gzip,", "gzip"),
    ],
)
def test_the_client_chooses(value: bytes, coding: str) -> None:
    assert accepted(value, KNOWN) == coding


@pytest.mark.parametrize(
    ("fields", "length", "verdict"),
    [
        ([(b"Content-Type", b"text/html; charset=utf-8")], 100, True),
        ([(b"Content-Type", b"TEXT/event-stream")], None, True),
        ([(b"Content-Type", b"text/html")], 99, False),
        ([(b"Content-Type", b"application/problem+json")], 100, True),
        ([(b"Content-Type", b"application/json")], 100, True),
        ([(b"Content-Type", b"application/jsonx")], 100, False),
        ([(b"Content-Type", b"image/png")], 100, False),
        ([], 100, False),
        ([(b"Content-Type", b"text/x"), (b"Content-Encoding", b"br")], None, False),
        ([(b"Content-Type", b"text/x"), (b"Content-Encoding", b"Identity")], None, True),
        ([(b"Content-Type", b"text/x"), (b"content-range", b"bytes 0-1/2")], None, False),
        ([(b"Content-Type", b"text/x"), (b"Cache-Control", b"public, No-Transform")], None, False),
        ([(b"Content-Type", b"text/x"), (b"Repr-Digest", b"sha-256=:AA==:")], None, False),
    ],
)
def test_what_is_compressed(fields: list[tuple[bytes, bytes]], length: int | None, verdict: bool) -> None:
    assert compressible(fields, TYPES, 100, length) is verdict


def test_fields() -> None:
    fields = [(b"ETag", b'"x"'), (b"Content-Length", b"9"), (b"accept-ranges", b"bytes"), (b"A", b"b")]
    assert encoded(fields, "br") == [(b"ETag", b'W/"x"'), (b"A", b"b"), (b"Content-Encoding", b"br")]
    assert encoded([(b"etag", b'W/"x"')], "br")[0] == (b"etag", b'W/"x"')


@pytest.mark.parametrize(
    ("vary", "more"),
    [(b"Origin", True), (b"*", False), (b"Origin, ACCEPT-Encoding", False), (b"X-Accept-Encoding", True)],
)
def test_vary_is_there_once(vary: bytes, more: bool) -> None:
    fields = [(b"Vary", vary)]
    assert varying(fields) == fields + [(b"Vary", b"Accept-Encoding")] * more


def test_tags_that_were_made_weak_are_known_again() -> None:
    assert known_weak([(b"If-None-Match", b'"y", W/"x"')], b'"x"')
    assert not known_weak([(b"If-None-Match", b'"x"')], b'"x"')
