"""Texts with variables in braces: ``Bearer {claim.partner_token}``; ``{{`` and ``}}`` stand for braces."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from attrs import frozen

T = TypeVar("T")

VARIABLES = (
    "request_id",
    "correlation_id",
    "user",
    "roles",
    "scopes",
    "consumer",
    "client_ip",
    "route",
    "service",
    "method",
    "host",
    "scheme",
    "path",
    "query",
    "version",
)
"""Those that stand for themselves."""

FAMILIES = ("claim", "param", "field")
"""Those with a name of one's own after a dot: of a claim, of a segment of the route's path, of a request field."""

OF_A_TOKEN = ("user", "roles", "scopes", "consumer", "claim")
"""Those that are empty where nobody is asked who they are."""

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[!-z|~]{1,255}").fullmatch


class TemplateError(ValueError):
    """The text is no template. :ivar unknown: the variable that there is not."""

    def __init__(self, text: str, unknown: str = "") -> None:
        super().__init__(text)
        self.unknown = unknown


@frozen
class Template:
    """
    :ivar text: as written.
    :ivar parts: texts and, at odd places, names of variables.
    """

    text: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return self.text

    @property
    def variables(self) -> tuple[str, ...]:
        return self.parts[1::2]

    def bind(self, values: Callable[[str], Callable[[T], bytes]], pieces: str = "utf-8") -> Callable[[T], bytes]:
        """
        :param values: what a variable's value is made by.
        :return: makes the text of what the values are made of.
        """
        if len(self.parts) == 1:
            text = self.parts[0].encode(pieces)
            return lambda _: text
        made: list[bytes | Callable[[T], bytes]] = [
            values(part) if index % 2 else part.encode(pieces) for index, part in enumerate(self.parts)
        ]

        def fill(of: T) -> bytes:
            return b"".join([part if isinstance(part, bytes) else part(of) for part in made])

        return fill


def parse_template(text: str) -> Template:
    """:raises TemplateError: a brace without its other, or a variable that there is not."""
    parts = [""]
    at = 0
    for found in _PIECE.finditer(text):
        parts[-1] += text[at : found.start()]
        at = found.end()
        piece = found[0]
        if piece in ("{{", "}}"):
            parts[-1] += piece[0]
        elif found[1] is None:
            raise TemplateError(f"{text!r} has a brace without its other, write {piece * 2} for the brace itself")
        else:
            _check(found[1])
            parts += [found[1], ""]
    parts[-1] += text[at:]
    return Template(text, tuple(parts))


def _check(name: str) -> None:
    family, dot, rest = name.partition(".")
    if name not in VARIABLES and not (dot and family in FAMILIES and _NAME(rest)):
        raise TemplateError(f"there is no variable {{{name}}}", name)


def carried(value: bytes) -> bytes:
    """What of a variable's value a field can carry: all, or nothing where it has a control character, such as CR."""
    return b"" if _CONTROL(value) else value


_CONTROL = re.compile(rb"[\x00-\x1f\x7f]").search


def split_query(template: Template) -> tuple[Template, Template | None]:
    """A template of a path, and that of the query where there is one: at the first question mark."""
    for index in range(0, len(template.parts), 2):
        before, mark, after = template.parts[index].partition("?")
        if mark:
            path = Template(template.text, (*template.parts[:index], before))
            return path, Template(template.text, (after, *template.parts[index + 1 :]))
    return template, None
