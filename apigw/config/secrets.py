"""Secrets: the file has only where they are, a variable or a file, and nothing prints them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import evolve, field, frozen

from apigw.config.files import absolute, read
from apigw.config.kind import Kind

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch


@frozen
class Secret:
    """
    :ivar place: name of the variable, or path of the file.
    :ivar value: without white space at its ends, never empty.
    """

    place: str
    value: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        return self.place


def parse_variable(text: str) -> Secret:
    """:return: without its value."""
    if not _VARIABLE(text):
        raise ValueError(f"{text!r} is not the name of an environment variable, write for example APIGW_ADMIN_TOKEN")
    return Secret(text)


def fill(secret: Secret, environ: Mapping[str, str]) -> Secret:
    """:raises ValueError: the variable is not set, or empty."""
    value = environ.get(secret.place, "").strip().encode("utf-8", "surrogateescape")
    if not value:
        raise ValueError(f"the environment variable {secret.place} is not set")
    return evolve(secret, value=value)


def parse_file(text: str) -> Secret:
    path = absolute(text)
    value = read(path).strip()
    if not value:
        raise ValueError(f"{path} is empty, it must hold the secret")
    return Secret(str(path), value)


SECRET_VARIABLE: Kind[Secret] = Kind("name of an environment variable", parse_variable, fill=fill)
SECRET_FILE: Kind[Secret] = Kind("path of a file", parse_file)
