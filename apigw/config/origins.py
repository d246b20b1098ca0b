"""Origins of pages, as browsers write them."""

from __future__ import annotations

import re

from apigw.config.addresses import parse_host
from apigw.config.kind import Kind, list_of
from apigw.config.matching import METHOD_LIST
from apigw.policy.cors import ANY

_ORIGIN = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://(\*\.)?(\[[0-9A-Fa-f:.]+\]|[^:/?#@*\[\]]+)(?::([0-9]{1,5}))?"
).fullmatch
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_DEFAULT_PORTS = {"http": 80, "https": 443}


def parse_origin(text: str) -> str:
    """:return: in the form that browsers send: lower case, without a default port; ``*`` for any."""
    if text == ANY:
        return ANY
    if text == "null":
        raise ValueError("'null' is the origin of any sandboxed page, leave it out")
    match = _ORIGIN(text.removesuffix("/"))
    if match is None:
        if "://" not in text:
            raise ValueError(f"{text!r} has no scheme, write https://{text}")
        raise ValueError(
            f"{text!r} is not an origin, write scheme, host and port, such as https://app.example.com:8443,"
            " with *. before the host for one label"
        )
    scheme, wildcard, host, port = match[1].lower(), match[2] or "", parse_host(match[3]), match[4]
    if port and not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} has a port that is none")
    if wildcard and (":" in host or host[-1].isdigit() or "." not in host):
        raise ValueError(f"{text!r}: a *. stands before a domain, such as https://*.example.com")
    host = f"[{host}]" if ":" in host else host
    there = f":{int(port)}" if port and int(port) != _DEFAULT_PORTS.get(scheme) else ""
    return f"{scheme}://{wildcard}{host}{there}"


ORIGINS: Kind[tuple[str, ...]] = list_of(
    Kind("origin", parse_origin), "`SCHEME://HOST`, `SCHEME://HOST:PORT`, `SCHEME://*.HOST`; or `*`", at_least=1
)


def _parse_methods(text: str) -> tuple[str, ...]:
    return (ANY,) if text == ANY else METHOD_LIST.parse(text)


ALLOWED_METHODS: Kind[tuple[str, ...]] = Kind("list of methods, or `*`", _parse_methods, METHOD_LIST.render, lines=True)


def parse_field_name(text: str) -> str:
    if not _TOKEN(text):
        raise ValueError(f"{text!r} is not the name of a field, such as X-Total")
    return text


FIELD_NAMES: Kind[tuple[str, ...]] = list_of(
    Kind("field name", parse_field_name), "names of fields", identity=str.lower
)
ALLOWED_FIELDS: Kind[tuple[str, ...]] = Kind(
    "list of names of fields, or `*`", FIELD_NAMES.parse, FIELD_NAMES.render, lines=True
)
