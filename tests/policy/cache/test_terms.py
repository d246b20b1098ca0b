"""What may be kept and used again; what hishel makes of RFC 9111 is compared with it."""

from __future__ import annotations

import time
import uuid
from email.utils import formatdate
from math import inf

import pytest
from hishel import CacheMiss, Entry, FromCache, Headers, IdleClient, Request, Response, StoreAndUse
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.cache.terms import ANY, Rules, Terms, Use, Wishes, initial_age, terms, use, use_on_error, wishes

NOTHING = Rules()
NOW = 1_700_000_000.0


def said(text: str, *more: tuple[bytes, bytes], status: int = 200, personal: bool = False, rules: Rules = NOTHING):
    fields = [(b"Cache-Control", text.encode())] if text else []
    return terms(status, [*fields, *more], personal, NOW, rules)


@pytest.mark.parametrize(
    ("text", "lifetime"),
    [
        ("max-age=5", 5.0),
        ("max-age=5, s-maxage=9", 9.0),
        ("s-maxage=0, max-age=9", 0.0),
        ("public, max-age=x", 0.0),
        ("max-age=5, no-cache", 0.0),
    ],
)
def test_how_long_it_is_fresh(text: str, lifetime: float) -> None:
    found = said(text)
    assert found is not None
    assert found.lifetime == lifetime


@pytest.mark.parametrize(
    "text", ["no-store", "private, max-age=5", 'private="x", max-age=5', "max-age=5, no-store", ""]
)
def test_what_may_not_be_kept(text: str) -> None:
    assert said(text) is None


@pytest.mark.parametrize(
    "field", [(b"Set-Cookie", b"a=b"), (b"Vary", b"*"), (b"Vary", b"Accept, *")], ids=["cookie", "vary", "vary2"]
)
def test_what_is_for_one_request_alone(field: tuple[bytes, bytes]) -> None:
    assert said("public, max-age=5", field) is None


@pytest.mark.parametrize("status", [100, 206, 304])
def test_statuses_that_are_never_kept(status: int) -> None:
    assert said("max-age=5", status=status) is None


def test_must_understand_is_for_who_does() -> None:
    assert said("no-store, must-understand, max-age=5") is not None
    assert said("no-store, must-understand, max-age=5", status=299) is None


@pytest.mark.parametrize(
    ("text", "kept"),
    [("max-age=5", False), ("public, max-age=5", True), ("s-maxage=5", True), ("must-revalidate, max-age=5", False)],
)
def test_who_has_said_who_they_are(text: str, kept: bool) -> None:
    assert (said(text, personal=True) is not None) is kept


def test_expires_counts_from_date() -> None:
    later = (b"Expires", formatdate(NOW + 30, usegmt=True).encode())
    assert said("", later).lifetime == 30.0
    assert said("max-age=5", later).lifetime == 5.0
    assert said("", (b"Expires", b"0")).lifetime == 0.0


def test_the_route_speaks_for_those_that_say_nothing() -> None:
    rules = Rules(60.0, 10.0, 20.0)
    assert said("", rules=rules) == Terms(60.0, while_revalidate=10.0, if_error=20.0)
    assert said("max-age=1", rules=rules).lifetime == 1.0
    assert said("", status=500, rules=rules) is None
    assert said("", status=404, rules=rules).lifetime == 60.0
    assert said("", personal=True, rules=rules) is None
    assert said("public", personal=True, rules=rules) is None
    assert said("s-maxage=1", rules=rules).while_revalidate == 0.0
    assert said("s-maxage=1, stale-while-revalidate=7", rules=rules).while_revalidate == 7.0
    assert said("max-age=1, must-revalidate", rules=rules).if_error == 0.0


def test_what_has_a_validator_is_kept_to_be_asked_about() -> None:
    found = said("", (b"ETag", b'"x"'))
    assert found is not None
    assert use(found, 0.0, ANY) is Use.ASK


@pytest.mark.parametrize(
    ("made", "age", "wanted", "expected"),
    [
        (Terms(10.0), 9.0, ANY, Use.FRESH),
        (Terms(10.0), 10.0, ANY, Use.ASK),
        (Terms(10.0), 5.0, Wishes(no_cache=True), Use.ASK),
        (Terms(10.0), 5.0, Wishes(max_age=5.0), Use.FRESH),
        (Terms(10.0), 5.1, Wishes(max_age=5.0), Use.ASK),
        (Terms(10.0), 5.0, Wishes(min_fresh=5.0), Use.FRESH),
        (Terms(10.0), 5.0, Wishes(min_fresh=6.0), Use.ASK),
        (Terms(10.0), 14.0, Wishes(max_stale=5.0), Use.STALE),
        (Terms(10.0), 15.0, Wishes(max_stale=5.0), Use.ASK),
        (Terms(10.0, strict=True), 14.0, Wishes(max_stale=5.0), Use.ASK),
        (Terms(10.0, s_maxage=True), 14.0, Wishes(max_stale=5.0), Use.ASK),
        (Terms(10.0, while_revalidate=5.0), 14.0, ANY, Use.OLD),
        (Terms(10.0, while_revalidate=5.0), 15.0, ANY, Use.ASK),
        (Terms(10.0, while_revalidate=5.0, strict=True), 14.0, ANY, Use.ASK),
        (Terms(10.0, while_revalidate=5.0), 14.0, Wishes(min_fresh=1.0), Use.ASK),
        (Terms(10.0, while_revalidate=5.0), 14.0, Wishes(max_age=12.0), Use.ASK),
    ],
)
def test_whether_it_may_be_used(made: Terms, age: float, wanted: Wishes, expected: Use) -> None:
    assert use(made, age, wanted) is expected


