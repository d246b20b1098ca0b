"""Ejection by what is answered, and the way back."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from apigw.policy.outlier import OutlierGroup, OutlierPolicy, Watched

Made = tuple[OutlierGroup[int], list[Watched[int]], list[int]]


def made(size: int = 4, **options: float) -> Made:
    ejected: list[int] = []
    group: OutlierGroup[int] = OutlierGroup(OutlierPolicy(**options), ejected.append)  # type: ignore[arg-type]
    return group, [group.watch(number) for number in range(size)], ejected


def outcomes(watched: Watched[int], letters: str, now: float = 0.0) -> list[bool]:
    """``.`` 200, ``4`` 404, ``5`` 500, ``c`` no connection, ``r`` reset, ``t`` timeout, ``p`` no HTTP."""
    reasons = {"c": "connect", "r": "reset", "t": "timeout", "p": ""}
    return [
        watched.failed(reasons[letter], now)
        if letter in reasons
        else watched.answered({".": 200, "4": 404, "5": 500}[letter], now)
        for letter in letters
    ]


@pytest.mark.parametrize(
    ("letters", "ejected"),
    [
        ("5555", False),
        ("55555", True),
        ("5555.5555", False),
        ("555545555", False),
        ("5r5t5", True),
        ("ppppp", True),
        ("cc", False),
        ("ccc", True),
        ("cc.cc", False),
        ("cc5cc", False),
        ("5c5c5c5c5", True),  # a failed connect is no success
        ("444444444", False),
    ],
)
def test_failures_in_a_row_eject(letters, ejected):
    group, peers, told = made()
    assert any(outcomes(peers[1], letters)) == ejected
    assert peers[1].ejected == ejected
    assert told == ([1] if ejected else [])
    assert group.out == ejected


def test_each_way_can_be_switched_off():
    group, peers, _ = made(consecutive_5xx=0, consecutive_connect=0)
    outcomes(peers[0], "5" * 99 + "c" * 99)
    assert group.out == 0


@pytest.mark.parametrize(
    ("size", "share", "most"),
    [
        (1, 0.5, 0),
        (2, 0.5, 1),
        (3, 0.5, 1),
        (4, 0.5, 2),
        (10, 0.1, 1),
        (10, 0.05, 0),
        (3, 1.0, 3),
        (1, 1.0, 1),
        (5, 0.0, 0),
    ],
)
def test_no_more_than_a_share_is_out(size, share, most):
    group, peers, told = made(size, max_ejected=share)
    for peer in peers:
        outcomes(peer, "5" * 20)
    assert group.out == len(told) == most


def test_it_comes_back_by_itself_and_begins_anew():
    group, peers, _ = made(eject_for=30.0)
    outcomes(peers[2], "5" * 5, 100.0)
    assert group.next_due() == 130.0
    assert group.due(129.9) == []
    assert group.due(130.0) == [2]
    assert (peers[2].ejected, group.out, group.next_due()) == (False, 0, None)
    assert outcomes(peers[2], "5555", 131.0) == [False] * 4
    assert outcomes(peers[2], "5", 131.0) == [True]


def test_each_ejection_is_longer_up_to_a_limit():
    group, peers, _ = made(eject_for=30.0, longest=100.0)
    now = 0.0
    lengths = []
    for _ in range(5):
        outcomes(peers[0], "5" * 5, now)
        due = group.next_due()
        assert due is not None
        lengths.append(due - now)
        now = due
        assert group.due(now) == [0]
    assert lengths == [30.0, 60.0, 90.0, 100.0, 100.0]


def test_being_well_for_long_makes_up_for_ejections():
    group, peers, _ = made(eject_for=30.0)
    for now in (0.0, 30.0, 90.0):
        outcomes(peers[0], "5" * 5, now)
        group.due(1e9)
        peers[0].returned = now + 30.0 * peers[0].ejections
    assert peers[0].ejections == 3
    outcomes(peers[0], "5" * 5, 180.0 + 65.0)  # two thirties
    assert peers[0].ejections == 2
    group.due(1e9)
    outcomes(peers[0], "5" * 5, 1e12)
    assert peers[0].ejections == 1


def test_what_comes_in_while_it_is_out_changes_nothing():
    group, peers, told = made()
    outcomes(peers[0], "5" * 5)
    outcomes(peers[0], "5" * 50 + "...", 10.0)
    assert told == [0]
    assert group.next_due() == 30.0


def test_a_peer_that_goes_frees_its_place():
    group, peers, told = made(2)
    outcomes(peers[0], "ccc")
    group.forget(peers[0])
    assert (group.out, group.count, group.next_due()) == (0, 1, None)
    assert group.due(1e9) == []
    outcomes(peers[0], "c" * 9)
    assert told == [0]
    outcomes(peers[1], "c" * 9)
    assert told == [0]  # the only one left
    other = group.watch(7)
    outcomes(other, "c" * 9)
    assert told == [0, 7]


def test_they_come_back_in_order():
    group, peers, _ = made(6)
    for now, peer in enumerate((4, 1, 3)):
        outcomes(peers[peer], "ccc", float(now))
    assert group.due(31.0) == [4, 1]
    assert group.due(40.0) == [3]


class AnyOrder(RuleBasedStateMachine):
    """Peers come, go, fail and return, and time moves either way."""

    def __init__(self) -> None:
        super().__init__()
        self.out: set[int] = set()
        self.group: OutlierGroup[int] = OutlierGroup(OutlierPolicy(consecutive_5xx=2), self.out.add)
        self.peers: dict[int, Watched[int]] = {}
        self.made = 0
        self.now = 0.0

    @rule(step=st.floats(-20.0, 60.0))
    def time(self, step: float) -> None:
        self.now += step

    @rule()
    def come(self) -> None:
        self.made += 1
        self.peers[self.made] = self.group.watch(self.made)

    @precondition(lambda self: self.peers)
    @rule(which=st.integers(0, 99))
    def go(self, which: int) -> None:
        peer = sorted(self.peers)[which % len(self.peers)]
        self.group.forget(self.peers.pop(peer))
        self.out.discard(peer)

    @precondition(lambda self: self.peers)
    @rule(which=st.integers(0, 99), letters=st.sampled_from(["5", "55", "ccc", ".", "r"]))
    def answer(self, which: int, letters: str) -> None:
        peer = sorted(self.peers)[which % len(self.peers)]
        before = set(self.out)
        outcomes(self.peers[peer], letters, self.now)
        if self.out != before:
            assert len(self.out) <= 0.5 * len(self.peers)

    @rule()
    def due(self) -> None:
        back = self.group.due(self.now)
        assert set(back) <= self.out
        assert len(set(back)) == len(back)
        self.out.difference_update(back)
        following = self.group.next_due()
        assert following is None or following > self.now

    @invariant()
    def counts_hold(self) -> None:
        assert self.group.count == len(self.peers)
        assert self.group.out == len(self.out)
        assert {peer for peer, watched in self.peers.items() if watched.ejected} == self.out
        assert (self.group.next_due() is None) == (not self.out)


AnyOrder.TestCase.settings = settings(max_examples=50, stateful_step_count=50)
TestAnyOrder = AnyOrder.TestCase
