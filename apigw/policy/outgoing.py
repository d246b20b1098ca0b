"""What the gateway's own configuration takes from a client's fields, or puts in their place, for a service."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from apigw.policy.fields import FOLD, Field


class Outgoing:
    """
    :param dropped: names of fields that the service doesn't get, however spelled; in lower case, with hyphens.
    :param added: what it gets besides.
    """

    def __init__(self, dropped: Collection[bytes] = (), added: Iterable[Field] = ()) -> None:
        self._dropped = frozenset(dropped)
        self._added = tuple(added)

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._dropped or self._added)

    def __call__(self, fields: Iterable[Field]) -> list[Field]:
        dropped = self._dropped
        return [*(field for field in fields if field[0].translate(FOLD) not in dropped), *self._added]