@pytest.mark.parametrize(
    ("made", "wanted", "allowed"),
    [
        (Terms(10.0, if_error=5.0), ANY, True),
        (Terms(10.0, if_error=4.0), ANY, False),
        (Terms(10.0), Wishes(if_error=5.0), True),
        (Terms(10.0, s_maxage=True), Wishes(if_error=5.0), False),
        (Terms(10.0, strict=True, if_error=5.0), ANY, False),
    ],
)
def test_whether_it_may_stand_for_an_error(made: Terms, wanted: Wishes, allowed: bool) -> None:
    assert use_on_error(made, 14.0, wanted) is allowed


def test_wishes() -> None:
    assert wishes([]) == ANY
    assert wishes([(b"pragma", b"no-cache")]).no_cache
    assert not wishes([(b"Pragma", b"no-cache"), (b"Cache-Control", b"max-age=1")]).no_cache
    assert wishes([(b"Cache-Control", b"max-stale")]).max_stale > 1e9
    found = wishes([(b"Cache-Control", b"max-stale=5, min-fresh=2, only-if-cached, no-store, stale-if-error=3")])
    assert found == Wishes(True, False, True, inf, 2, 5, 3)


@pytest.mark.parametrize(
    ("age", "date", "expected"),
    [(b"", 1000.0, 2.0), (b"30", 1000.0, 31.0), (b"nonsense", 1000.0, 2.0), (b"7, 3", 1002.0, 8.0), (b"", 2000.0, 1.0)],
)
def test_how_old_it_was_when_it_came(age: bytes, date: float, expected: float) -> None:
    """Asked for at 1001, received at 1002."""
    assert initial_age([(b"Age", age)] if age else [], date, 1001.0, 1002.0) == expected


OPTIONS = {"shared": True, "allow_stale": False, "supported_methods": ["GET"]}

DIRECTIVES = st.lists(
    st.sampled_from(
        [
            "max-age=60",
            "max-age=0",
            "s-maxage=60",
            "s-maxage=0",
            "public",
            "private",
            "no-store",
            "no-cache",
            "must-revalidate",
        ]
    ),
    unique_by=lambda text: text.partition("=")[0],
    max_size=4,
)


AGES = st.sampled_from([0, 10, 20, 40, 50, 70, 80])
"""Seconds, none so near to a lifetime that the time of the test itself counts."""


def test_no_cache_alone_does_not_make_a_status_one_that_may_be_kept() -> None:
    """RFC 9111 section 3."""
    alone, public = [(b"Cache-Control", b"no-cache")], [(b"Cache-Control", b"no-cache, public")]
    assert terms(302, alone, False, 0.0, NOTHING) is None
    assert terms(302, public, False, 0.0, NOTHING) is not None
    assert terms(200, alone, False, 0.0, NOTHING) is not None


@given(
    DIRECTIVES, st.sampled_from([200, 204, 301, 404, 302, 500]), st.sampled_from([None, -30, 30]), st.booleans(), AGES
)
def test_nothing_is_used_that_hishel_would_not_use(
    directives: list[str], status: int, expires: int | None, authorized: bool, age: int
) -> None:
    """Ours may be the stricter one: for Authorization it wants more than must-revalidate, and it has no heuristics."""
    now = time.time()
    date = int(now) - age
    fields = {"Date": formatdate(date, usegmt=True)}
    if directives:
        fields["Cache-Control"] = ", ".join(directives)
    if expires is not None:
        fields["Expires"] = formatdate(date + expires, usegmt=True)
    wire = [(name.encode(), value.encode()) for name, value in fields.items()]
    found = terms(status, wire, authorized, date, NOTHING)
    theirs = Request("GET", "http://h/", headers=Headers({"Authorization": "x"} if authorized else {}))
    response = Response(status, headers=Headers(fields))
    stored = isinstance(CacheMiss(request=theirs, options=OPTIONS).next(response), StoreAndUse)
    if found is None:
        return
    assert stored
    entry = Entry(uuid.uuid4(), theirs, response)
    again = IdleClient(OPTIONS).next(theirs, [entry])
    fresh = use(found, max(0.0, now - date), ANY) is Use.FRESH
    assert fresh is isinstance(again, FromCache)
