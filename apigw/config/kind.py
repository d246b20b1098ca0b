"""What an option's text may look like: how it is read, how it is written again, and what it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from attrs import frozen

from apigw.config.problems import did_you_mean

T = TypeVar("T")


class RowError(ValueError):
    """
    An error in one line of a value that has several.

    :ivar row: counted from 0, the line of the key.
    """

    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row


@frozen
class Kind(Generic[T]):
    """
    A kind of value.

    :ivar form: what may be written, for the documentation; Markdown.
    :ivar parse: raises :class:`ValueError` whose text says what is wrong and what would be right.
    :ivar render: the canonical text; ``parse`` takes it back.
    :ivar lines: the text may have several lines.
    :ivar fill: puts in what the environment holds; raises as ``parse``.
    """

    form: str
    parse: Callable[[str], T]
    render: Callable[[T], str] = str
    lines: bool = False
    fill: Callable[[T, Mapping[str, str]], T] | None = None


def choice(*words: str) -> Kind[str]:
    """One of ``words``."""
    listed = ", ".join(words[:-1]) + " or " + words[-1]

    def parse(text: str) -> str:
        if text in words:
            return text
        raise ValueError(f"{text!r} is not {listed}{did_you_mean(text.lower(), words)}")

    return Kind(" or ".join(f"`{word}`" for word in words), parse)


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """
    The items of a list, which stand between commas or on lines of their own.

    :return: each with the row it stands in.
    :raises RowError: nothing stands between two commas.
    """
    for row, line in enumerate(text.split("\n")):
        parts = line.split(",")
        if len(parts) > 1 and not parts[-1].strip():
            parts.pop()
        for part in parts:
            item = part.strip()
            if item:
                yield row, item
            elif len(parts) > 1:
                raise RowError(row, "nothing stands between two commas, remove one of them")


def list_of(
    item: Kind[T], form: str, at_least: int = 0, identity: Callable[[T], object] = lambda value: value
) -> Kind[tuple[T, ...]]:
    """
    Several values of one kind, no two the same.

    :param form: what the items are called, in the plural.
    :param at_least: how many there must be.
    :param identity: equal for two values that count as the same.
    """

    def parse(text: str) -> tuple[T, ...]:
        values: dict[object, T] = {}
        for row, piece in pieces(text):
            try:
                value = item.parse(piece)
            except ValueError as error:
                raise RowError(row, str(error)) from None
            if identity(value) in values:
                raise RowError(row, f"{piece!r} is here twice, remove one of them")
            values[identity(value)] = value
        if len(values) < at_least:
            raise ValueError(f"has {len(values)} items, write {at_least} or more")
        return tuple(values.values())

    def render(values: tuple[T, ...]) -> str:
        return ", ".join(item.render(value) for value in values)

    return Kind(f"list of {form}", parse, render, lines=True)
