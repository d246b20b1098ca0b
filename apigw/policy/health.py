"""What active checks of a peer say about it, and when the next one is."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

JITTER = 0.1
"""Part of an interval by which a check may come earlier or later, so that many gateways don't check in step."""

HEALTHY = ""
"""The verdict on a check that the peer passed; all others say what was wrong."""


class Chance(Protocol):
    """``random.Random`` or its like."""

    def random(self) -> float:
        """In [0.0, 1.0)."""


@frozen
class HealthPolicy:
    """
    :ivar interval: seconds between checks.
    :ivar interval_down: the same while the peer is unhealthy.
    :ivar healthy_after: passed checks in a row that an unhealthy peer needs.
    :ivar unhealthy_after: failed checks in a row that a healthy peer may not have.
    :ivar statuses: that pass.
    :ivar body: what the body must contain, if anything.
    """

    interval: float = 10.0
    interval_down: float = 10.0
    healthy_after: int = 2
    unhealthy_after: int = 3
    statuses: frozenset[int] = frozenset(range(200, 400))
    body: bytes = b""

    def judge(self, status: int, body: bytes = b"") -> str:
        """
        Judge the answer to a check.

        :param body: as far as it was read.
        :return: :data:`HEALTHY`, or what was wrong, for the log.
        """
        if status not in self.statuses:
            return f"status {status}"
        if self.body not in body:
            return "body without the expected text"
        return HEALTHY

    def pause(self, healthy: bool, chance: Chance) -> float:
        """Seconds from the end of a check to the beginning of the next one."""
        interval = self.interval if healthy else self.interval_down
        return interval * (1.0 + JITTER * (2.0 * chance.random() - 1.0))

    def first_pause(self, chance: Chance) -> float:
        """Seconds to the first check: soon, and all peers' spread over an interval but never more than a second."""
        return min(self.interval, 1.0) * chance.random()


class Health:
    """
    Whether one peer is healthy. Before its first check a peer counts as healthy, for the gateway must be able to
    start without a check of each; the first check decides at once.

    :ivar healthy: the state.
    :ivar checks: how many there were.
    :ivar reason: what was wrong at the last check, empty for nothing.
    :ivar changed: monotonic seconds of the last change, 0.0 for none.
    """

    __slots__ = ("_against", "_policy", "changed", "checks", "healthy", "reason")

    def __init__(self, policy: HealthPolicy) -> None:
        self._policy = policy
        self._against = 0
        self.healthy = True
        self.checks = 0
        self.reason = ""
        self.changed = 0.0

    def told(self, healthy: bool, reason: str, now: float) -> bool:
        """
        Take over what somebody else's checks have found.

        :return: whether the state changed.
        """
        changed = healthy != self.healthy
        self.checks += 1
        self._against = 0
        self.healthy, self.reason = healthy, reason
        if changed:
            self.changed = now
        return changed

    def checked(self, verdict: str, now: float) -> bool:
        """
        Take down a check.

        :param verdict: of :meth:`HealthPolicy.judge`, or what kept the check from an answer.
        :return: whether the state changed.
        """
        first = self.checks == 0
        self.checks += 1
        self.reason = verdict
        if (verdict == HEALTHY) == self.healthy:
            self._against = 0
            return False
        self._against += 1
        needed = self._policy.unhealthy_after if self.healthy else self._policy.healthy_after
        if self._against < needed and not first:
            return False
        self._against = 0
        self.healthy = not self.healthy
        self.changed = now
        return True


def parse_statuses(text: str) -> frozenset[int]:
    """
    Statuses as ``200-399, 404``.

    :raises ValueError: not that, or none.
    """
    found: set[int] = set()
    for part in text.split(","):
        low, dash, high = (word.strip() for word in part.partition("-"))
        bounds = [low, high if dash else low]
        if not all(word.isascii() and word.isdigit() and 100 <= int(word) <= 599 for word in bounds):
            raise ValueError(f"{part.strip()!r} is neither a status nor a range such as 200-399")
        if int(bounds[0]) > int(bounds[1]):
            raise ValueError(f"the range {part.strip()!r} is empty")
        found.update(range(int(bounds[0]), int(bounds[1]) + 1))
    return frozenset(found)
