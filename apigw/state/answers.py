"""Answers to idempotency keys, and claims to give them: in this process, or in a file that workers share."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable

CAPACITY = 64 * 1024 * 1024
"""Bytes of answers that are kept; the oldest go first."""


class LocalAnswers:
    """
    The answers of one process.

    :param seconds: monotonic.
    :param capacity: bytes.
    """

    def __init__(self, seconds: Callable[[], float], capacity: int = CAPACITY) -> None:
        self._seconds = seconds
        self._capacity = capacity
        self._size = 0
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    async def claim(self, place: str, value: bytes, lease: float) -> bytes | None:
        """
        Put ``value`` at ``place`` for ``lease`` seconds, unless something is there.

        :return: what is there; None if it is ``value`` now.
        """
        found = self._get(place)
        if found is None:
            self._put(place, value, lease)
        return found

    async def renew(self, place: str, value: bytes, lease: float) -> None:
        """Let a claim last ``lease`` seconds from now."""
        if self._get(place) == value:
            self._put(place, value, lease)

    async def finish(self, place: str, value: bytes, record: bytes, lifetime: float) -> None:
        """Put ``record`` in the place of a claim that is there, or was."""
        if self._get(place) in (value, None):
            self._put(place, record, lifetime)

    async def release(self, place: str, value: bytes) -> None:
        """Give a claim up."""
        if self._get(place) == value:
            self._drop(place)

    def _get(self, place: str) -> bytes | None:
        found = self._kept.get(place)
        if found is None:
            return None
        if found[0] <= self._seconds():
            self._drop(place)
            return None
        return found[1]

    def _put(self, place: str, value: bytes, lasts: float) -> None:
        if place in self._kept:
            self._drop(place)
        self._kept[place] = (self._seconds() + lasts, value)
        self._size += len(place) + len(value)
        while self._size > self._capacity and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def _drop(self, place: str) -> None:
        _, value = self._kept.pop(place)
        self._size -= len(place) + len(value)


class FileAnswers:
    """
    The same for all processes that open one file, each by itself. A process that is killed leaves a claim that ends
    with its lease.

    :param path: made where it isn't there; no disk need be waited for, since nothing of it is to outlive the machine.
    :param seconds: wall-clock, or another that all have.
    """

    def __init__(self, path: str, seconds: Callable[[], float], capacity: int = CAPACITY) -> None:
        self._seconds = seconds
        self._capacity = capacity
        self._file = sqlite3.connect(path, timeout=1.0, isolation_level=None)
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = OFF")
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS answer (place TEXT PRIMARY KEY, until REAL NOT NULL, value BLOB NOT NULL)"
        )
        self._file.execute("CREATE INDEX IF NOT EXISTS by_until ON answer (until)")

    def close(self) -> None:
        self._file.close()

    async def claim(self, place: str, value: bytes, lease: float) -> bytes | None:
        """As :meth:`LocalAnswers.claim`."""
        now = self._seconds()
        claimed = self._file.execute(
            "INSERT INTO answer VALUES (?1, ?2, ?3) ON CONFLICT (place) DO UPDATE SET until = ?2, value = ?3"
            " WHERE until <= ?4 RETURNING 1",
            (place, now + lease, value, now),
        ).fetchone()
        if claimed is not None:
            return None
        found = self._file.execute("SELECT value FROM answer WHERE place = ?", (place,)).fetchone()
        return value if found is None else bytes(found[0])

    async def renew(self, place: str, value: bytes, lease: float) -> None:
        """As :meth:`LocalAnswers.renew`."""
        self._file.execute(
            "UPDATE answer SET until = ? WHERE place = ? AND value = ?", (self._seconds() + lease, place, value)
        )

    async def finish(self, place: str, value: bytes, record: bytes, lifetime: float) -> None:
        """As :meth:`LocalAnswers.finish`."""
        now = self._seconds()
        self._file.execute(
            "INSERT INTO answer VALUES (?1, ?2, ?3) ON CONFLICT (place) DO UPDATE SET until = ?2, value = ?3"
            " WHERE value = ?4 OR until <= ?5",
            (place, now + lifetime, record, value, now),
        )
        self._make_room(now)

    async def release(self, place: str, value: bytes) -> None:
        """As :meth:`LocalAnswers.release`."""
        self._file.execute("DELETE FROM answer WHERE place = ? AND value = ?", (place, value))

    def _make_room(self, now: float) -> None:
        self._file.execute("DELETE FROM answer WHERE until <= ?", (now,))
        [size] = self._file.execute("SELECT total(length(value)) FROM answer").fetchone()
        while size > self._capacity:
            gone = self._file.execute(
                "DELETE FROM answer WHERE place IN (SELECT place FROM answer ORDER BY rowid LIMIT 100)"
                " RETURNING length(value)"
            ).fetchall()
            size -= sum(length for [length] in gone)
            if not gone:
                return
