"""The breaker: when it trips, what it admits then, and whose word counts."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from apigw.policy.breaker import (
    CLOSED,
    FORCED_CLOSED,
    FORCED_OPEN,
    HALF_OPEN,
    OPEN,
    REFUSED,
    Breaker,
    BreakerPolicy,
)
from apigw.policy.outcome import ABANDONED, FAILED, OK


def call(breaker: Breaker, now: float, outcome: int = OK, elapsed: float = 0.01) -> bool:
    """Whether it was admitted."""
    permit = breaker.admit(now)
    if permit == REFUSED:
        return False
    breaker.report(permit, now, outcome, elapsed)
    return True


def calls(breaker: Breaker, now: float, outcomes: str) -> None:
    """``.`` is a success, ``x`` a failure, ``?`` one given up."""
    for letter in outcomes:
        assert call(breaker, now, {".": OK, "x": FAILED, "?": ABANDONED}[letter])


def tripped(policy: BreakerPolicy | None = None, now: float = 0.0) -> Breaker:
    breaker = Breaker(policy or BreakerPolicy(consecutive=1))
    calls(breaker, now, "x")
    assert breaker.state == OPEN
    return breaker


# -- tripping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("xxxx", CLOSED),
        ("xxxxx", OPEN),
        ("..xxx", OPEN),
        ("...xx", CLOSED),
        ("...xxx", OPEN),
        ("xxx..", CLOSED),  # a success never trips it
        ("xxx..x", OPEN),
        ("xxxx?????", CLOSED),  # what nobody waited for has no part in the volume
        ("?????xxxx", CLOSED),
        ("." * 40 + "x" * 39, CLOSED),
        ("." * 40 + "x" * 40, OPEN),
    ],
)
def test_the_ratio_counts_from_the_volume_on(outcomes, state):
    breaker = Breaker(BreakerPolicy(ratio=0.5, volume=5))
    calls(breaker, 1.0, outcomes)
    assert breaker.state == state


@pytest.mark.parametrize(("outcomes", "state"), [("xx.xx", CLOSED), ("xxx", OPEN), ("xx?x", OPEN), (".." * 99, CLOSED)])
def test_failures_in_a_row(outcomes, state):
    breaker = Breaker(BreakerPolicy(ratio=2.0, consecutive=3))
    calls(breaker, 1.0, outcomes)
    assert breaker.state == state


def test_slow_calls():
    policy = BreakerPolicy(ratio=2.0, volume=4, slow_after=1.0, slow_ratio=0.75)
    breaker = Breaker(policy)
    for elapsed in (0.999, 1.0, 5.0):
        call(breaker, 0.0, OK, elapsed)
    assert breaker.state == CLOSED
    call(breaker, 0.0, OK, 1.0)
    assert breaker.state == OPEN


def test_slow_calls_leave_the_window_too():
    breaker = Breaker(BreakerPolicy(ratio=2.0, volume=4, window=10.0, slow_after=1.0, slow_ratio=1.0))
    for now in (0.0, 0.0, 0.0, 20.0, 20.0, 20.0):
        call(breaker, now, OK, 2.0)
    call(breaker, 20.0)
    call(breaker, 20.0, OK, 2.0)
    assert breaker.state == CLOSED  # four of five; with those of before it would be seven


def test_failures_that_are_not_slow_are_not_slow_calls():
    breaker = Breaker(BreakerPolicy(ratio=2.0, volume=1, slow_after=1.0, slow_ratio=0.1))
    calls(breaker, 0.0, "xxxxx")
    assert breaker.state == CLOSED


def test_without_slow_calls_configured_the_longest_call_is_none():
    breaker = Breaker(BreakerPolicy(ratio=2.0, volume=1, slow_ratio=0.0))
    call(breaker, 0.0, FAILED, inf)
    assert breaker.state == CLOSED


@pytest.mark.parametrize(("later", "state"), [(8.9, OPEN), (10.1, CLOSED), (1e12, CLOSED)])
def test_what_is_older_than_the_window_is_forgotten(later, state):
    breaker = Breaker(BreakerPolicy(volume=5, window=10.0))
    calls(breaker, 0.0, "xxxx")
    calls(breaker, later, "x")
    assert breaker.state == state


def test_the_window_rolls():
    """One failure each 1.25 seconds never makes five in four seconds."""
    breaker = Breaker(BreakerPolicy(volume=5, window=4.0))
    for second in range(200):
        calls(breaker, 1.25 * second, "x")
    assert breaker.state == CLOSED
    for _ in range(2):
        call(breaker, 1.25 * 199, FAILED)
    assert breaker.state == OPEN


@given(
    st.lists(st.tuples(st.floats(0.0, 3.0), st.booleans()), max_size=80),
    st.integers(1, 8),
    st.sampled_from([0.25, 0.5, 1.0]),
)
@settings(max_examples=150)
def test_against_counting_all_calls_anew(steps, volume, ratio):
    """It never trips below the ratio of what is surely in the window, and always above that of what may be."""
    policy = BreakerPolicy(ratio=ratio, volume=volume, window=10.0)
    breaker = Breaker(policy)
    now = 0.0
    history: list[tuple[float, bool]] = []
    for step, fails in steps:
        now += step
        history.append((now, fails))
        calls(breaker, now, "x" if fails else ".")
        surely = [failed for then, failed in history if then > now - 9.0 + 1e-6]
        maybe = [failed for then, failed in history if then > now - 10.0 - 1e-6]
        windows = [maybe[start:] for start in range(len(maybe) - len(surely) + 1)]
        trips = [len(seen) >= volume and sum(seen) >= ratio * len(seen) for seen in windows]
        if breaker.state == OPEN:
            assert fails
            assert any(trips)
            return
        if fails:
            assert not all(trips)


# -- open and half-open ------------------------------------------------------------------------------------------------


def test_open_refuses_until_its_time():
    breaker = tripped(BreakerPolicy(consecutive=1, open_for=30.0), 100.0)
    assert breaker.admit(100.0) == REFUSED
    assert not breaker.ready(129.9)
    assert breaker.admit(129.9) == REFUSED
    assert breaker.retry_after(120.0) == 10.0
    assert breaker.retry_after(-1e9) == 30.0
    assert breaker.ready(130.0)
    assert breaker.retry_after(130.0) == 0.0
    assert breaker.state == OPEN  # to ask whether it is ready changes nothing
    assert breaker.admit(130.0) >= 0
    assert breaker.state == HALF_OPEN


@pytest.mark.parametrize("probes", [1, 2, 5])
def test_half_open_admits_so_many_at_once(probes):
    breaker = tripped(BreakerPolicy(consecutive=1, half_open=probes, closes_after=100))
    permits = [breaker.admit(30.0) for _ in range(20)]
    assert [permit >= 0 for permit in permits] == [True] * probes + [False] * (20 - probes)
    assert 0.0 < breaker.retry_after(30.0) <= 1.0
    breaker.report(permits[0], 31.0, OK, 0.1)
    assert breaker.admit(31.0) >= 0
    assert breaker.admit(31.0) == REFUSED


def test_it_closes_after_so_many_good_probes_and_begins_anew():
    breaker = tripped(BreakerPolicy(volume=2, consecutive=1, closes_after=3))
    for now in (30.0, 31.0):
        assert call(breaker, now)
        assert breaker.state == HALF_OPEN
    assert call(breaker, 32.0)
    assert breaker.state == CLOSED
    assert breaker.ratio == 0.0


def test_one_failed_probe_opens_it_again_for_as_long():
    breaker = tripped(BreakerPolicy(consecutive=1, closes_after=3))
    assert call(breaker, 30.0)
    assert call(breaker, 31.0, FAILED)
    assert breaker.state == OPEN
    assert breaker.opened == 2
    assert breaker.admit(60.9) == REFUSED
    assert call(breaker, 61.0)
    assert call(breaker, 61.0)
    assert breaker.state == HALF_OPEN  # the good probe of before doesn't count


def test_a_slow_probe_is_a_failed_one():
    breaker = tripped(BreakerPolicy(consecutive=1, slow_after=1.0))
    assert call(breaker, 30.0, OK, 1.0)
    assert breaker.state == OPEN


def test_a_probe_given_up_gives_its_place_back_and_says_nothing():
    breaker = tripped(BreakerPolicy(consecutive=1, closes_after=1))
    for _ in range(10):
        permit = breaker.admit(30.0)
        assert breaker.admit(30.0) == REFUSED
        breaker.report(permit, 30.0, ABANDONED, 0.1)
        assert breaker.state == HALF_OPEN
    assert call(breaker, 30.0)
    assert breaker.state == CLOSED


# -- stragglers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [OK, FAILED, ABANDONED])
def test_a_call_that_began_before_the_trip_is_not_heard(outcome):
    breaker = Breaker(BreakerPolicy(consecutive=1, closes_after=1))
    straggler = breaker.admit(0.0)
    calls(breaker, 0.0, "x")
    breaker.report(straggler, 1.0, outcome, 1.0)
    assert (breaker.state, breaker.opened) == (OPEN, 1)
    probe = breaker.admit(30.0)
    breaker.report(straggler, 30.0, outcome, 30.0)
    assert breaker.state == HALF_OPEN
    assert breaker.admit(30.0) == REFUSED  # it has freed no place of a probe either
    breaker.report(probe, 30.0, OK, 0.1)
    breaker.report(straggler, 31.0, outcome, 31.0)
    assert breaker.state == CLOSED
    assert breaker.ratio == 0.0


def test_a_probe_of_an_earlier_half_open_is_not_heard():
    breaker = tripped(BreakerPolicy(consecutive=1, half_open=2, closes_after=1))
    late, bad = breaker.admit(30.0), breaker.admit(30.0)
    breaker.report(bad, 30.0, FAILED, 0.1)
    current = [breaker.admit(60.0), breaker.admit(60.0)]
    breaker.report(late, 60.0, OK, 30.0)
    assert breaker.state == HALF_OPEN
    assert breaker.admit(60.0) == REFUSED
    breaker.report(current[0], 60.0, OK, 0.1)
    assert breaker.state == CLOSED
    breaker.report(current[1], 60.0, FAILED, 0.1)
    assert breaker.state == CLOSED


# -- forced ------------------------------------------------------------------------------------------------------------


def test_forced_open_stays_so():
    breaker = Breaker(BreakerPolicy(open_for=30.0))
    straggler = breaker.admit(0.0)
    breaker.force_open()
    assert breaker.state == FORCED_OPEN
    breaker.report(straggler, 0.0, OK, 0.1)
    assert [breaker.admit(now) for now in (0.0, 30.0, 1e9)] == [REFUSED] * 3
    assert not breaker.ready(1e9)
    assert breaker.retry_after(0.0) == 30.0
    breaker.reset()
    assert call(breaker, 1e9)


def test_forced_closed_stays_so():
    breaker = tripped(BreakerPolicy(consecutive=1, volume=1))
    breaker.force_close()
    calls(breaker, 1.0, "x" * 50)
    assert breaker.state == FORCED_CLOSED
    assert breaker.ratio == 1.0
    breaker.reset()
    assert (breaker.state, breaker.ratio) == (CLOSED, 0.0)
    calls(breaker, 1.0, "x")
    assert breaker.state == OPEN


def test_transitions_are_told():
    told: list[tuple[str, str]] = []
    breaker = Breaker(BreakerPolicy(consecutive=1, closes_after=1), lambda old, new: told.append((old, new)))
    call(breaker, 0.0, FAILED)
    call(breaker, 30.0, FAILED)
    call(breaker, 60.0)
    breaker.force_open()
    breaker.reset()
    assert told == [
        (CLOSED, OPEN),
        (OPEN, HALF_OPEN),
        (HALF_OPEN, OPEN),
        (OPEN, HALF_OPEN),
        (HALF_OPEN, CLOSED),
        (CLOSED, FORCED_OPEN),
        (FORCED_OPEN, CLOSED),
    ]


@pytest.mark.parametrize("wrong", [{"window": 0.0}, {"half_open": 0}, {"closes_after": 0}])
def test_what_could_never_work_is_refused(wrong):
    with pytest.raises(ValueError, match="must be positive"):
        BreakerPolicy(**wrong)


# -- any order ---------------------------------------------------------------------------------------------------------


class AnyOrder(RuleBasedStateMachine):
    """Permits come and go in any interleaving, and time moves either way."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = BreakerPolicy(volume=3, half_open=2, closes_after=3, open_for=5.0, consecutive=4)
        self.breaker = Breaker(self.policy, self.changed)
        self.now = 0.0
        self.latest = 0.0
        self.held: list[tuple[int, int]] = []  # permit, and in which period it was given
        self.period = 0
        self.good = 0
        self.opened_at = 0.0

    def changed(self, old: str, new: str) -> None:
        assert (old, new) in {(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, OPEN), (HALF_OPEN, CLOSED)}
        if (old, new) == (OPEN, HALF_OPEN):
            assert self.now >= self.opened_at + self.policy.open_for
        if new == OPEN:
            self.opened_at = self.now
        if (old, new) == (HALF_OPEN, CLOSED):
            assert self.good == self.policy.closes_after - 1
        self.good = 0
        self.period += 1

    def probes(self) -> int:
        return sum(1 for _, period in self.held if period == self.period)

    @rule(step=st.floats(-2.0, 8.0))
    def time(self, step: float) -> None:
        self.now += step

    @rule()
    def ask(self) -> None:
        ready = self.breaker.ready(self.now)
        before = self.breaker.state
        probes = self.probes()
        permit = self.breaker.admit(self.now)
        assert ready == (permit != REFUSED)
        if permit != REFUSED:
            self.held.append((permit, self.period))
        if before == HALF_OPEN:
            assert (permit != REFUSED) == (probes < self.policy.half_open)
        if before == CLOSED:
            assert permit != REFUSED

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 1000), outcome=st.sampled_from([OK, OK, FAILED, ABANDONED]))
    def answer(self, which: int, outcome: int) -> None:
        permit, period = self.held.pop(which % len(self.held))
        before = (self.breaker.state, self.period)
        self.breaker.report(permit, self.now, outcome, 0.1)
        if period != before[1] or outcome == ABANDONED:
            assert (self.breaker.state, self.period) == before
        elif before[0] == HALF_OPEN:
            if outcome == FAILED:
                assert self.breaker.state == OPEN
            elif self.breaker.state == HALF_OPEN:
                self.good += 1

    @invariant()
    def no_more_probes_than_allowed(self) -> None:
        if self.breaker.state == HALF_OPEN:
            assert self.probes() <= self.policy.half_open
        if self.breaker.state == OPEN:
            assert self.probes() == 0

    @invariant()
    def what_clients_are_told_is_bounded(self) -> None:
        assert 0.0 <= self.breaker.retry_after(self.now) <= self.policy.open_for
        assert 0.0 <= self.breaker.ratio <= 1.0


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=60)
TestAnyOrder = AnyOrder.TestCase
