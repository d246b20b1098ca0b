"""What the gateway is to reach in CPU time a request, beside what it did reach."""

from collections.abc import Mapping, Sequence

from attrs import frozen

from benchmarks.contenders import GATEWAY, REFERENCE
from benchmarks.report import Table
from benchmarks.spread import Spread

Costs = Mapping[tuple[str, str], Sequence[float]]
"""CPU seconds a request in each round, by scenario and contender; none where they don't count."""


@frozen
class Target:
    """CPU a request of ``first`` is at most ``most`` times that of ``second``; both are (scenario, contender)."""

    title: str
    first: tuple[str, str]
    second: tuple[str, str]
    most: float


TARGETS = (
    Target("everything on, small GET, to bare nginx", ("small", "gateway-full"), ("small", REFERENCE), 3.5),
    Target("pass-through, small GET, to bare nginx", ("small", GATEWAY), ("small", REFERENCE), 2.2),
    Target(
        "everything on, to Express with what it has of that", ("small", "gateway-full"), ("small", "express-full"), 0.25
    ),
    Target("two workers, to one", ("small", "gateway-2-workers"), ("small", GATEWAY), 1.05),
    Target("TLS, to its own plain cost", ("tls", GATEWAY), ("small", GATEWAY), 1.6),
    Target("everything on, TLS, to its own plain cost", ("tls", "gateway-full"), ("small", "gateway-full"), 1.6),
)


def table(costs: Costs, scenarios: Mapping[str, str]) -> Table:
    """The targets that were measured; to be cheaper than bare Caddy is one in every scenario of ``scenarios``."""
    caddy = [
        Target(f"{what}, to bare Caddy: {title}", (name, contender), (name, "caddy"), 1.0)
        for what, contender in (("pass-through", GATEWAY), ("everything on", "gateway-full"))
        for name, title in scenarios.items()
    ]
    rows = []
    for target in (*TARGETS, *caddy):
        first, second = costs.get(target.first), costs.get(target.second)
        if first and second:
            reached = Spread.of(own / other for own, other in zip(first, second, strict=True))
            met = "yes" if reached.median <= target.most else "no"
            rows.append((target.title, f"{reached:.2f}", f"{target.most:.2f}", met))
    return Table("Targets of the gateway", ("CPU time a request", "ratio", "at most", "reached"), tuple(rows))
