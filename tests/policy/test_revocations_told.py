"""The form in which revocations are told to others, in Redis too."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.revocations import KINDS, Revocation, packed, removed, unpacked

entries = st.builds(
    Revocation,
    st.sampled_from(KINDS),
    st.text(min_size=1, max_size=20),
    st.floats(0, 1e11),
    st.one_of(st.just(inf), st.floats(0, 1e11)),
)


@given(entries)
def test_what_is_packed_can_be_unpacked(entry: Revocation) -> None:
    assert unpacked(packed(entry).encode()) == ((entry.kind, entry.value), entry)
    assert unpacked(removed(entry.kind, entry.value).encode()) == ((entry.kind, entry.value), None)


@given(st.binary())
def test_garbage_is_nothing(data: bytes) -> None:
    assert unpacked(data) == (("", ""), None)


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"7",
        b'{"kind": "jti"}',
        b'{"kind": "aud", "value": "x", "expires": 1}',
        b'{"kind": ["jti"], "value": "x", "expires": 1}',
        b'{"kind": "jti", "value": 7, "expires": 1}',
        b'{"kind": "jti", "value": "x", "expires": "soon"}',
        b'{"kind": "jti", "value": "x", "expires": NaN}',
        b'{"kind": "jti", "value": "%b", "expires": 1}' % (b"x" * 2000),
    ],
)
def test_what_others_write_there_is_nothing(data: bytes) -> None:
    assert unpacked(data) == (("", ""), None)
