"""Conditions of clients, and what a 304 changes."""

from __future__ import annotations

import pytest

from apigw.policy.cache.status import forwarded, hit
from apigw.policy.cache.uris import invalidated, uri_of
from apigw.policy.cache.validators import asking_again, confirms, freshened, has_it, not_modified

MODIFIED = (b"Last-Modified", b"Sun, 06 Nov 1994 08:49:37 GMT")
TAG = (b"ETag", b'"a"')


@pytest.mark.parametrize(
    ("request_", "answer", "there"),
    [
        ([(b"If-None-Match", b'"a"')], [TAG], True),
        ([(b"if-none-match", b'"x", W/"a"')], [TAG], True),
        ([(b"If-None-Match", b'"x"'), (b"If-None-Match", b'"a"')], [(b"ETag", b'W/"a"')], True),
        ([(b"If-None-Match", b"*")], [], True),
        ([(b"If-None-Match", b'"b"')], [TAG], False),
        ([(b"If-None-Match", b'"a"')], [], False),
        ([(b"If-None-Match", b'"a,b"')], [(b"ETag", b'"a,b"')], True),
        ([(b"If-None-Match", b'"b"'), (b"If-Modified-Since", MODIFIED[1])], [TAG, MODIFIED], False),
        ([(b"If-Modified-Since", MODIFIED[1])], [MODIFIED], True),
        ([(b"If-Modified-Since", b"Sun, 06 Nov 1994 08:49:36 GMT")], [MODIFIED], False),
        ([(b"If-Modified-Since", b"yesterday")], [MODIFIED], False),
        ([(b"If-Modified-Since", MODIFIED[1])], [], False),
        ([], [TAG, MODIFIED], False),
    ],
)
def test_who_has_it(request_: list, answer: list, there: bool) -> None:
    assert has_it(request_, answer) is there


def test_the_service_is_asked_about_ours_and_not_about_the_clients() -> None:
    fields = [(b"Accept", b"x"), (b"If-None-Match", b'"theirs"'), (b"If-Modified-Since", b"then")]
    assert asking_again(fields, [TAG, MODIFIED]) == [
        (b"Accept", b"x"),
        (b"If-None-Match", b'"a"'),
        (b"If-Modified-Since", MODIFIED[1]),
    ]
    assert asking_again(fields, []) == [(b"Accept", b"x")]


@pytest.mark.parametrize(
    ("told", "kept", "same"),
    [
        ([TAG], [TAG], True),
        ([(b"etag", b'W/"a"')], [TAG], True),
        ([(b"ETag", b'"b"')], [TAG], False),
        ([TAG], [MODIFIED], False),
        ([], [TAG], True),
        ([MODIFIED], [MODIFIED], True),
        ([MODIFIED], [(b"Last-Modified", b"other")], False),
    ],
)
def test_whether_a_304_is_of_what_is_kept(told: list, kept: list, same: bool) -> None:
    assert confirms(told, kept) is same


def test_a_304_changes_fields_but_not_those_of_the_body() -> None:
    kept = [(b"A", b"1"), (b"Content-Type", b"x"), (b"Content-Length", b"5"), (b"Age", b"3"), (b"B", b"1")]
    told = [(b"a", b"2"), (b"Content-Length", b"0"), (b"content-type", b"y"), (b"C", b"1")]
    assert freshened(kept, told) == [
        (b"Content-Type", b"x"),
        (b"Content-Length", b"5"),
        (b"B", b"1"),
        (b"a", b"2"),
        (b"C", b"1"),
    ]


def test_a_304_tells_what_leads_caches() -> None:
    assert not_modified([TAG, (b"Content-Type", b"x"), (b"Vary", b"Accept"), (b"X", b"y")]) == [
        TAG,
        (b"Vary", b"Accept"),
    ]


@pytest.mark.parametrize(
    ("method", "status", "answer", "gone"),
    [
        (b"POST", 200, [], [b"/a?b"]),
        (b"POST", 201, [(b"Location", b"/new?x")], [b"/a?b", b"/new?x"]),
        (b"PUT", 303, [(b"Location", b"http://h:80/c"), (b"Content-Location", b"d")], [b"/a?b", b"/c", b"/d"]),
        (b"POST", 201, [(b"Location", b"http://other/c")], [b"/a?b"]),
        (b"POST", 201, [(b"Location", b"ftp://h/c")], [b"/a?b"]),
        (b"POST", 201, [(b"Location", b"http://[/")], [b"/a?b"]),
        (b"POST", 201, [(b"Location", b"\xff")], [b"/a?b"]),
        (b"DELETE", 404, [], []),
        (b"GET", 200, [(b"Location", b"/c")], []),
        (b"X-OWN", 200, [], [b"/a?b"]),
    ],
)
def test_what_is_no_longer_true(method: bytes, status: int, answer: list, gone: list) -> None:
    assert invalidated(method, status, uri_of(b"H:80", b"/a?b"), answer) == [(b"h", path) for path in gone]


def test_cache_status() -> None:
    assert hit(b"c", 5.7) == b"Cache-Status: c; hit; ttl=5\r\n"
    assert hit(b"c", -2.0) == b"Cache-Status: c; hit; ttl=-2\r\n"
    assert forwarded(b"c", b"stale", 304, True) == b"Cache-Status: c; fwd=stale; fwd-status=304; stored\r\n"
    assert forwarded(b"c", b"uri-miss", collapsed=True) == b"Cache-Status: c; fwd=uri-miss; collapsed\r\n"
