"""What holds for each balancer."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.policy.balance import BALANCERS
from apigw.policy.balance.balancer import Balancer
from apigw.policy.balance.names import balancer
from apigw.policy.outcome import ABANDONED, FAILED, OK
from tests.policy.balance.crowd import Peer, anyone, crowd, expected, held, nobody, one_by_one

EACH = pytest.mark.parametrize("name", BALANCERS)
NAMES = st.sampled_from(sorted(BALANCERS))
WEIGHTS = st.lists(st.integers(1, 20), min_size=1, max_size=12)


def made(name: str, members: list[Peer], seed: int = 1) -> Balancer[int]:
    fresh: Balancer[int] = balancer(name, Random(seed))
    fresh.update(members, 0.0)
    return fresh


def test_names_are_those_of_the_option():
    assert list(BALANCERS) == ["round_robin", "least_connections", "p2c", "ewma", "random", "consistent_hash"]
    with pytest.raises(KeyError):
        balancer("best", Random(1))


@EACH
def test_without_candidates_there_is_none(name):
    empty = made(name, [])
    assert empty.pick(0.0, b"x", anyone) is None
    assert balancer(name, Random(1)).pick(0.0, None, anyone) is None


@EACH
def test_a_single_one_is_picked_always(name):
    assert one_by_one(made(name, crowd([3])), 20) == {0: 20}


@EACH
def test_a_pick_counts_and_its_end_counts_back(name):
    members = crowd([1, 2, 3])
    mine = made(name, members)
    picked = held(mine, 30)
    assert sum(member.active for member in members) == 30
    for candidate, outcome in zip(picked, [OK, FAILED, ABANDONED] * 10, strict=True):
        mine.done(candidate, 1.0, 0.1, outcome)
    assert [member.active for member in members] == [0, 0, 0]


@EACH
def test_one_that_is_taken_by_other_means_counts(name):
    members = crowd([1, 1])
    mine = made(name, members)
    mine.take(members[1], 0.0)
    assert members[1].active == 1
    mine.done(members[1], 0.0, 0.1, OK)
    assert members[1].active == 0


@EACH
@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_when_none_is_usable_each_was_asked_and_none_counts(name, size):
    members = crowd([1] * size)
    asked = set()

    def refuse(candidate: Peer) -> bool:
        asked.add(candidate.peer)
        return False

    assert made(name, members).pick(0.0, b"x", refuse) is None
    assert asked == set(range(size))
    assert not any(member.active for member in members)


@EACH
@pytest.mark.parametrize("size", [2, 3, 100])
def test_the_only_usable_one_is_found(name, size):
    members = crowd([1 + index % 3 for index in range(size)])
    mine = made(name, members)
    for only in (0, size // 2, size - 1):
        picked = mine.pick(0.0, b"x", lambda candidate, only=only: candidate.peer == only)
        assert picked is members[only]


@given(name=NAMES, data=st.data(), weights=WEIGHTS)
@settings(max_examples=150)
def test_the_first_that_says_yes_is_the_one_picked(name, data, weights):
    mine = made(name, crowd(weights), data.draw(st.integers(0, 9)))
    verdicts = []

    def usable(candidate: Peer) -> bool:
        yes = data.draw(st.booleans())
        verdicts.append((candidate, yes))
        return yes

    for _ in range(5):
        verdicts.clear()
        picked = mine.pick(0.0, b"x", usable)
        if picked is None:
            assert not any(yes for _, yes in verdicts)
        else:
            assert [candidate for candidate, yes in verdicts if yes] == [picked]
            assert verdicts[-1] == (picked, True)


@EACH
def test_who_has_gone_is_not_picked_and_still_ends_its_requests(name):
    members = crowd([1, 1, 1])
    mine = made(name, members)
    picked = held(mine, 9)
    mine.update(members[:2], 1.0)
    for candidate in picked:
        mine.done(candidate, 2.0, 0.1, OK)
    assert [member.active for member in members] == [0, 0, 0]
    assert 2 not in one_by_one(mine, 200)
    mine.take(members[2], 2.0)
    mine.done(members[2], 2.0, 0.1, OK)
    assert 2 not in one_by_one(mine, 200)


@EACH
def test_who_comes_gets_its_share_and_no_more(name):
    members = crowd([1] * 4)
    mine = made(name, members[:3])
    one_by_one(mine, 3000)
    mine.update(members, 0.0)
    counts = one_by_one(mine, 1200)
    assert 150 < counts[3] < 500


@given(name=st.sampled_from(["round_robin", "least_connections", "p2c", "random"]), weights=WEIGHTS)
@settings(max_examples=40, deadline=None)
def test_weights_hold_when_idle(name, weights):
    count = 4000
    counts = one_by_one(made(name, crowd(weights)), count)
    for index, share in enumerate(expected(weights, count)):
        # Five standard deviations of a fair draw; the orderly ones are far within.
        assert abs(counts[index] - share) <= 5 * share**0.5 + 2


@given(name=st.sampled_from(["least_connections", "p2c", "consistent_hash"]), weights=WEIGHTS)
@settings(max_examples=40, deadline=None)
def test_weights_hold_under_load(name, weights):
    members = crowd(weights)
    held(made(name, members), 1000)
    for member, share in zip(members, expected(weights, 1000), strict=True):
        assert member.active <= 1.25 * share + 3 * member.weight
        assert member.active >= (0.5 if name == "consistent_hash" else 0.7) * share - 3 * member.weight


@given(name=NAMES, weights=WEIGHTS, seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_nobody_starves(name, weights, seed):
    """Also with latencies that favour one, and requests that overlap."""
    members = crowd(weights)
    mine = made(name, members, seed)
    under_way: list[Peer] = []
    counts = dict.fromkeys(range(len(weights)), 0)
    chance = Random(seed)
    for number in range(200 * sum(weights)):
        now = number * 0.05
        picked = mine.pick(now, b"%d" % number, anyone)
        assert picked is not None
        counts[picked.peer] += 1
        under_way.append(picked)
        while len(under_way) > 3:
            ended = under_way.pop(chance.randrange(len(under_way)))
            mine.done(ended, now, 0.01 * (1 + ended.peer), OK)
    assert min(counts.values()) > 0


@given(
    name=NAMES,
    weights=WEIGHTS,
    times=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30),
    ramps=st.lists(st.floats(-10.0, 1e6), min_size=12, max_size=12),
)
@settings(max_examples=100)
def test_any_time_is_borne(name, weights, times, ramps):
    members = crowd(weights)
    for member, until in zip(members, ramps, strict=False):
        member.ramp_begun, member.ramp_until = -20.0, until
    mine = made(name, members)
    for number, now in enumerate(times):
        picked = mine.pick(now, b"%d" % number, anyone)
        assert picked is not None
        mine.done(picked, times[-1 - number], abs(now), number % 3)
    assert not any(member.active for member in members)


@pytest.mark.parametrize("name", ["round_robin", "least_connections", "p2c", "random"])
def test_slow_start_holds_a_peer_back_in_proportion(name):
    shares = []
    for now in (0.0, 25.0, 50.0, 75.0, 101.0):
        members = crowd([2, 2, 2, 2])
        members[0].ramp_begun, members[0].ramp_until = 0.0, 100.0
        shares.append(one_by_one(made(name, members), 6000, now)[0] / 6000)
    for share, ramp in zip(shares, [0.1, 0.25, 0.5, 0.75, 1.0], strict=True):
        assert share == pytest.approx(ramp / (3 + ramp), rel=0.2)


@EACH
def test_no_candidate_no_count(name):
    members = crowd([1, 1])
    assert made(name, members).pick(0.0, b"x", nobody) is None
    assert [member.active for member in members] == [0, 0]


@EACH
def test_a_pick_does_not_look_at_all_of_a_thousand(name):
    """Counted, not timed: how many candidates a pick asks, with one in ten refusing."""
    members = crowd([1 + index % 5 for index in range(1000)])
    mine = made(name, members)
    asked = 0

    def usable(candidate: Peer) -> bool:
        nonlocal asked
        asked += 1
        return candidate.peer % 10 != 0

    for number in range(500):
        picked = mine.pick(0.0, b"%d" % number, usable)
        assert picked is not None
        mine.done(picked, 0.0, 0.01, OK)
    assert asked < 500 * 3
