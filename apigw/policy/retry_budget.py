"""How many retries a service gets in all, so that one that is down is not asked three times as often."""

from __future__ import annotations

from typing import Final

RATIO: Final = 0.2
"""Retries for each request: linkerd's and Finagle's default."""

FLOOR: Final = 3.0
"""Retries a second that are always allowed, or a service with few requests would get none."""

WINDOW: Final = 10.0
"""Seconds for which an unused retry is kept; as linkerd's."""

SLOTS: Final = 10


class RetryBudget:
    """
    Each request deposits ``ratio`` of a retry, each retry withdraws one, and what is older than the window is void.
    On top come ``floor`` retries a second, of which a second's worth is kept. One budget a
    service, for retries and hedges.

    :param ratio: 0.2 for 20 %.
    :param floor: retries a second.
    :param window: seconds.
    :raises ValueError: a number below zero, or no window.

    :ivar spent: retries allowed in all.
    :ivar refused: retries refused in all.

    Source: Finagle, ``RetryBudget``; tower, ``TpsBudget``. There the floor of the whole window may be spent at
    once; here a service that is down never gets such a burst.
    """

    __slots__ = (
        "_balance",
        "_floor",
        "_floor_at",
        "_floor_left",
        "_ratio",
        "_slot",
        "_slot_end",
        "_slots",
        "_width",
        "refused",
        "spent",
    )

    def __init__(self, ratio: float = RATIO, floor: float = FLOOR, window: float = WINDOW) -> None:
        if ratio < 0.0 or floor < 0.0 or window <= 0.0:
            raise ValueError("ratio and floor can't be negative, and the window must be positive")
        self._ratio = ratio
        self._width = window / SLOTS
        self._slots = [0.0] * SLOTS
        self._slot = 0
        self._slot_end = float("-inf")
        self._balance = 0.0
        self._floor = floor
        self._floor_left = floor
        self._floor_at = float("-inf")
        self.spent = 0
        self.refused = 0

    def deposit(self, now: float) -> None:
        """
        Count a request; once for each, not for its retries.

        :param now: monotonic seconds; going backwards counts as standing still.
        """
        if now >= self._slot_end:
            self._turn(now)
        self._slots[self._slot] += self._ratio
        self._balance += self._ratio

    def withdraw(self, now: float) -> bool:
        """Spend a retry if there is one."""
        if now >= self._slot_end:
            self._turn(now)
        if self._floor and now > self._floor_at:
            self._floor_left = min(max(self._floor, 1.0), self._floor_left + (now - self._floor_at) * self._floor)
            self._floor_at = now
        if self._floor_left >= 1.0:
            self._floor_left -= 1.0
        elif self._balance >= 1.0:
            self._take()
        else:
            self.refused += 1
            return False
        self.spent += 1
        return True

    def _take(self) -> None:
        """Take one from the deposits, the oldest first, for they go first."""
        wanted = 1.0
        for step in range(1, SLOTS + 1):
            slot = (self._slot + step) % SLOTS
            part = min(wanted, self._slots[slot])
            self._slots[slot] -= part
            wanted -= part
        self._balance -= 1.0 - wanted

    def _turn(self, now: float) -> None:
        """Begin a new slot, and void what is too old."""
        passed = 1 + int(min((now - self._slot_end) / self._width, SLOTS))
        for _ in range(min(passed, SLOTS)):
            self._slot = (self._slot + 1) % SLOTS
            self._slots[self._slot] = 0.0
        self._balance = sum(self._slots)
        self._slot_end = self._slot_end + passed * self._width if passed <= SLOTS else now + self._width
