"""Request ids: taken over when clean, else new and unlike any other."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.requestid import BATCH, MAX_SIZE, SIZE, RequestIds, accept


@pytest.mark.parametrize(
    "value",
    [
        b"a",
        b"7f9c24e8-3b0f-4c63-9ac1-1b3a4f7f2f10",
        b"Root=1-67891233-abcdef012345678912345678",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"a.b_c~d:e/f+g@h==",
        b"x" * MAX_SIZE,
    ],
)
def test_a_clean_id_is_taken_over(value: bytes) -> None:
    assert accept(value) == value


@pytest.mark.parametrize(
    "value",
    [
        *(None, b"", b"x" * (MAX_SIZE + 1), b"a b", b"a\n", b"a\r\nX: y", b"a\x00", b'a"b', b"a,b", b"a;b"),
        *(b"<script>", b"a%0a", b"a{b}", b"a\\b", b"\xe9", b"a'b", b"$(id)", b"`id`"),
    ],
)
def test_another_is_not(value: bytes | None) -> None:
    assert accept(value) is None


@given(st.binary(max_size=140))
def test_what_is_taken_over_needs_no_quoting(value: bytes) -> None:
    taken = accept(value)
    assert taken is None or (taken == value and 0 < len(taken) <= MAX_SIZE and b"%r" % taken == b"b'%b'" % value)


def test_ids_are_the_random_bytes_in_hexadecimal() -> None:
    asked = []

    def random_bytes(size: int) -> bytes:
        asked.append(size)
        return bytes(index // SIZE % 256 for index in range(size))

    ids = RequestIds(random_bytes)
    assert asked == []
    made = [ids.new() for _ in range(BATCH)]
    assert asked == [SIZE * BATCH]
    assert sorted(made) == [b"%02x" % number * SIZE for number in range(BATCH)]
    ids.new()
    assert len(asked) == 2


def test_ids_differ_and_are_clean() -> None:
    one, other = RequestIds(os.urandom), RequestIds(os.urandom)
    made = [ids.new() for _ in range(BATCH * 3) for ids in (one, other)]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(rb"[0-9a-f]{32}", value) and accept(value) for value in made)
