"""Answers to idempotency keys, and claims to give them: in this process, or in a file that workers share."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from math import inf

from twisted.logger import Logger

from apigw.policy.idempotency import unkept

CAPACITY = 64 * 1024 * 1024
"""
Bytes: one half for answers, of which the oldest go first and leave behind that they were given; the other half for
what they leave. So one client with large answers can't make others' requests be done twice.
"""

ENTRY = 400
"""Bytes that each takes besides, as measured with CPython 3.11."""

_TELL = 3600.0
_CLAIMED, _WHOLE, _UNKEPT = range(3)


class _Forgotten:
    """Says in the log that there is no room even for what was done, once an hour."""

    _log = Logger()

    def __init__(self) -> None:
        self._told = -inf

    def __call__(self, now: float) -> None:
        if now - self._told >= _TELL:
            self._told = now
            self._log.warn("more requests were done with idempotency keys than can be known: the oldest are forgotten")


class LocalAnswers:
    """
    The answers of one process.

    :param seconds: monotonic.
    :param capacity: bytes.
    """

    def __init__(self, seconds: Callable[[], float], capacity: int = CAPACITY) -> None:
        self._seconds = seconds
        self._share = capacity // 2
        self._sizes = [0, 0, 0]
        self._kinds: list[OrderedDict[str, tuple[float, bytes]]] = [OrderedDict(), OrderedDict(), OrderedDict()]
        self._forgotten = _Forgotten()

    async def claim(self, place: str, value: bytes, lease: float) -> bytes | None:
        """
        Put ``value`` at ``place`` for ``lease`` seconds, unless something is there.

        :return: what is there; None if it is ``value`` now.
        """
        found = self._get(place)
        if found is None:
            self._put(_CLAIMED, place, value, self._seconds() + lease)
        return found

    async def renew(self, place: str, value: bytes, lease: float) -> None:
        """Let a claim last ``lease`` seconds from now."""
        if self._get(place) == value:
            self._put(_CLAIMED, place, value, self._seconds() + lease)

    async def finish(self, place: str, value: bytes, record: bytes, lifetime: float) -> None:
        """Put ``record`` in the place of a claim that is there, or was."""
        if self._get(place) in (value, None):
            self._put(_WHOLE, place, record, self._seconds() + lifetime)
            self._make_room()

    async def release(self, place: str, value: bytes) -> None:
        """Give a claim up."""
        if self._get(place) == value:
            self._drop(place)

    def _get(self, place: str) -> bytes | None:
        for kind in self._kinds:
            found = kind.get(place)
            if found is not None:
                if found[0] > self._seconds():
                    return found[1]
                self._drop(place)
        return None

    def _put(self, kind: int, place: str, value: bytes, until: float) -> None:
        self._drop(place)
        self._kinds[kind][place] = (until, value)
        self._sizes[kind] += ENTRY + len(value)

    def _drop(self, place: str) -> None:
        for number, kind in enumerate(self._kinds):
            found = kind.pop(place, None)
            if found is not None:
                self._sizes[number] -= ENTRY + len(found[1])

    def _make_room(self) -> None:
        _, whole, left = self._kinds
        now = self._seconds()
        while self._sizes[_WHOLE] > self._share and len(whole) > 1:
            place, (until, value) = next(iter(whole.items()))
            self._put(_UNKEPT, place, unkept(value), until)
        while self._sizes[_UNKEPT] > self._share:
            place, (until, _) = next(iter(left.items()))
            self._drop(place)
            if until > now:
                self._forgotten(now)


_SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS answer (
    place TEXT PRIMARY KEY, until REAL NOT NULL, value BLOB NOT NULL, kind INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS by_until ON answer (until);
CREATE INDEX IF NOT EXISTS by_kind ON answer (kind);
CREATE TABLE IF NOT EXISTS held (kind INTEGER PRIMARY KEY, size INTEGER NOT NULL);
INSERT OR IGNORE INTO held VALUES ({_CLAIMED}, 0), ({_WHOLE}, 0), ({_UNKEPT}, 0);
CREATE TRIGGER IF NOT EXISTS comes AFTER INSERT ON answer BEGIN
    UPDATE held SET size = size + {ENTRY} + length(new.value) WHERE kind = new.kind;
END;
CREATE TRIGGER IF NOT EXISTS goes AFTER DELETE ON answer BEGIN
    UPDATE held SET size = size - {ENTRY} - length(old.value) WHERE kind = old.kind;
END;
CREATE TRIGGER IF NOT EXISTS changes AFTER UPDATE OF value, kind ON answer BEGIN
    UPDATE held SET size = size - {ENTRY} - length(old.value) WHERE kind = old.kind;
    UPDATE held SET size = size + {ENTRY} + length(new.value) WHERE kind = new.kind;
END;
COMMIT;
"""
"""How much is held is counted as it comes and goes: to add it up took as long as there are answers, at each of them."""


