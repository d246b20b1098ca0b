"""How many bytes one feature may hold in memory at once, over all requests."""

from __future__ import annotations

from twisted.logger import Logger


class Room:
    """
    :param name: of whose it is, for the log.
    :param capacity: bytes.

    :ivar size: bytes that are held. :ivar refused: how often there was no room.
    """

    _log = Logger()

    def __init__(self, name: str, capacity: int) -> None:
        self._name = name
        self.capacity = capacity
        self.size = 0
        self.refused = 0
        self._told = False

    def hold(self, size: int = 0) -> Held:
        """Count what is there already, room or not."""
        self.size += size
        return Held(self, size)

    def fits(self, size: int) -> bool:
        """Whether there is room for so many bytes. The log says it when there begins to be none."""
        if self.size + size <= self.capacity:
            return True
        self.refused += 1
        if not self._told:
            self._told = True
            self._log.warn(
                "{name} hold {held} bytes in memory, of {capacity} at most: more is refused",
                name=self._name,
                held=self.size,
                capacity=self.capacity,
            )
        return False

    def leave(self, size: int) -> None:
        """So many are gone."""
        self.size -= size
        if self._told and self.size < self.capacity // 2:
            self._told = False


class Held:
    """
    Bytes of a :class:`Room`. They count as long as anybody has this object; so it stands beside what it counts, and no
    way in which a request can end forgets to give them back.
    """

    __slots__ = ("_room", "size")

    def __init__(self, room: Room, size: int) -> None:
        self._room = room
        self.size = size

    def fits(self, size: int) -> bool:
        """As :meth:`Room.fits`, without holding them yet."""
        return self._room.fits(size)

    def grow(self, size: int) -> bool:
        """Hold so many more. :return: False where there is no room, and nothing is held of them."""
        if not self._room.fits(size):
            return False
        self.size += size
        self._room.size += size
        return True

    def __del__(self) -> None:
        self._room.leave(self.size)
