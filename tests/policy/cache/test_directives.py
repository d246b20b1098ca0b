"""Cache-Control and dates."""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.cache.directives import FOREVER, parse_date, parse_directives, seconds


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"max-age=5, Public", {b"max-age": b"5", b"public": None}),
        (b'private="set-cookie, x" , no-cache', {b"private": b"set-cookie, x", b"no-cache": None}),
        (b'a="b\\"c", d=e', {b"a": b'b"c', b"d": b"e"}),
        (b"max-age=1,max-age=2", {b"max-age": b"1"}),
        (b", ,,max-age = 7;x", {b"max-age": b"7;x"}),
        (b'a="no-store', {b"a": b'"no-store'}),
        (b"", {}),
    ],
)
def test_directives(value: bytes, found: dict) -> None:
    assert parse_directives([value]) == found


def test_several_fields_are_one() -> None:
    assert parse_directives([b"a", b"b=1"]) == {b"a": None, b"b": b"1"}


@given(st.binary(max_size=60))
def test_anything_can_be_read(value: bytes) -> None:
    for name in parse_directives([value]):
        assert name == name.lower()


@pytest.mark.parametrize(
    ("value", "found"),
    [(b"5", 5), (b"99999999999999999999", FOREVER), (b"-1", 0), (b"1.5", 0), (b"x", 0), (b"", 0), (None, 0)],
)
def test_times(value: bytes | None, found: int) -> None:
    assert seconds({b"max-age": value}, b"max-age") == found
    assert seconds({b"max-age": value}, b"s-maxage") is None


@pytest.mark.parametrize(
    "value",
    [b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"],
)
def test_the_three_forms_of_a_date(value: bytes) -> None:
    assert parse_date(value) == 784111777


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(timezone.utc)))
def test_dates_come_back(when: datetime) -> None:
    assert parse_date(format_datetime(when, usegmt=True).encode()) == int(when.timestamp() // 1)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"0",
        b"-1",
        b"Sun, 06 Nov 1994 08:49:37 CET",
        b"Sun, 06 Nov 1994 25:49:37 GMT",
        b"Sun, 06 Foo 1994 08:49:37 GMT",
    ],
)
def test_no_dates(value: bytes | None) -> None:
    assert parse_date(value) is None
