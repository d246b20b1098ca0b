"""How a listener leads clients to https, and how they are told to stay there."""

from __future__ import annotations

import re

from apigw.config.kind import Kind
from apigw.config.units import parse_duration

_REDIRECT = re.compile(r"https(?::([1-9][0-9]{0,4}))?").fullmatch

DIRECTIVES = ("includeSubDomains", "preload")
YEAR = 365 * 86400


def parse_redirect(text: str) -> int:
    """:return: the port."""
    found = _REDIRECT(text)
    port = int(found[1] or 443) if found else 0
    if not 0 < port < 65536:
        raise ValueError(f"{text!r} is not https or https:PORT")
    return port


def render_redirect(port: int) -> str:
    return "https" if port == 443 else f"https:{port}"


REDIRECT: Kind[int] = Kind("`https` or `https:PORT`", parse_redirect, render_redirect)


def parse_strict_transport(text: str) -> str:
    """:return: the value of Strict-Transport-Security (RFC 6797 section 6.1)."""
    age, *given = text.split()
    seconds = int(parse_duration(age))
    for word in given:
        if word not in DIRECTIVES:
            raise ValueError(f"{word!r} is not {' or '.join(DIRECTIVES)}")
    if len(set(given)) < len(given):
        raise ValueError(f"{text!r} says something twice, remove it")
    if "preload" in given and ("includeSubDomains" not in given or seconds < YEAR):
        raise ValueError("preload needs 365d or more, and includeSubDomains")
    return "; ".join([f"max-age={seconds}", *given])


def render_strict_transport(value: str) -> str:
    age, *given = value.split("; ")
    return " ".join([f"{age.removeprefix('max-age=')}s", *given])


STRICT_TRANSPORT: Kind[str] = Kind(
    "duration, then `includeSubDomains` and `preload` or not", parse_strict_transport, render_strict_transport
)
