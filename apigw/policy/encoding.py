"""Which content coding an answer gets, by what the client takes, and what the fields of the answer become by it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

Field = tuple[bytes, bytes]

_ITEM = re.compile(
    rb"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*(?:;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?"
)
_OF_CONTENT = frozenset(
    (b"content-encoding", b"content-range", b"content-md5", b"digest", b"content-digest", b"repr-digest")
)
"""Fields that tell something of the body that would be wrong, or that say it is encoded already."""


def accepted(value: bytes, known: Sequence[str]) -> str:
    """
    The coding to use (RFC 9110 section 12.5.3).

    :param value: of Accept-Encoding; what isn't valid in it counts as not accepted.
    :param known: codings that there are, the best first.
    :return: empty for none.
    """
    weights: dict[str, float] = {}
    for part in value.split(b","):
        match = _ITEM.fullmatch(part)
        if match is not None:
            name = match[1].lower().decode("ascii")
            weights["gzip" if name == "x-gzip" else name] = float(match[2]) if match[2] else 1.0
    others = weights.get("*", 0.0)
    best = max(known, key=lambda name: weights.get(name, others), default="")
    weight = weights.get(best, others) if best else 0.0
    return best if weight > 0.0 and weight >= weights.get("identity", 0.0) else ""


def compressible(fields: Iterable[Field], types: Collection[str], smallest: int, length: int | None) -> bool:
    """
    :param fields: of an answer with a body.
    :param types: media types; ``text/*`` stands for all of a kind, ``+json`` for all with that suffix.
    :param smallest: bytes from which on it is worth it.
    :param length: of the body, None while unknown.
    """
    if length is not None and length < smallest:
        return False
    kind = ""
    for name, value in fields:
        name = name.lower()
        if name == b"content-type":
            kind = value.partition(b";")[0].strip().lower().decode("latin-1")
        elif (name in _OF_CONTENT and (name != b"content-encoding" or value.strip().lower() != b"identity")) or (
            name == b"cache-control" and b"no-transform" in value.lower()
        ):
            return False
    main, _, sub = kind.partition("/")
    _, plus, suffix = sub.rpartition("+")
    return kind in types or f"{main}/*" in types or (plus != "" and f"+{suffix}" in types)


def varying(fields: Iterable[Field]) -> list[Field]:
    """The same with ``Vary: Accept-Encoding`` among them (RFC 9110 section 12.5.5)."""
    kept = list(fields)
    for name, value in kept:
        if name.lower() == b"vary" and {b"*", b"accept-encoding"} & {one.strip() for one in value.lower().split(b",")}:
            return kept
    return [*kept, (b"Vary", b"Accept-Encoding")]


def encoded(fields: Iterable[Field], coding: str) -> list[Field]:
    """
    The fields of an answer whose body is encoded: its length isn't known any more, ranges of it can't be asked for,
    and a strong ETag, which names the very bytes, becomes a weak one (RFC 9110 section 8.8.1).
    """
    kept = []
    for name, value in fields:
        lower = name.lower()
        if lower in (b"content-length", b"accept-ranges", b"content-encoding"):
            continue
        kept.append((name, weak(value) if lower == b"etag" else value))
    return [*kept, (b"Content-Encoding", coding.encode())]


def weak(tag: bytes) -> bytes:
    """A weak entity tag (RFC 9110 section 8.8.3)."""
    return tag if tag.startswith(b"W/") else b"W/" + tag


def known_weak(fields: Iterable[Field], tag: bytes) -> bool:
    """Whether If-None-Match has ``tag``, which is a strong one, as a weak one: so the client got it encoded."""
    return any(
        weak(tag) in [one.strip() for one in value.split(b",")]
        for name, value in fields
        if name.lower() == b"if-none-match"
    )
