"""Idempotency keys, and the form in which answers are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from apigw.policy.idempotency import Answer, BadKey, dump, fingerprint, load, parse_key, place


def test_keys_with_and_without_quotes_are_the_same() -> None:
    assert parse_key([b"a-1"]) == b"a-1"
    assert parse_key([b'"a-1"', b"a-1"]) == b"a-1"
    assert parse_key([b'"with space"']) == b"with space"
    assert parse_key([]) is None


@pytest.mark.parametrize("values", [[b""], [b"with space"], [b"x" * 256], [b"a", b"b"], [b'"a'], [b"\xe4"], [b'""']])
def test_what_is_no_key(values: list[bytes]) -> None:
    with pytest.raises(BadKey):
        parse_key(values)


def test_nobody_comes_to_anothers_place() -> None:
    assert place("user a", b"1") != place("user a1", b"")
    assert place("user a", b"1") != place("ip a", b"1")


def test_all_that_makes_a_request_is_in_its_fingerprint() -> None:
    one = (b"POST", b"h", b"/a?b", b"body")
    told = {
        fingerprint(*one),
        fingerprint(b"PUT", *one[1:]),
        fingerprint(b"POST", b"g", *one[2:]),
        fingerprint(b"POST", b"h", b"/a", b"body"),
        fingerprint(b"POST", b"h", b"/a?bb", b"ody"),
        fingerprint(*one, [b"cookie", b"a"]),
        fingerprint(*one, [b"cookie", b"b"]),
    }
    assert len(told) == 7
    assert fingerprint(*one) in told


FIELD = some.tuples(some.binary(), some.binary())


@given(
    some.builds(
        Answer, some.integers(200, 599), some.binary(), some.lists(FIELD), some.binary(), some.binary(), some.booleans()
    )
)
def test_what_is_kept_comes_back(answer: Answer) -> None:
    assert load(dump(answer)) == answer
