"""What is under way: in one process, in several, and when one of them is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from apigw.state.inflight import ROWS, LocalInFlight, SharedInFlight, in_flight_size
from apigw.state.segment import Segment, create

WORKERS = 4
SIZE = in_flight_size(WORKERS)


@pytest.fixture
def descriptor() -> Iterator[int]:
    found = create(SIZE)
    yield found
    os.close(found)


def opened(descriptor: int, worker: int) -> SharedInFlight:
    return SharedInFlight(Segment(os.dup(descriptor), SIZE), WORKERS, worker)


@pytest.fixture(params=["local", "shared"])
def counts(request: pytest.FixtureRequest, descriptor: int) -> Iterator[LocalInFlight | SharedInFlight]:
    if request.param == "local":
        yield LocalInFlight()
    else:
        with closing(opened(descriptor, 1)) as shared:
            yield shared


def test_as_many_as_may_be_at_once_and_room_for_whoever_comes_after(counts: LocalInFlight | SharedInFlight) -> None:
    assert [counts.enter([(2, "a")]) for _ in range(3)] == [-1, -1, 0]
    assert counts.enter([(2, "b")]) == -1
    counts.leave([(2, "a")])
    assert [counts.enter([(2, "a")]) for _ in range(2)] == [-1, 0]


def test_all_or_none(counts: LocalInFlight | SharedInFlight) -> None:
    assert counts.enter([(3, "a"), (1, "b")]) == -1
    assert counts.enter([(3, "a"), (1, "b")]) == 1
    assert counts.enter([(2, "a")]) == -1, "the refused one wasn't counted for a"
    counts.leave([(3, "a"), (1, "b")])
    assert counts.enter([(2, "a"), (1, "b")]) == -1


def test_what_is_over_takes_no_room() -> None:
    counts = LocalInFlight()
    counts.enter([(1, "a"), (1, "b")])
    counts.leave([(1, "a"), (1, "b")])
    assert len(counts) == 0


def test_processes_count_together_and_one_that_is_killed_leaves_nothing_to_its_successor(descriptor: int) -> None:
    code = (
        "import sys\nfrom apigw.state.inflight import SharedInFlight\nfrom apigw.state.segment import Segment\n"
        f"counts = SharedInFlight(Segment(int(sys.argv[1]), {SIZE}), {WORKERS}, 2)\n"
        "print(counts.enter([(3, 'a')]), counts.enter([(3, 'a')]), flush=True)\nsys.stdin.readline()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(descriptor)],
        cwd=Path(__file__).parents[2],
        pass_fds=(descriptor,),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with closing(opened(descriptor, 0)) as mine:
        assert child.stdout is not None
        assert child.stdout.readline() == "-1 -1\n"
        assert [mine.enter([(3, "a")]) for _ in range(2)] == [-1, 0]
        child.kill()
        child.communicate()
        assert mine.enter([(3, "a")]) == 0
        with closing(opened(descriptor, 2)) as successor:
            assert [successor.enter([(3, "a")]) for _ in range(3)] == [-1, -1, 0]
            successor.leave([(3, "a")])
        mine.leave([(3, "a")])
        assert [mine.enter([(3, "a")]) for _ in range(3)] == [-1, -1, 0]


def test_rows_serve_one_key_after_the_other_and_no_key_is_refused_for_want_of_one(descriptor: int) -> None:
    with closing(opened(descriptor, 0)) as counts:
        for number in range(ROWS * 2):
            assert counts.enter([(1, f"{number}")]) == -1
            counts.leave([(1, f"{number}")])
        assert sum(counts.enter([(1, f"{number}")]) for number in range(ROWS * 2)) == -ROWS * 2
        for number in range(ROWS * 2):
            counts.leave([(1, f"{number}")])
        assert counts.enter([(1, "0")]) == -1
