"""Quotas in shared memory: among real processes, when they are killed, and when there are too many keys."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from time import monotonic, process_time

import pytest

from apigw.policy.gcra import LocalQuotas, Quota, remaining
from apigw.state.segment import PATIENCE, Segment, create, open_file
from apigw.state.zone import WAYS, Zone, zone_size

SIZE = zone_size(1000)
TEN = Quota("ip", 10, 60.0, 10)
TWO = Quota("user", 2, 60.0, 2)

CHILD = """\
import sys
from apigw.policy.gcra import Quota
from apigw.state.segment import Segment
from apigw.state.zone import Zone
descriptor, size, times, limit = map(int, sys.argv[1:])
zone = Zone(Segment(descriptor, size))
quota = Quota("ip", limit, 1e6, limit)
other = Quota("route", 10 * limit, 1e6, 10 * limit)
sys.stdin.readline()
print(sum(not zone.take(1000.0, ((quota, "one"), (other, "two"))).wait for _ in range(times)), flush=True)
sys.stdin.readline()
"""


def started(descriptor: int, size: int, times: int, limit: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *map(str, (descriptor, size, times, limit))],
        cwd=Path(__file__).parents[2],
        pass_fds=(descriptor,),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def go(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def count(child: subprocess.Popen[str]) -> int:
    assert child.stdout is not None
    return int(child.stdout.readline())


def end(*children: subprocess.Popen[str]) -> None:
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def descriptor() -> Iterator[int]:
    found = create(SIZE)
    yield found
    os.close(found)


@pytest.fixture
def zone(descriptor: int) -> Iterator[Zone]:
    with closing(Zone(Segment(os.dup(descriptor), SIZE))) as opened:
        yield opened


def test_four_processes_admit_exactly_the_limit(descriptor: int, zone: Zone) -> None:
    children = [started(descriptor, SIZE, 2500, 777) for _ in range(4)]
    try:
        for child in children:
            go(child)
        assert sum(map(count, children)) == 777
    finally:
        end(*children)
    large = Quota("route", 7770, 1e6, 7770)
    assert remaining(zone.take(1000.0, ((large, "two"),)).standings[0]) == 7770 - 777 - 1, "a refusal spends nothing"


def test_whoever_is_killed_leaves_no_lock_and_no_nonsense(descriptor: int, zone: Zone) -> None:
    limit = 10_000_000
    quota = Quota("ip", limit, 1e6, limit)
    for _ in range(5):
        child = started(descriptor, SIZE, limit, limit)
        go(child)
        was = zone.whole_at(1000.0, quota, "one")
        until = monotonic() + 10
        while zone.whole_at(1000.0, quota, "one") == was:
            assert monotonic() < until
        os.kill(child.pid, signal.SIGKILL)
        end(child)
        begun = monotonic()
        [standing] = zone.take(1000.0, ((quota, "one"),)).standings
        assert monotonic() - begun < PATIENCE, "the lock is free at once"
        assert 0 < remaining(standing) < limit


def test_a_process_that_is_stopped_with_a_lock_stops_nobody(descriptor: int, zone: Zone) -> None:
    code = (
        "import sys\nfrom apigw.state.segment import Segment\n"
        f"segment = Segment(int(sys.argv[1]), {SIZE})\n"
        f"for place in range({SIZE}): segment.lock(place)\n"
        "print('1', flush=True)\nsys.stdin.readline()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(descriptor)],
        cwd=Path(__file__).parents[2],
        pass_fds=(descriptor,),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert count(child) == 1
        os.kill(child.pid, signal.SIGSTOP)
        begun = monotonic()
        assert zone.take(1.0, ((TEN, "a"),)).wait == 0.0
        assert PATIENCE <= monotonic() - begun < 1.0
    finally:
        end(child)


def test_judges_as_the_store_of_one_process_does(zone: Zone) -> None:
    chance = Random(5)
    local = LocalQuotas()
    now = 1000.0
    for _ in range(3000):
        now += chance.random() * 3
        user = f"user{chance.randrange(3)}"
        address = f"ip{chance.randrange(3)}"
        spends = chance.choice((((TEN, address),), ((TWO, user),), ((TEN, address), (TWO, user))))
        mine, theirs = zone.take(now, spends, 2.0), local.take(now, spends, 2.0)
        assert mine.wait == pytest.approx(theirs.wait)
        assert mine.quota is theirs.quota
        for one, other in zip(mine.standings, theirs.standings, strict=True):
            assert (one[0], remaining(one)) == (other[0], remaining(other))
            assert one[1] == pytest.approx(other[1])


def test_a_refusal_spends_from_none(zone: Zone) -> None:
    for _ in range(2):
        assert zone.take(0.5, ((TEN, "a"), (TWO, "b"))).quota is None
    for _ in range(5):
        assert zone.take(0.5, ((TEN, "a"), (TWO, "b"))).quota is TWO
    assert remaining(zone.take(0.5, ((TEN, "a"),)).standings[0]) == 7
    with pytest.raises(ValueError, match="more than a burst"):
        zone.take(0.5, ((TWO, "c"),), 3.0)
    with pytest.raises(ValueError, match="more than a burst"):
        zone.take(0.5, ((TEN, "a"), (TWO, "c")), 3.0)


def test_any_number_of_keys_stays_inside_and_the_one_that_is_used_up_stays_known(zone: Zone) -> None:
    spends = ((Quota("ip", 2, 3600.0, 2), "the guilty"),)
    assert not zone.take(1.0, spends).wait
    assert not zone.take(1.0, spends).wait
    for number in range(50_000):
        zone.take(1.0, ((TEN, f"{number}"),))
    assert zone.take(1.0, spends).wait
    assert len(zone) == SIZE // (WAYS * 16) * WAYS, "every cell is taken, and there are no more"


def test_almost_all_keys_for_which_there_shall_be_room_are_kept(zone: Zone) -> None:
    for number in range(1000):
        zone.take(1.0, ((TEN, f"{number}"),))
    assert len(zone) > 980


def test_a_smaller_quota_or_another_uptime_locks_nobody_out(zone: Zone) -> None:
    zone.note("a", 1e9)
    verdict = zone.take(100.0, ((TEN, "a"),))
    assert verdict.wait == pytest.approx(6.0)
    assert zone.take(107.0, ((TEN, "a"),)).wait == 0.0


def test_what_is_known_from_elsewhere_counts_unless_more_is_known_here(zone: Zone) -> None:
    zone.note("a", 130.0)
    zone.note("a", 110.0)
    assert zone.whole_at(100.0, TEN, "a") == 130.0
    assert remaining(zone.take(100.0, ((TEN, "a"),)).standings[0]) == 4
    assert zone.whole_at(100.0, TEN, "b") == 100.0


def test_costs_microseconds(zone: Zone) -> None:
    spends = ((Quota("ip", 10_000_000, 1.0, 10_000_000), "a"),)
    best = min(timed(zone, spends) for _ in range(20))
    assert best < 10e-6, "5 us where nothing else runs"


def timed(zone: Zone, spends: tuple[tuple[Quota, str]]) -> float:
    """Seconds of CPU for one check."""
    begun = process_time()
    for _ in range(1000):
        zone.take(1.0, spends)
    return (process_time() - begun) / 1000


def test_a_file_can_be_opened_by_its_path_and_only_in_its_size(tmp_path: Path) -> None:
    path = str(tmp_path / "zone")
    with closing(Zone(Segment(open_file(path, SIZE), SIZE))) as one:
        one.take(1.0, ((TEN, "a"),))
        with closing(Zone(Segment(open_file(path, SIZE), SIZE))) as two:
            assert remaining(two.take(1.0, ((TEN, "a"),)).standings[0]) == 8
    assert Path(path).stat().st_mode & 0o777 == 0o600
    descriptor = open_file(path, SIZE)
    with pytest.raises(ValueError, match="made for another configuration"):
        Segment(descriptor, zone_size(5000))
    os.close(descriptor)
