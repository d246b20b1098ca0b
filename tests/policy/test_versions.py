"""Which version a request is for, and how versions end."""

from __future__ import annotations

import pytest

from apigw.policy.callers import Callers
from apigw.policy.versions import (
    HEADER,
    MEDIA,
    PATH,
    Brownout,
    Life,
    NoVersion,
    Source,
    Versions,
    in_accept,
    in_path,
    natural,
)

ALL = Versions((Source(PATH), Source(HEADER, "Accept-Version"), Source(MEDIA)), ("1", "2", "2.1"), "2")


@pytest.mark.parametrize(
    ("path", "version"),
    [
        (b"/v1/a", "1"),
        (b"/api/V2.1", "2.1"),
        (b"//a/b/v3/c", "3"),
        (b"/a/b/c/v3", None),
        (b"/%761/a", "1"),
        (b"/v1;x=y/a", "1"),
        (b"/v2beta1/a", "2beta1"),
        (b"/v/1", None),
        (b"/video1", None),
        (b"/", None),
    ],
)
def test_the_first_segment_that_is_a_version_counts(path: bytes, version: str | None) -> None:
    assert in_path(path) == version


@pytest.mark.parametrize(
    ("accept", "version"),
    [
        (b"application/vnd.acme.v2+json", "2"),
        (b"application/vnd.acme-v2.1+json; q=0.5", "2.1"),
        (b"text/html, application/json; version=1", "1"),
        (b'application/json;version="2"', "2"),
        (b"application/json; version=1; q=0.2, application/json; version=2", "2"),
        (b"application/json; version=", ""),
        (b'application/json; version=""', ""),
        (b'a/b; x=", c/d; version=1; \\", "; q=0.1, c/d; version=2', "2"),
        (b'a/b; x="c, d/e; version', None),
        (b"application/json; version=a/b", ""),
        (b"application/json", None),
        (b"*/*", None),
    ],
)
def test_the_media_range_of_the_greatest_weight_counts(accept: bytes, version: str | None) -> None:
    assert in_accept([(b"Accept", accept)]) == version


@pytest.mark.parametrize("begin", [b"x", b"a/vnd.a", b'a/b;x="'])
@pytest.mark.parametrize("part", [b'\\"', b'"', b".v1+", b"-v1.1", b";version", b"; ", b"\\"])
def test_it_takes_linear_time(begin: bytes, part: bytes) -> None:
    """Else a MiB would take hours; a client's Accept of some KiB took seconds, in which the gateway stood still."""
    assert in_accept([(b"Accept", begin + part * (2**20 // len(part)) + b" x")]) in (None, "1")


@pytest.mark.parametrize(
    ("path", "fields", "version"),
    [
        (b"/", [], "2"),
        (b"/v1", [(b"Accept-Version", b"2.1")], "1"),
        (b"/", [(b"accept-version", b" v1 "), (b"Accept", b"a/b; version=2")], "1"),
        (b"/", [(b"Accept", b"a/b; version=2.1")], "2.1"),
    ],
)
def test_sources_are_asked_in_their_order(path: bytes, fields: list[tuple[bytes, bytes]], version: str) -> None:
    assert ALL.of(path, fields) == version


@pytest.mark.parametrize(
    ("path", "fields", "source", "malformed"),
    [
        (b"/v9", [], PATH, False),
        (b"/", [(b"Accept-Version", b"9")], HEADER, False),
        (b"/", [(b"Accept-Version", b"")], HEADER, True),
        (b"/", [(b"Accept-Version", b"1, 2")], HEADER, True),
        (b"/", [(b"Accept-Version", b"1"), (b"Accept-Version", b"2")], HEADER, True),
        (b"/", [(b"Accept-Version", b"1\xff")], HEADER, True),
        (b"/", [(b"Accept", b"a/b;version=x y")], MEDIA, False),
    ],
)
def test_what_is_no_version_is_refused_wherever_it_stands(
    path: bytes, fields: list[tuple[bytes, bytes]], source: str, malformed: bool
) -> None:
    with pytest.raises(NoVersion) as told:
        ALL.of(path, fields)
    assert (told.value.source, told.value.malformed) == (source, malformed)


def test_versions_are_sorted_as_people_do() -> None:
    assert sorted(["10", "2", "2.10", "2.9", "beta", "1"], key=natural) == ["beta", "1", "2", "2.9", "2.10", "10"]


def test_the_end_of_a_version_is_told_and_comes() -> None:
    life = Life("1", 1767225600.0, 1798675200.0, "https://a.test/2", (Brownout(1793613600.0, 1793617200.0),))
    assert life.lines() == (
        b"Deprecation: @1767225600\r\n"
        b"Sunset: Thu, 31 Dec 2026 00:00:00 GMT\r\n"
        b'Link: <https://a.test/2>; rel="deprecation"\r\n'
        b'Link: <https://a.test/2>; rel="sunset"\r\n'
    )
    assert life.state(1767225599.0) == "served"
    assert life.state(1767225600.0) == "deprecated"
    assert life.brown(1793613599.0) == 0.0
    assert life.brown(1793613600.0) == 3600.0
    assert life.state(1793617199.0) == "brown-out"
    assert life.brown(1793617200.0) == 0.0
    assert not life.gone(1798675199.0)
    assert life.state(1798675200.0) == "gone"


def test_nothing_is_said_of_a_version_that_stays() -> None:
    life = Life("2")
    assert (life.lines(), life.old, life.gone(2e9), life.brown(2e9)) == (b"", False, False, 0.0)


def test_who_called_last_is_remembered() -> None:
    callers = Callers(most=2)
    for moment, who in enumerate(["ann", "bob", "ann", "eve"], 1):
        callers.called(who, float(moment), "a", "curl")
    assert [(one.who, one.count, one.last) for one in callers] == [("eve", 1, 4.0), ("ann", 2, 3.0)]
    assert (callers.total, callers.first) == (4, 1.0)
