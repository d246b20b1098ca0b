"""How many bytes one feature may hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs

from apigw.stages.room import Room


@given(st.lists(st.integers(0, 400), max_size=50))
def test_no_more_is_held_than_there_is_room_and_all_of_it_is_given_back(sizes: list[int]) -> None:
    room = Room("keys", 1000)
    held = [room.hold() for _ in sizes]
    grown = [one.grow(size) for one, size in zip(held, sizes, strict=True)]
    assert room.size == sum(size for size, so in zip(sizes, grown, strict=True) if so) <= 1000
    assert room.refused == grown.count(False)
    held.clear()
    assert room.size == 0


def test_the_log_says_it_once_until_half_of_it_is_free() -> None:
    with capturedLogs() as captured:
        room = Room("keys", 1000)
        big, small = room.hold(600), room.hold(300)
        assert not room.fits(200)
        assert not room.fits(200)
        assert len(captured) == 1
        del small
        assert not room.fits(500)
        assert len(captured) == 1
        del big
        assert not room.fits(1001)
        assert len(captured) == 2
