"""Sections on their way: which option has which text, and where it comes from, before anything is read of the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field, frozen

from apigw.config.ini import Block, Entry, Report, Row
from apigw.config.model import GatewayConfig
from apigw.config.names import parse_name
from apigw.config.option import SectionKind, section_kinds
from apigw.config.problems import ConfigError, Origin, did_you_mean
from apigw.config.substitute import substitute

KINDS = section_kinds(GatewayConfig)


@frozen
class Setting:
    """The text that is in force for an option, and what reads it."""

    rows: tuple[Row, ...]
    origin: Origin
    parse: Callable[[str], Any]


@define
class Draft:
    """
    :ivar settings: by key.
    :ivar broken: keys that are given, but not so that they could be used.
    """

    kind: SectionKind
    header: str
    origin: Origin
    settings: dict[str, Setting] = field(factory=dict)
    broken: set[str] = field(factory=set)

    @property
    def name(self) -> str:
        return self.header.partition(":")[2]


def rows_of(text: str, line: int = 0) -> tuple[Row, ...]:
    """The rows of what comes from a variable, all in one line of a file or in none."""
    return tuple(Row(part.strip(), line) for part in text.replace("\r\n", "\n").split("\n"))


class BlockReader:
    """
    :param file: its name, for origins.
    :param used: gets the header, the key and the name of each variable whose value goes into the file's text.
    """

    def __init__(
        self, file: str, environ: Mapping[str, str], report: Report, used: Callable[[str, str, str], object]
    ) -> None:
        self._file = file
        self._environ = environ
        self._report = report
        self._used = used

    def draft(self, block: Block) -> Draft | None:
        """:return: None where it is no section that could be drafted, which has been reported."""
        origin = Origin(self._file, block.line)
        try:
            kind = section_kind(block.header)
        except ValueError as error:
            self._report(ConfigError(origin, block.header, "", str(error)))
            return None
        draft = Draft(kind, block.header, origin)
        for entry in block.entries.values():
            self._settle(draft, entry)
        return draft

    def _settle(self, draft: Draft, entry: Entry) -> None:
        option = draft.kind.option(entry.key)
        if option is None:
            message = unknown_key(draft.kind, entry.key)
            self._report(ConfigError(Origin(self._file, entry.line), draft.header, entry.key, message))
            return
        rows: list[Row] = []
        for row in entry.rows:
            try:
                text, used = substitute(row.text, self._environ)
            except ValueError as error:
                self._report(ConfigError(Origin(self._file, row.line), draft.header, entry.key, str(error)))
                draft.broken.add(entry.key)
                continue
            rows.extend(rows_of(text, row.line))
            for variable in used:
                self._used(draft.header, entry.key, variable)
        if entry.key not in draft.broken:
            draft.settings[entry.key] = Setting(tuple(rows), Origin(self._file, entry.line), option.kind.parse)


def section_kind(header: str) -> SectionKind:
    """:raises ValueError: there is none for the header, or its name is missing, not wanted or not a name."""
    word, colon, name = header.partition(":")
    kind = KINDS.get(word)
    if kind is None:
        headings = {k.kind: k.heading for k in KINDS.values()}
        close = did_you_mean(word.lower(), headings)
        for known, heading in headings.items():
            if close.endswith(f" {known}?"):
                close = f", did you mean {heading.replace('NAME', name or 'NAME')}?"
        raise ValueError(f"unknown section{close or ', write one of ' + ', '.join(k.heading for k in KINDS.values())}")
    if not kind.named and colon:
        raise ValueError(f"takes no name, write {kind.heading}")
    if kind.named and not name:
        raise ValueError(f"needs a name, write {kind.heading}")
    if kind.named:
        parse_name(name)
    return kind


def unknown_key(kind: SectionKind, key: str) -> str:
    """What to say of a key that isn't an option."""
    close = did_you_mean(key.lower(), kind.options)
    if close:
        return f"unknown key{close}"
    for other in KINDS.values():
        if key in other.options:
            return f"unknown key, it belongs into {other.heading}"
    return f"unknown key, there are {', '.join(kind.options)}"
