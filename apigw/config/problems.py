"""What is wrong with a configuration: every error of it at once, each with its place and what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from attrs import frozen


@frozen
class Origin:
    """
    Where a value comes from.

    :ivar file: as the user named it; empty for anything but an INI file.
    :ivar line: counted from 1, 0 where the file as a whole is meant.
    :ivar variable: name of the environment variable; empty for anything but the environment.
    """

    file: str = ""
    line: int = 0
    variable: str = ""

    def __str__(self) -> str:
        if self.variable:
            return f"${self.variable}"
        if self.file:
            return f"{self.file}:{self.line}" if self.line else self.file
        return "default"


DEFAULT = Origin()


@frozen
class ConfigError:
    """
    One error.

    :ivar section: as in the brackets, such as ``route:users``; empty where no section is concerned.
    :ivar key: empty where the section as a whole is meant.
    :ivar message: what is wrong, what would be right.
    """

    origin: Origin
    section: str
    key: str
    message: str

    def __str__(self) -> str:
        place = f"[{self.section}] {self.key}".rstrip() + ": " if self.section else ""
        return f"{self.origin}: {place}{self.message}"


class ConfigErrors(Exception):
    """
    The configuration can't be used; ``str()`` is one line an error.

    :ivar errors: by line, those of the environment last.
    """

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        def rank(error: ConfigError) -> tuple[bool, int, str]:
            return bool(error.origin.variable), error.origin.line, error.origin.variable

        self.errors = sorted(errors, key=rank)
        super().__init__("\n".join(str(error) for error in self.errors))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """:return: ``", did you mean X?"``, or nothing where no known word is close."""
    close = get_close_matches(word, sorted(set(known)), n=1, cutoff=0.6)
    return f", did you mean {close[0]}?" if close else ""
