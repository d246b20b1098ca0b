"""The same key to the same peer."""

from __future__ import annotations

from math import ceil
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.policy.balance.consistent_hash import ConsistentHash, points, position
from apigw.policy.outcome import OK
from tests.policy.balance.crowd import Peer, anyone, crowd, expected, held, one_by_one

KEYS = [b"user-%d" % number for number in range(2000)]


def made(members: list[Peer], excess: float = 0.25) -> ConsistentHash[int]:
    balancer: ConsistentHash[int] = ConsistentHash(Random(1), excess)
    balancer.update(members, 0.0)
    return balancer


def homes(balancer: ConsistentHash[int], keys: list[bytes] = KEYS) -> list[int]:
    found = []
    for key in keys:
        picked = balancer.pick(0.0, key, anyone)
        assert picked is not None
        found.append(picked.peer)
        balancer.done(picked, 0.0, 0.01, OK)
    return found


def test_positions_are_the_same_in_each_process_and_release():
    assert position(b"user-1") == 9863422088627006618
    assert points(b"peer-0", 3) == points(b"peer-0", 200)[:3]


@given(size=st.integers(2, 30), gone=st.integers(0, 29))
@settings(max_examples=25, deadline=None)
def test_when_one_goes_only_its_keys_move(size, gone):
    members = crowd([1] * size)
    gone %= size
    balancer = made(members)
    before = homes(balancer)
    balancer.update([member for member in members if member.peer != gone], 0.0)
    after = homes(balancer)
    assert all(old == new for old, new in zip(before, after, strict=True) if old != gone)
    assert gone not in after
    # Its share of keys, with the unevenness of the ring.
    assert before.count(gone) <= 2 * len(KEYS) / size
    balancer.update(members, 0.0)
    assert homes(balancer) == before


@given(size=st.integers(1, 30))
@settings(max_examples=25, deadline=None)
def test_when_one_comes_keys_move_to_it_only(size):
    members = crowd([1] * (size + 1))
    balancer = made(members[:-1])
    before = homes(balancer)
    balancer.update(members, 0.0)
    after = homes(balancer)
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) <= {size}
    assert len(moved) <= 2 * len(KEYS) / (size + 1)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8))
@settings(max_examples=20, deadline=None)
def test_shares_follow_weights(weights):
    counts = one_by_one(made(crowd(weights)), 4000)
    for index, share in enumerate(expected(weights, 4000)):
        assert 0.4 * share - 30 <= counts[index] <= 1.8 * share + 30


@given(
    weights=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    picks=st.lists(st.tuples(st.sampled_from([b"hot", b"warm", b"cold", None]), st.booleans()), max_size=120),
)
@settings(max_examples=60, deadline=None)
def test_nobody_has_more_than_the_bound(weights, picks):
    members = crowd(weights)
    balancer = made(members)
    under_way: list[Peer] = []
    for key, end in picks:
        if end and under_way:
            balancer.done(under_way.pop(0), 0.0, 0.1, OK)
        picked = balancer.pick(0.0, key, anyone)
        assert picked is not None
        under_way.append(picked)
        assert picked.active <= ceil(1.25 * len(under_way) * picked.weight / sum(weights))


def test_one_hot_key_spreads_as_far_as_it_must():
    members = crowd([1] * 4)
    held_by = made(members)
    picked = [held_by.pick(0.0, b"hot", anyone) for _ in range(100)]
    assert None not in picked
    assert max(member.active for member in members) == 32
    assert min(member.active for member in members) >= 4


def test_the_unusable_one_s_keys_go_to_others_and_the_rest_stay():
    members = crowd([1] * 5)
    balancer = made(members)
    before = homes(balancer)
    for key, home in zip(KEYS[:300], before, strict=False):
        picked = balancer.pick(0.0, key, lambda candidate: candidate.peer != 2)
        assert picked is not None
        assert picked.peer == home if home != 2 else picked.peer != 2
        balancer.done(picked, 0.0, 0.1, OK)


def test_the_bound_gives_way_before_the_request_does():
    members = crowd([1, 1])
    balancer = made(members)
    picked = [balancer.pick(0.0, b"x", lambda candidate: candidate.peer == 1) for _ in range(20)]
    assert picked == [members[1]] * 20


def test_without_a_key_it_is_chance():
    members = crowd([1, 1, 1])
    balancer = made(members)
    picked = [balancer.pick(0.0, None, anyone) for _ in range(300)]
    assert {candidate.peer for candidate in picked if candidate} == {0, 1, 2}


def test_very_heavy_weights_take_no_more_places():
    members = crowd([100_000, 50_000, 1])
    made(members)
    assert [len(member.points) for member in members] == [2048, 1024, 1]


def test_a_thousand_peers():
    members = crowd([1] * 1000)
    balancer = made(members)
    assert len({candidate.peer for candidate in held(balancer, 4000)}) > 990
