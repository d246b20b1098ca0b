"""``[versioning]``, ``[version:NAME]`` and ``version`` of a route."""

# ruff: noqa: RUF009 (option and group are attrs fields)

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone

from attrs import frozen

from apigw.config.ini import Block, Entry, Report
from apigw.config.kind import Kind, list_of
from apigw.config.option import group, option
from apigw.config.origins import parse_field_name
from apigw.config.problems import ConfigError, Origin
from apigw.config.units import SWITCH, parse_duration, render_duration
from apigw.policy.versions import HEADER, MEDIA, PATH, WORD, Brownout, Life, Source

UNVERSIONED = "none"

_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_URL = re.compile(r"https?://[!#$&-;=?@A-Z\[\]_a-z~%]+").fullmatch


def parse_version(text: str) -> str:
    """:return: without a ``v`` before a digit."""
    version = re.sub(r"^[vV](?=[0-9])", "", text)
    if not WORD(version):
        raise ValueError(f"{text!r} is not a version, such as 2 or 2.1")
    return version


def parse_source(text: str) -> Source:
    kind, _, name = text.partition(":")
    if text in (PATH, MEDIA):
        return Source(kind)
    if kind != HEADER or not _FIELD(name):
        raise ValueError(f"{text!r} is not path, header:NAME or media-type")
    return Source(HEADER, name)


def parse_moment(text: str) -> float:
    """:return: seconds since 1970."""
    try:
        moment = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
    except ValueError:
        raise ValueError(f"{text!r} is not a date, such as 2026-12-31 or 2026-12-31T18:00Z") from None
    if moment.tzinfo is None:
        if len(text) > len("2026-12-31"):
            raise ValueError(f"{text!r} has no time zone, write {text}Z for UTC")
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.timestamp()


def render_moment(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_brownout(text: str) -> Brownout:
    begin, slash, lasts = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is not a date and how long it lasts, such as 2026-11-02T10:00Z/1h")
    moment = parse_moment(begin.strip())
    return Brownout(moment, moment + parse_duration(lasts.strip()))


def render_brownout(brownout: Brownout) -> str:
    return f"{render_moment(brownout.begin)}/{render_duration(brownout.end - brownout.begin)}"


def parse_link(text: str) -> str:
    if not _URL(text):
        raise ValueError(f"{text!r} is not a URL, such as https://example.com/migration")
    return text


def _render_source(source: Source) -> str:
    return f"{HEADER}:{source.name}" if source.kind == HEADER else source.kind


VERSION: Kind[str] = Kind("version, such as `2`", parse_version)
ROUTE_VERSION: Kind[str] = Kind(
    "version, such as `2`, or `none`", lambda text: text if text == UNVERSIONED else parse_version(text)
)
VERSIONS = list_of(VERSION, "versions", at_least=1)
SOURCES = list_of(Kind("source", parse_source, _render_source), "`path`, `header:NAME`, `media-type`", at_least=1)
MOMENT: Kind[float] = Kind("date, or date and time with zone", parse_moment, render_moment)
BROWNOUTS = list_of(Kind("brown-out", parse_brownout, render_brownout), "`BEGIN/DURATION`")
FIELD: Kind[str] = Kind("field name", parse_field_name)
LINK: Kind[str] = Kind("URL", parse_link)


@frozen(kw_only=True)
class Contract:
    field: str | None = option(
        FIELD,
        default=None,
        unset="not looked at",
        example="X-Contract-Version",
        help="The field in which senders name the version of the contract that they were built for.",
    )
    versions: tuple[str, ...] = option(
        VERSIONS,
        default=(),
        unset="none",
        example="1.4, 1.5",
        help="Those that are served, on all routes; 400 `contract-version` for others.",
    )
    required: bool = option(SWITCH, default=False, help="Refuse what has no such field, too.")


@frozen(kw_only=True)
class VersioningSection:
    """Versions of the API: where requests name them. Of each one `[version:NAME]` may say more."""

    sources: tuple[Source, ...] = option(
        SOURCES,
        default=(Source(PATH),),
        help="Where a version may stand; the first that has one counts. `path` is the first segment that is `v` and a"
        " number, among the first three; `header:NAME` is a field; `media-type` is `Accept`, as"
        " `application/vnd.acme.v2+json` or `application/json; version=2`.",
    )
    default: str | None = option(
        VERSION, default=None, unset="no version", example="2", help="For requests that name none."
    )
    versions: tuple[str, ...] = option(
        VERSIONS,
        default=(),
        unset="those that routes and `[version:NAME]` name",
        example="1, 2",
        help="More versions that there are.",
    )
    contract: Contract = group(Contract)

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        if bool(self.contract.field) != bool(self.contract.versions):
            key = "versions" if self.contract.field else "field"
            yield f"contract.{key}", "is missing, contract.field and contract.versions need each other"


@frozen(kw_only=True)
class VersionSection:
    """What is said of one version. `[versioning]` takes the same as `NAME.deprecated`, `NAME.sunset` and so on."""

    name: str
    deprecated: float | None = option(
        MOMENT,
        default=None,
        unset="it is not",
        example="2026-01-01",
        help="Since when, or from when on, it should not be used: `Deprecation` (RFC 9745) says so.",
    )
    sunset: float | None = option(
        MOMENT,
        default=None,
        unset="no end",
        example="2026-12-31",
        help="When it ends: `Sunset` (RFC 8594) says so, and from then on its requests are 410 `version-gone`.",
    )
    link: str | None = option(
        LINK,
        default=None,
        unset="none",
        example="https://example.com/migrate-to-2",
        help="Where people read about that; goes into `Link`.",
    )
    brownouts: tuple[Brownout, ...] = option(
        BROWNOUTS,
        default=(),
        unset="none",
        example="2026-11-02T10:00Z/1h, 2026-12-01T10:00Z/4h",
        help="Times in which it is 503 `version-brownout`, so that who still uses it notices.",
    )

    @property
    def life(self) -> Life:
        return Life(self.name, self.deprecated, self.sunset, self.link or "", self.brownouts)

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        if not WORD(self.name) or parse_version(self.name) != self.name:
            yield "", f"{self.name!r} is not a version, write it as 2 or 2.1"
        if self.deprecated is not None and self.sunset is not None and self.sunset < self.deprecated:
            yield "sunset", "is before deprecated, which it can't be (RFC 9745 section 4)"
        if self.link is not None and self.deprecated is None and self.sunset is None:
            yield "link", "is of no use without deprecated or sunset, add one of them"


OF_A_VERSION = ("deprecated", "sunset", "link", "brownouts")


def spread(blocks: dict[str, Block], file: str, report: Report) -> dict[str, Block]:
    """
    Make ``1.sunset`` in ``[versioning]`` what ``sunset`` in ``[version:1]`` is.

    :param file: its name, for errors.
    """
    block = blocks.get("versioning")
    if block is None:
        return blocks
    made = dict(blocks)
    kept = {}
    for key, entry in block.entries.items():
        version, dot, word = key.rpartition(".")
        if not dot or word not in OF_A_VERSION:
            kept[key] = entry
            continue
        header = f"version:{version}"
        own = made.get(header, Block(header, entry.line))
        if word in own.entries:
            message = f"is in [{header}] too, keep one of the two"
            report(ConfigError(Origin(file, entry.line), "versioning", key, message))
        made[header] = Block(header, own.line, {**own.entries, word: Entry(word, entry.rows)})
    made["versioning"] = Block(block.header, block.line, kept)
    return made
