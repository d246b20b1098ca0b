"""Fields of a message that are removed, renamed, set and added, in this order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from apigw.policy.fields import FOLD, HOP_BY_HOP, IDENTITY_PREFIXES, REQUEST_DROPPED, RESPONSE_DROPPED, Field

_FRAMING = frozenset((b"content-encoding", b"content-length", b"content-range", b"expect", b"trailer"))

REQUEST_TAKEN = REQUEST_DROPPED | _FRAMING | {b"authorization"}
"""Names of fields that a template may not give a request."""

RESPONSE_TAKEN = HOP_BY_HOP | RESPONSE_DROPPED | _FRAMING | {b"age", b"cache-status", b"date"}
"""Names of fields that a template may not give an answer, or take from it."""


def taken_of_request(name: str) -> bool:
    """How a field frames the message, what is for one connection, and what services know as the gateway's own word."""
    raw = name.encode("ascii").translate(FOLD)
    return raw in REQUEST_TAKEN or raw.startswith(IDENTITY_PREFIXES)


def taken_of_response(name: str) -> bool:
    return name.encode("ascii").translate(FOLD) in RESPONSE_TAKEN


class FieldChanges:
    """
    :param removed: names, in lower case with hyphens; whatever is spelled like one of them for CGI goes.
    :param renamed: new names by old ones, which are as ``removed``; where the old one is there, it takes the place of
        what had the new one.
    :param added: fields at the end.
    """

    def __init__(
        self, removed: Collection[bytes] = (), renamed: Mapping[bytes, bytes] | None = None, added: Iterable[Field] = ()
    ) -> None:
        self._removed = frozenset(removed)
        self._renamed = dict(renamed or {})
        self._new = {new.translate(FOLD): old for old, new in self._renamed.items()}
        self._added = tuple(added)

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._removed or self._renamed or self._added)

    @property
    def of_trailers(self) -> FieldChanges:
        """What is left of fields after the body: none that goes from the head, has another name there, or its name."""
        return FieldChanges((*self._removed, *self._renamed, *self._new))

    def __call__(self, fields: Sequence[Field]) -> list[Field]:
        renamed = self._renamed
        there = {name.translate(FOLD) for name, _ in fields} if renamed else set()
        kept = []
        for field in fields:
            name = field[0].translate(FOLD)
            if name in renamed:
                kept.append((renamed[name], field[1]))
            elif name not in self._removed and self._new.get(name) not in there:
                kept.append(field)
        return [*kept, *self._added]
