"""Answers that are kept, as many bytes as may be: the one not used for the longest goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

from attrs import define, field

from apigw.policy.cache.directives import Field
from apigw.policy.cache.terms import Terms

OVERHEAD = 1024
"""Bytes that an answer takes besides what can be counted, nearly."""

VARIANTS = 64
"""Answers to one URI that differ in what Vary names; the oldest goes first."""

Uri = tuple[bytes, bytes]
"""Authority in lower case without a default port, and path with query."""

Space = tuple[object, ...]
"""What else tells requests of one URI apart: the route, and what the client is said to have asked for."""

Select = Callable[[bytes], bytes | None]
"""The value of a field of a request, by its lower-cased name."""


@define(eq=False)
class Entry:
    """
    One answer.

    :ivar fields: with Content-Length, without Age.
    :ivar age: seconds that it was old at ``since``, which is monotonic.
    :ivar vary: names, in lower case, and ``values`` that the request had for them.
    """

    uri: Uri
    space: Space
    status: int
    reason: bytes
    fields: list[Field]
    body: bytes
    terms: Terms
    age: float
    since: float
    vary: tuple[bytes, ...] = ()
    values: tuple[bytes | None, ...] = ()
    wire: bytes = b""
    size: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.weigh()

    def weigh(self) -> None:
        """Its :attr:`size` in bytes."""
        told = sum(len(name) + len(value) for name, value in self.fields) * 2
        self.size = OVERHEAD + len(self.body) + told + sum(len(value or b"") for value in self.values)

    def at(self, now: float) -> float:
        """How old it is (RFC 9111 section 4.2.3)."""
        return self.age + now - self.since

    def meets(self, select: Select) -> bool:
        """Whether a request may have it as far as Vary goes (RFC 9111 section 4.1)."""
        return all(select(name) == value for name, value in zip(self.vary, self.values, strict=True))


class Store:
    """
    :param capacity: bytes.

    :ivar size: bytes, and ``collecting`` those of answers that are still coming.
    :ivar evicted: answers that went for others.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self.collecting = 0
        self.evicted = 0
        self._used: OrderedDict[Entry, None] = OrderedDict()
        self._places: dict[Uri, list[Entry]] = {}

    def __len__(self) -> int:
        return len(self._used)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._used)

    def find(self, uri: Uri, space: Space, select: Select) -> Entry | None:
        """The answer that came last of those that a request may have."""
        for entry in self._places.get(uri, ()):
            if entry.space == space and entry.meets(select):
                self._used.move_to_end(entry)
                return entry
        return None

    def vary(self, uri: Uri, space: Space) -> tuple[bytes, ...] | None:
        """What the last answer varies on; None where there is none."""
        return next((entry.vary for entry in self._places.get(uri, ()) if entry.space == space), None)

    def put(self, entry: Entry) -> bool:
        """
        Keep an answer, in place of the one that the same requests had.

        :return: False where it is too large.
        """
        if entry.size > self.capacity:
            return False
        place = self._places.setdefault(entry.uri, [])
        for other in [one for one in place if _alike(one, entry)] + place[VARIANTS - 1 :]:
            if other in self._used:
                self.drop(other)
        # The last one of a place takes its list along.
        self._places.setdefault(entry.uri, place).insert(0, entry)
        self._used[entry] = None
        self.size += entry.size
        self.shrink(self.capacity)
        return True

    def changed(self, entry: Entry) -> None:
        """Fields of an answer that is kept are others now."""
        if entry in self._used:
            self.size -= entry.size
            entry.weigh()
            self.size += entry.size
            self.shrink(self.capacity)

    def drop(self, entry: Entry) -> None:
        """Keep it no more."""
        if entry not in self._used:
            return
        del self._used[entry]
        self.size -= entry.size
        place = self._places[entry.uri]
        place.remove(entry)
        if not place:
            del self._places[entry.uri]

    def forget(self, uri: Uri) -> int:
        """Drop all answers to a URI. :return: how many."""
        return self.drop_all(self._places.get(uri, ()))

    def drop_all(self, entries: Sequence[Entry]) -> int:
        """:return: how many there were."""
        gone = tuple(entries)
        for entry in gone:
            self.drop(entry)
        return len(gone)

    def shrink(self, size: int) -> None:
        """Drop what wasn't used for the longest, down to ``size`` bytes."""
        while self.size > size:
            self.drop(next(iter(self._used)))
            self.evicted += 1


def _alike(one: Entry, other: Entry) -> bool:
    return one.space == other.space and one.vary == other.vary and one.values == other.values
