"""Requests as GraphQL over HTTP has them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.graphql.asked import PARAMETERS, Asked, check_bare, read_body, read_query
from apigw.policy.graphql.refused import Refused

HASH = "a" * 64


def one(data: object) -> Asked:
    asked = read_body(json.dumps(data).encode())
    assert isinstance(asked, Asked)
    return asked


def test_a_body() -> None:
    asked = one({"query": "{a}", "operationName": None, "variables": {"n": [1]}, "extensions": None, "more": 1})
    assert (asked.query, asked.operation, asked.variables, asked.id) == ("{a}", None, {"n": [1]}, "")
    asked = one({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH}}})
    assert (asked.query, asked.id, asked.hashed) == (None, HASH, True)
    asked = one({"documentId": "x"})
    assert (asked.id, asked.hashed) == ("x", False)


def test_a_batch() -> None:
    asked = read_body(b'[{"query": "{a}"}, {"query": "{b}"}]')
    assert isinstance(asked, list)
    assert [one.query for one in asked] == ["{a}", "{b}"]


def test_a_target() -> None:
    asked = read_query(b"?query=%7Ba+b%7D&variables=%7B%22n%22%3A1%7D&operationName=&extensions=&other=1")
    assert (asked.query, asked.operation, asked.variables) == ("{a b}", None, {"n": 1})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"[[]]",
        b"1",
        b"null",
        b"{}",
        b'{"query": null}',
        b'{"query": ["{a}"]}',
        b'{"query": "{a}", "variables": "{}"}',
        b'{"query": "{a}", "variables": {"n": NaN}}',
        b'{"query": "{a}", "variables": {"n": 1, "n": 2}}',
        b'{"query": "{a}", "operationName": 1}',
        b'{"query": "{a}", "extensions": []}',
        b'{"query": "{a}", "extensions": {"persistedQuery": {}}}',
        b'{"query": "{a}", "extensions": {"persistedQuery": {"sha256Hash": "%b"}}}' % HASH.upper().encode(),
        b'{"id": "a", "doc_id": "b"}',
        b'{"query": "{a}", "query ": "{b}"}',
        b'{"query": "{a}", "QUERY": "{b}"}',
        b'{"query": "{a}", "exten\xc5\xbfions": {}}',
        b'{"query": "{a}", "variables[n]": 1}',
        b'{"query": "\\udc00"}',
        b'{"query": "\xff"}',
        b'\xef\xbb\xbf{"query": "{a}"}',
        '{"query": "{a}"}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"query": "{a}", "variables": {"n": [%b{}]}}' % (b"{}," * 100_000),
        b'{"query": "{a}", "variables": {"n": %b}}' % (b"9" * 10_000),
    ],
)
def test_bodies_that_are_refused(data: bytes) -> None:
    with pytest.raises(Refused) as caught:
        read_body(data)
    assert (caught.value.rule, caught.value.status, caught.value.well_formed) == ("request", 400, False)


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"?",
        b"?other=1",
        b"?query=a&query=b",
        b"?query=a&QUERY=b",
        b"?query=a&variables[n]=1",
        b"?query=a&variables.n=1",
        b"?query=a&variables=1",
        b"?query=a&variables=%7B",
        b"?query=a%23;query=b",
        b"?query=%ff",
        b"?" + b"a=1&" * 200 + b"query=a",
    ],
)
def test_targets_that_are_refused(query: bytes) -> None:
    with pytest.raises(Refused):
        read_query(query)


def test_a_target_may_say_other_things() -> None:
    check_bare(b"?tenant=1&queryish=2")
    for name in PARAMETERS:
        with pytest.raises(Refused):
            check_bare(f"?x=1&{name.upper()}=2".encode())


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*PARAMETERS, "x"]), inner),
    )
)
def test_anything_is_read_or_refused(value: object) -> None:
    try:
        asked = read_body(json.dumps(value).encode())
    except Refused:
        return
    for found in asked if isinstance(asked, list) else [asked]:
        assert found.query is not None or found.id
