"""Active checks: thresholds, judgement, pace."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.health import HEALTHY, Health, HealthPolicy, parse_statuses


def states(letters: str, **options: int) -> str:
    """``.`` is a passed check, ``x`` a failed one; the state after each, as ``H`` or ``D``."""
    health = Health(HealthPolicy(**options))
    shown = ""
    for now, letter in enumerate(letters):
        before = health.healthy
        assert health.checked(HEALTHY if letter == "." else "refused", float(now)) == (health.healthy != before)
        shown += "H" if health.healthy else "D"
    return shown


@pytest.mark.parametrize(
    ("letters", "shown"),
    [
        (".....", "HHHHH"),
        ("x....", "DDHHH"),  # the first check decides at once
        (".xx.xx.xxx", "HHHHHHHHHD"),
        (".xxx.x.x..", "HHHDDDDDDH"),
        (".xxx.xxx..x", "HHHDDDDDDHH"),
        ("x.x.x..x", "DDDDDDHH"),
    ],
)
def test_thresholds(letters, shown):
    assert states(letters, healthy_after=2, unhealthy_after=3) == shown


def test_thresholds_of_one():
    assert states("x.x.x", healthy_after=1, unhealthy_after=1) == "DHDHD"


def test_before_the_first_check_a_peer_is_healthy():
    health = Health(HealthPolicy())
    assert health.healthy
    assert (health.checks, health.reason, health.changed) == (0, "", 0.0)


def test_what_was_wrong_and_since_when():
    health = Health(HealthPolicy())
    health.checked("status 500", 4.0)
    assert (health.healthy, health.reason, health.changed, health.checks) == (False, "status 500", 4.0, 1)
    health.checked(HEALTHY, 5.0)
    assert (health.healthy, health.reason, health.changed) == (False, "", 4.0)


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_it_changes_after_exactly_so_many_in_a_row(passes, healthy_after, unhealthy_after):
    health = Health(HealthPolicy(healthy_after=healthy_after, unhealthy_after=unhealthy_after))
    row = 0
    for number, passed in enumerate(passes):
        was = health.healthy
        row = row + 1 if passed != was else 0
        changed = health.checked(HEALTHY if passed else "no", float(number))
        needed = 1 if number == 0 else unhealthy_after if was else healthy_after
        assert changed == (row >= needed)
        if changed:
            row = 0


# -- judgement ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, b'{"status":"ok"}', HEALTHY),
        (204, b"ok", HEALTHY),
        (399, b"ok", HEALTHY),
        (400, b"ok", "status 400"),
        (503, b"ok", "status 503"),
        (200, b"", "body without the expected text"),
        (200, b"down", "body without the expected text"),
    ],
)
def test_judging(status, body, verdict):
    assert HealthPolicy(body=b"ok").judge(status, body) == verdict


def test_without_an_expected_body_any_will_do():
    assert HealthPolicy().judge(200) == HEALTHY
    assert HealthPolicy().judge(200, b"anything") == HEALTHY


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ("200", {200}),
        ("200-202", {200, 201, 202}),
        ("200-201, 404", {200, 201, 404}),
        (" 204 ,\n 301 - 302 ", {204, 301, 302}),
        ("100-599", set(range(100, 600))),
        ("200,200-200", {200}),
    ],
)
def test_statuses(text, statuses):
    assert parse_statuses(text) == statuses


@pytest.mark.parametrize(
    "text", ["", "200,", "2xx", "99", "600", "200-", "-200", "200-600", "300-200", "200-300-400", "٢٠٠"]
)
def test_what_are_no_statuses(text):
    with pytest.raises(ValueError, match=r"neither a status|is empty"):
        parse_statuses(text)


# -- pace --------------------------------------------------------------------------------------------------------------


@given(st.integers(), st.floats(0.01, 1000.0), st.booleans())
def test_pauses_are_an_interval_give_or_take_a_tenth(seed, interval, healthy):
    policy = HealthPolicy(interval=interval if healthy else 1e9, interval_down=1e9 if healthy else interval)
    assert 0.9 * interval <= policy.pause(healthy, Random(seed)) <= 1.1 * interval


def test_pauses_differ():
    chance = Random(1)
    pauses = [HealthPolicy(interval=10.0).pause(True, chance) for _ in range(200)]
    assert min(pauses) < 9.2
    assert max(pauses) > 10.8


@pytest.mark.parametrize(("interval", "most"), [(10.0, 1.0), (0.2, 0.2)])
def test_the_first_check_comes_soon_and_not_for_all_at_once(interval, most):
    chance = Random(1)
    pauses = [HealthPolicy(interval=interval).first_pause(chance) for _ in range(200)]
    assert 0.0 <= min(pauses) < 0.1 * most
    assert 0.9 * most < max(pauses) < most
