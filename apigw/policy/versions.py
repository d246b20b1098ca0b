"""API versions: which one a request is for, and what is said of old ones (RFC 9745, RFC 8594)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from urllib.parse import unquote_to_bytes

from attrs import frozen

Field = tuple[bytes, bytes]

PATH, HEADER, MEDIA = "path", "header", "media-type"

DEPTH = 3
"""Among how many segments of a path the version is looked for."""

WORD = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z._-]{0,30}[0-9A-Za-z])?").fullmatch
"""A version."""

_SEGMENT = re.compile(rb"[vV]([0-9]{1,9}(?:\.[0-9]{1,9}){0,3}(?:(?:alpha|beta|rc)[0-9]{0,3})?)").fullmatch
_VALUE = re.compile(
    rb"[vV]?([0-9](?:[0-9A-Za-z._-]{0,30}[0-9A-Za-z])?)|([0-9A-Za-z](?:[0-9A-Za-z._-]{0,30}[0-9A-Za-z])?)"
)
_RANGES = re.compile(rb"(?:[^,\"]+|\"(?:[^\"\\]+|\\.)*(?:\"|\\?\Z))+", re.DOTALL).findall
"""
Media ranges of Accept. A quoted string that isn't closed goes to the end: so nothing can fail that has begun, and it
takes linear time, as :data:`_VENDOR` does. Clients choose what stands there.
"""
_VENDOR = re.compile(rb"[^/]+/vnd\..*?[.-][vV]([0-9]{1,9}(?:\.[0-9]{1,9}){0,3})(?:\+.*)?", re.DOTALL).fullmatch
_PARAMETER = re.compile(rb";[ \t]*version[ \t]*=[ \t]*(?:\"([^\"]*)\"|([^ \t;]*))", re.IGNORECASE)
_WEIGHT = re.compile(rb";[ \t]*q=([01](?:\.[0-9]{0,3})?)", re.IGNORECASE)


def natural(version: str) -> list[tuple[int, str]]:
    """By which versions are sorted: 2 before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", version) if part]


class NoVersion(ValueError):
    """
    What a request says is no version, or none that there is.

    :ivar source: where it says so.
    :ivar malformed: it is none; else there is none of that name.
    """

    def __init__(self, source: str, text: str, malformed: bool) -> None:
        super().__init__(text)
        self.source = source
        self.malformed = malformed


@frozen
class Source:
    """:ivar kind: :data:`PATH`, :data:`HEADER` or :data:`MEDIA`. :ivar name: of a field."""

    kind: str
    name: str = ""

    @property
    def field(self) -> str:
        """The field of a request that it looks at; empty for none."""
        return "Accept" if self.kind == MEDIA else self.name


class Versions:
    """
    :param sources: where a version may stand; the first that has one counts.
    :param known: those that there are, in order.
    :param default: for requests that name none; empty for no version.
    """

    def __init__(self, sources: Sequence[Source], known: Sequence[str], default: str = "") -> None:
        self._sources = tuple(sources)
        self.known = tuple(known)
        self.default = default

    def of(self, path: bytes, fields: Sequence[Field]) -> str:
        """
        The version that a request is for; empty for none.

        :param path: raw.
        :raises NoVersion: there is no such version, or what stands there is none.
        """
        for source in self._sources:
            if source.kind == PATH:
                found = in_path(path)
            elif source.kind == HEADER:
                found = in_field(fields, source.name.lower().encode("ascii"))
            else:
                found = in_accept(fields)
            if found is None:
                continue
            if not found:
                raise NoVersion(source.kind, f"What {source.field} says is not a version.", True)
            if found not in self.known:
                raise NoVersion(source.kind, f"There is no version {found}.", False)
            return found
        return self.default


def in_path(path: bytes) -> str | None:
    """The first segment of a raw path that is ``v`` and a number, among the first :data:`DEPTH`."""
    segments = [segment for segment in path.split(b"/") if segment]
    for segment in segments[:DEPTH]:
        segment = segment.partition(b";")[0]
        match = _SEGMENT(unquote_to_bytes(segment) if b"%" in segment else segment)
        if match is not None:
            return match[1].decode("ascii")
    return None


def in_field(fields: Iterable[Field], name: bytes) -> str | None:
    """:return: what a field of its own says: None where it isn't there, empty where that is no version."""
    found = {value.strip() for key, value in fields if len(key) == len(name) and key.lower() == name}
    if not found:
        return None
    return _version(found.pop()) if len(found) == 1 else ""


def in_accept(fields: Iterable[Field]) -> str | None:
    """
    The version in Accept, of the media range with the greatest weight: ``application/vnd.acme.v2+json`` or
    ``application/json; version=2``. Empty where it is none.
    """
    best: tuple[float, str] | None = None
    for key, value in fields:
        if len(key) != 6 or key.lower() != b"accept":
            continue
        for part in _RANGES(value):
            vendor, parameter = _VENDOR(part.partition(b";")[0].strip(b" \t")), _PARAMETER.search(part)
            if vendor is None and parameter is None:
                continue
            weight = _WEIGHT.search(part)
            share = 1.0 if weight is None else float(weight[1])
            if best is None or share > best[0]:
                said = vendor or parameter
                best = share, _version(next((one for one in said.groups() if one), b"") if said else b"")
    return None if best is None else best[1]


def _version(text: bytes) -> str:
    match = _VALUE.fullmatch(text)
    return "" if match is None else (match[1] or match[2]).decode("ascii")


@frozen
class Brownout:
    """A time in which an old version doesn't answer, so that who still uses it notices; seconds since 1970."""

    begin: float
    end: float


@frozen
class Life:
    """
    :ivar deprecated: since or from when on it is not to be used any more; seconds since 1970.
    :ivar sunset: when it ends; the same.
    :ivar link: where people read about that.
    """

    version: str
    deprecated: float | None = None
    sunset: float | None = None
    link: str = ""
    brownouts: tuple[Brownout, ...] = ()

    @property
    def old(self) -> bool:
        """Something is said of its end."""
        return self.deprecated is not None or self.sunset is not None

    def lines(self) -> bytes:
        """The fields that tell of it, as they go on the wire."""
        told = b""
        if self.deprecated is not None:
            told += b"Deprecation: @%d\r\n" % self.deprecated
        if self.sunset is not None:
            told += b"Sunset: %b\r\n" % formatdate(self.sunset, usegmt=True).encode("ascii")
        for relation, told_of in (("deprecation", self.deprecated), ("sunset", self.sunset)):
            if self.link and told_of is not None:
                told += f'Link: <{self.link}>; rel="{relation}"\r\n'.encode("ascii")
        return told

    def gone(self, now: float) -> bool:
        """Whether the end has come."""
        return self.sunset is not None and now >= self.sunset

    def brown(self, now: float) -> float:
        """How many seconds it doesn't answer yet; 0.0 while it does."""
        return max((one.end - now for one in self.brownouts if one.begin <= now < one.end), default=0.0)

    def state(self, now: float) -> str:
        """In a word, for people."""
        if self.gone(now):
            return "gone"
        if self.brown(now):
            return "brown-out"
        return "deprecated" if self.deprecated is not None and now >= self.deprecated else "served"
