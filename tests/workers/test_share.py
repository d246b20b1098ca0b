"""Who takes the next connection."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from apigw.workers.share import Share, Shares, create


@pytest.fixture
def memory() -> Iterator[int]:
    descriptor = create(4)
    yield descriptor
    os.close(descriptor)


def test_who_has_more_than_another_yields(memory: int) -> None:
    mine, theirs = Shares(memory), Shares(memory)
    assert not mine.yields(0, 0)
    assert not theirs.yields(1, 0)
    assert mine.yields(0, 1)
    assert not theirs.yields(1, 1)
    assert not mine.yields(0, 1)


def test_who_is_alone_takes_all(memory: int) -> None:
    shares = Shares(memory)
    assert not any(shares.yields(2, connections) for connections in range(1000))


def test_nobody_waits_for_one_that_is_gone(memory: int) -> None:
    shares = Shares(memory)
    shares.yields(0, 0)
    assert shares.yields(1, 100)
    shares.gone(0)
    assert not shares.yields(1, 100)


def test_of_many_a_few_more_make_no_difference(memory: int) -> None:
    shares = Shares(memory)
    shares.yields(0, 1600)
    assert not shares.yields(1, 1700)
    assert shares.yields(1, 1701)


def test_a_port_asks_with_the_connections_that_there_are(memory: int) -> None:
    share, other = Share(Shares(memory), 0), Share(Shares(memory), 1)
    share.connections, other.connections = lambda: 3, lambda: 2
    assert not other()
    assert share()
