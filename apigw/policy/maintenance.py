"""Doors that are closed for a while, but to some."""

from __future__ import annotations

from collections.abc import Iterable

from apigw.policy.ip_lists import Network, Networks, parse


class Door:
    """
    One that is closed.

    :param seconds: that it will take.
    :param allow: whom it is open to all the same.
    """

    def __init__(self, seconds: float, allow: Iterable[Network] = ()) -> None:
        self.seconds = seconds
        self._allow = Networks(allow)

    def admits(self, address: str) -> bool:
        """:param address: of a client, as text; what is none, such as that of a UNIX socket, is in no network."""
        if not self._allow:
            return False
        found = parse(address)
        return found is not None and found in self._allow


def wait(doors: Iterable[Door], address: str) -> float:
    """Seconds after which a client may come again: those of the door that takes longest; 0.0 where all admit it."""
    return max((door.seconds for door in doors if not door.admits(address)), default=0.0)
