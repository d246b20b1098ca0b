"""Candidates for the tests of balancers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from apigw.policy.balance import Candidate
from apigw.policy.balance.balancer import Balancer
from apigw.policy.outcome import OK

Peer = Candidate[int]


def crowd(weights: Iterable[int], backups: Iterable[int] = ()) -> list[Peer]:
    """A candidate for each weight."""
    made = [Candidate(index, b"peer-%d" % index, weight) for index, weight in enumerate(weights)]
    many = len(made)
    return made + [Candidate(many + i, b"peer-%d" % (many + i), w, True) for i, w in enumerate(backups)]


def anyone(_: Peer) -> bool:
    return True


def nobody(_: Peer) -> bool:
    return False


def one_by_one(balancer: Balancer[int], count: int, now: float = 0.0) -> Counter[int]:
    """How often each is picked where a request ends before the next one begins."""
    counts: Counter[int] = Counter()
    for number in range(count):
        picked = balancer.pick(now, b"key-%d" % number, anyone)
        assert picked is not None
        counts[picked.peer] += 1
        balancer.done(picked, now, 0.01, OK)
    return counts


def held(balancer: Balancer[int], count: int, now: float = 0.0) -> list[Peer]:
    """Those picked for requests of which none ends."""
    picked = [balancer.pick(now, b"key-%d" % number, anyone) for number in range(count)]
    assert None not in picked
    return picked  # type: ignore[return-value]


def expected(weights: Sequence[int], count: int) -> list[float]:
    """What each would get if requests could be split."""
    return [count * weight / sum(weights) for weight in weights]