class FileAnswers:
    """
    The same for all processes that open one file, each by itself. A process that is killed leaves a claim that ends
    with its lease.

    :param path: made where it isn't there; no disk need be waited for, since nothing of it is to outlive the machine.
    :param seconds: wall-clock, or another that all have.
    """

    def __init__(self, path: str, seconds: Callable[[], float], capacity: int = CAPACITY) -> None:
        self._seconds = seconds
        self._share = capacity // 2
        self._forgotten = _Forgotten()
        self._file = sqlite3.connect(path, timeout=1.0, isolation_level=None)
        self._file.create_function("unkept", 1, unkept, deterministic=True)
        self._file.executescript(_SCHEMA)

    def close(self) -> None:
        self._file.close()

    async def claim(self, place: str, value: bytes, lease: float) -> bytes | None:
        """As :meth:`LocalAnswers.claim`."""
        now = self._seconds()
        claimed = self._file.execute(
            f"INSERT INTO answer VALUES (?1, ?2, ?3, {_CLAIMED})"
            f" ON CONFLICT (place) DO UPDATE SET until = ?2, value = ?3, kind = {_CLAIMED} WHERE until <= ?4"
            " RETURNING 1",
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
            f"INSERT INTO answer VALUES (?1, ?2, ?3, {_WHOLE})"
            f" ON CONFLICT (place) DO UPDATE SET until = ?2, value = ?3, kind = {_WHOLE},"
            " rowid = (SELECT max(rowid) + 1 FROM answer) WHERE value = ?4 OR until <= ?5",
            (place, now + lifetime, record, value, now),
        )
        self._make_room(now)

    async def release(self, place: str, value: bytes) -> None:
        """As :meth:`LocalAnswers.release`."""
        self._file.execute("DELETE FROM answer WHERE place = ? AND value = ?", (place, value))

    def _make_room(self, now: float) -> None:
        self._file.execute("DELETE FROM answer WHERE until <= ?", (now,))
        last = self._last_to_go(_WHOLE)
        if last >= 0:
            self._file.execute(
                f"UPDATE answer SET value = unkept(value), kind = {_UNKEPT} WHERE kind = {_WHOLE} AND rowid <= ?",
                (last,),
            )
        last = self._last_to_go(_UNKEPT)
        if last >= 0:
            self._file.execute(f"DELETE FROM answer WHERE kind = {_UNKEPT} AND rowid <= ?", (last,))
            self._forgotten(now)

    def _last_to_go(self, kind: int) -> int:
        """
        The number of the youngest of those that have to go, since there is no room for all of a kind; -1 for none.
        """
        [size] = self._file.execute("SELECT size FROM held WHERE kind = ?", (kind,)).fetchone()
        last: int = -1
        if size > self._share:
            for number, length in self._file.execute(
                "SELECT rowid, length(value) FROM answer WHERE kind = ? ORDER BY rowid", (kind,)
            ):
                last = number
                size -= ENTRY + length
                if size <= self._share:
                    break
        return last
