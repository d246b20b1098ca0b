"""Who is in the choice."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from apigw.policy.balance import BALANCERS, Candidate, Group
from apigw.policy.outcome import OK
from tests.policy.balance.crowd import Peer, anyone, crowd, nobody


def made(members: list[Peer], balance: str = "round_robin", **options: float) -> Group[int]:
    group: Group[int] = Group(balance, Random(1), **options)
    group.replace(members, 0.0)
    return group


def picks(group: Group[int], count: int, now: float = 0.0) -> Counter[int | None]:
    counts: Counter[int | None] = Counter()
    for _ in range(count):
        candidate = group.pick(now, anyone, b"key")
        counts[candidate.peer if candidate else None] += 1
        if candidate:
            group.done(candidate, now, 0.01, OK)
    return counts


def test_weights_below_one_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        made(crowd([1, 0]))


def test_who_is_not_available_is_not_picked():
    members = crowd([1, 1, 1])
    group = made(members)
    group.set_available(members[1], False, 0.0)
    assert picks(group, 100) == {0: 50, 2: 50}
    assert group.available == 2
    group.set_available(members[1], True, 0.0)
    assert 32 <= picks(group, 99)[1] <= 34


@pytest.mark.parametrize("balance", BALANCERS)
def test_backups_only_when_no_other_is_usable(balance):
    members = crowd([1, 1], backups=[1, 1])
    group = made(members, balance)
    assert set(picks(group, 50)) <= {0, 1}
    fallen = group.pick(0.0, lambda candidate: candidate.peer > 1)
    assert fallen is not None
    assert fallen.peer > 1
    assert fallen.active == 1
    group.done(fallen, 0.0, 0.1, OK)
    assert fallen.active == 0
    for member in members[:2]:
        group.set_available(member, False, 0.0)
    assert not group.panicking
    assert set(picks(group, 50)) <= {2, 3}


def test_panic_uses_all_below_the_threshold_and_stops_at_it():
    members = crowd([1] * 4)
    group = made(members, panic=0.5)
    for member in members[:2]:
        group.set_available(member, False, 0.0)
    assert not group.panicking
    assert set(picks(group, 40)) == {2, 3}
    group.set_available(members[2], False, 0.0)
    assert group.panicking
    assert set(picks(group, 40)) == {0, 1, 2, 3}
    group.set_available(members[0], True, 0.0)
    assert set(picks(group, 40)) == {0, 3}


def test_panic_can_be_switched_off():
    members = crowd([1, 1])
    group = made(members, panic=0.0)
    for member in members:
        group.set_available(member, False, 0.0)
    assert not group.panicking
    assert picks(group, 3) == {None: 3}


def test_when_all_are_down_panic_uses_all_but_backups_that_are_down():
    members = crowd([1, 1], backups=[1])
    group = made(members)
    for member in members:
        group.set_available(member, False, 0.0)
    assert group.panicking
    assert set(picks(group, 40)) == {0, 1}


def test_only_backups_are_a_group_too():
    members = crowd([], backups=[1, 1])
    group = made(members)
    assert set(picks(group, 40)) == {0, 1}


def test_slow_start_begins_when_a_peer_comes_back():
    members = crowd([1] * 4)
    group = made(members, slow_start=10.0)
    assert all(count == 25 for count in picks(group, 100).values())
    group.set_available(members[0], False, 0.0)
    group.set_available(members[0], True, 50.0)
    assert 20 <= picks(group, 700, 51.0)[0] <= 26
    assert 95 <= picks(group, 700, 55.0)[0] <= 105
    assert 170 <= picks(group, 700, 60.0)[0] <= 180


def test_slow_start_for_new_peers_but_not_at_the_start():
    members = crowd([1, 1])
    group = made(members[:1], slow_start=10.0)
    assert members[0].ramp(0.0) == 1.0
    group.replace(members, 5.0)
    assert (members[0].ramp(5.0), members[1].ramp(5.0), members[1].ramp(12.5)) == (1.0, 0.1, 0.75)


@pytest.mark.parametrize("balance", BALANCERS)
def test_who_was_tried_is_picked_only_if_no_other_can(balance):
    members = crowd([1, 1, 1])
    group = made(members, balance)
    for _ in range(30):
        assert group.pick(0.0, anyone, b"k", tried=[members[0], members[2]]) is members[1]
    assert group.pick(0.0, lambda candidate: candidate.peer != 1, b"k", tried=[members[0], members[1]]) is members[2]
    assert group.pick(0.0, lambda candidate: candidate.peer == 0, b"k", tried=members) is members[0]
    assert group.pick(0.0, nobody, b"k", tried=members) is None


def test_a_backup_comes_before_one_that_was_tried():
    members = crowd([1], backups=[1])
    group = made(members)
    assert group.pick(0.0, anyone, None, tried=[members[0]]) is members[1]


@pytest.mark.parametrize("balance", BALANCERS)
def test_a_probe_is_sent_where_the_balancer_would_not(balance):
    members = crowd([1, 1, 1])
    members[1].active = 500
    group = made(members, balance)
    group.probe(members[1], 30.0)
    early = [group.pick(29.9, anyone, b"a key of another") for _ in range(3)]
    if balance in ("least_connections", "p2c", "ewma"):
        assert members[1] not in early
    assert group.pick(30.0, anyone, b"k") is members[1]
    assert members[1].active >= 501


def test_a_probe_is_sent_once_and_in_order():
    members = crowd([1000, 1, 1])
    group = made(members)
    group.probe(members[2], 2.0)
    group.probe(members[1], 1.0)
    assert [group.pick(3.0, anyone).peer for _ in range(2)] == [1, 2]
    assert picks(group, 50, 3.0)[0] >= 48


def test_a_probe_is_not_for_who_failed_there_before():
    members = crowd([1000, 1])
    group = made(members)
    group.probe(members[1], 0.0)
    assert group.pick(1.0, anyone, None, tried=[members[1]]) is members[0]
    assert group.pick(1.0, anyone) is members[1]


def test_a_probe_waits_until_its_peer_can_take_it():
    members = crowd([1000, 1000, 1])
    group = made(members)
    group.probe(members[2], 1.0)
    assert group.pick(1.0, lambda candidate: candidate.peer != 2) is not members[2]
    assert group.pick(1.9, anyone) is not members[2]
    group.set_available(members[2], False, 1.9)
    assert group.pick(2.0, anyone) is not members[2]
    group.set_available(members[2], True, 2.9)
    assert group.pick(3.0, anyone) is members[2]
    assert picks(group, 50, 99.0)[2] <= 1


def test_a_peer_that_has_gone_is_not_probed():
    members = crowd([1, 1])
    group = made(members)
    group.probe(members[1], 0.0)
    group.replace(members[:1], 0.0)
    assert picks(group, 20, 5.0) == {0: 20}


def test_requests_under_way_at_a_peer_that_goes_end():
    members = crowd([1, 1])
    group = made(members, "least_connections")
    under_way = [group.pick(0.0, anyone) for _ in range(4)]
    group.replace(members[:1], 0.0)
    for candidate in under_way:
        assert candidate is not None
        group.done(candidate, 0.0, 0.1, OK)
    assert [member.active for member in members] == [0, 0]
    assert picks(group, 5) == {0: 5}


def test_taking_counts():
    members = crowd([1], backups=[1])
    group = made(members)
    for member in members:
        group.take(member, 0.0)
        assert member.active == 1
        group.done(member, 0.0, 0.1, OK)
        assert member.active == 0


def test_a_candidate_is_itself_only():
    assert Candidate("a") != Candidate("a")
