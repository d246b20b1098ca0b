"""
INI files, read with the line of everything in them, so that each error can name its own.

The dialect is configparser's without its surprises: ``[section]``, ``key = value``, values that go on in indented
lines, comments after ``#`` or ``;`` at the beginning of a line and after a space and ``;`` behind a value. No section
has a meaning of its own, keys keep their case, nothing is interpolated, and nothing may be there twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import define, field, frozen

from apigw.config.problems import ConfigError, Origin
from apigw.config.steps import LINES, Steps, whole

_LINES = re.compile(r"\r\n|\n|\r")
_COMMENT = re.compile(r"(?:^|\s);.*")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]").search


@frozen
class Row:
    """One line of a value: its text without comment and surrounding space, and its number."""

    text: str
    line: int


@define
class Entry:
    """
    A key and its value.

    :ivar rows: the first is that of the key and may be empty; the others aren't.
    """

    key: str
    rows: list[Row]

    @property
    def line(self) -> int:
        return self.rows[0].line


@define
class Block:
    """
    A section.

    :ivar header: what stands in the brackets.
    """

    header: str
    line: int
    entries: dict[str, Entry] = field(factory=dict)


Report = Callable[[ConfigError], object]


def read_ini(text: str, name: str, report: Report) -> dict[str, Block]:
    """As :func:`reading`, at once."""
    return whole(reading(text, name, report))


def reading(text: str, name: str, report: Report) -> Steps[dict[str, Block]]:
    """
    Read an INI file.

    :param name: of the file, for errors.
    :param report: gets each error; what it concerns is left out.
    :return: the sections by header, in order.
    """
    blocks: dict[str, Block] = {}
    block: Block | None = None
    entry: Entry | None = None
    lost = False  # below a header that couldn't be read: its keys belong nowhere
    margin = 0

    def wrong(line: int, message: str, key: str = "") -> None:
        report(ConfigError(Origin(name, line), block.header if block else "", key, message))

    for number, raw in enumerate(_LINES.split(text), start=1):
        if number % LINES == 0:
            yield
        if control := CONTROL(raw):
            wrong(number, f"holds the control character {control[0]!r}, remove it")
            continue
        indent = len(raw) - len(raw.lstrip())
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        line = _COMMENT.sub("", line).rstrip()
        if entry is not None and indent > margin:
            entry.rows.append(Row(line, number))
            continue
        margin = indent
        entry = None
        if line[0] == "[":
            header = line[1:-1].strip()
            lost = not line.endswith("]") or not header or "]" in header or "[" in header
            if lost:
                block = None
                wrong(number, f"{line!r} is not a section, write [name] or [kind:name] on a line of its own")
                continue
            kind, colon, rest = header.partition(":")
            header = f"{kind.strip()}{colon}{rest.strip()}"
            again = blocks.get(header)
            block = again or blocks.setdefault(header, Block(header, number))
            if again is not None:
                wrong(number, f"is here twice, first in line {again.line}; make one section of the two")
            continue
        key, equals, value = line.partition("=")
        key = key.rstrip()
        if not equals or not key:
            wrong(number, f"{line!r} is neither [section] nor key = value")
            continue
        entry = Entry(key, [Row(value.strip(), number)])
        if lost:
            continue
        if block is None:
            wrong(number, f"{key!r} stands before the first section, put it below one, such as [gateway]")
            continue
        first = block.entries.setdefault(key, entry)
        if first is not entry:
            wrong(number, f"is here twice, first in line {first.line}; keep one of the two", key)
    return blocks
