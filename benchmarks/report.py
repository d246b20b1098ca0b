"""Results as text for the terminal and as sections of a Markdown file."""

import re
from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen

PICTURES = "pictures"  # a directory beside the file

PREAMBLE = """\
# Performance

What the gateway costs beside other proxies, as `python -m benchmarks` measured it. `benchmarks/README.md`
says what each number means and how to get your own; this file is written by that command and not by hand.
"""


@frozen
class Picture:
    """An SVG picture, and the name of the file that it is to be in."""

    name: str
    svg: str


@frozen
class Table:
    """
    A heading, a header and rows of text; the first column is left-aligned, the others right-aligned. In Markdown
    the picture stands above it.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    picture: Picture | None = None

    def text(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        lines = [self.title] if self.title else []
        for row in (self.header, tuple("-" * width for width in widths), *self.rows):
            cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
            cells[0] = row[0].ljust(widths[0])
            lines.append("  " + "  ".join(cells))
        return "\n".join(lines)

    def markdown(self) -> str:
        lines = [f"### {self.title}", ""] if self.title else []
        if self.picture is not None:
            lines += [f"![{self.title}]({PICTURES}/{self.picture.name})", ""]
        rule = ("---", *("---:" for _ in self.header[1:]))
        lines += ["| " + " | ".join(row) + " |" for row in (self.header, rule, *self.rows)]
        return "\n".join(lines)


@frozen
class Section:
    """What one subcommand found: ``about`` says how to read it, ``notes`` what went wrong."""

    title: str
    about: str
    tables: tuple[Table, ...]
    notes: Sequence[str] = field(factory=tuple)

    def text(self) -> str:
        parts = [self.title, self.about, *(table.text() for table in self.tables), *self.notes]
        return "\n\n".join(parts) + "\n"

    def markdown(self, measured: str) -> str:
        parts = [f"## {self.title}", self.about, *(table.markdown() for table in self.tables)]
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join([*parts, measured]) + "\n"


def write_markdown(path: Path, sections: Sequence[Section], measured: str) -> None:
    """
    Write ``sections`` to ``path``, and their pictures beside it.

    Sections there with other titles stay as they are, in their places.
    """
    text = path.read_text() if path.exists() else PREAMBLE
    preamble, *old = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    kept = {part.partition("\n")[0].removeprefix("## "): part.strip() + "\n" for part in old}
    kept |= {section.title: section.markdown(measured) for section in sections}
    path.parent.mkdir(parents=True, exist_ok=True)
    for picture in (table.picture for section in sections for table in section.tables):
        if picture is not None:
            (path.parent / PICTURES).mkdir(exist_ok=True)
            (path.parent / PICTURES / picture.name).write_text(picture.svg)
    path.write_text("\n".join([preamble.strip() + "\n", *kept.values()]))
