"""Names: of sections, as they go into logs, fields and metrics, and as environment variables spell them."""

from __future__ import annotations

import re

from apigw.config.addresses import parse_host
from apigw.config.kind import Kind

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?").fullmatch


def parse_name(text: str) -> str:
    """:return: ``text``, that is one to 64 letters, digits, and ``.``, ``_`` or ``-`` between them."""
    if not _NAME(text):
        raise ValueError(f"{text!r} is not a name: letters, digits and, between them, . _ - up to 64 in all")
    return text


NAME: Kind[str] = Kind("name", parse_name)


def spelled(name: str) -> str:
    """As a part of an environment variable: ``route:users`` is ``ROUTE_USERS``."""
    return re.sub(r"[^A-Za-z0-9]", "_", name).upper()


_HASH_ON = re.compile(r"ip|user|path|(?:header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch


def parse_hash_on(text: str) -> str:
    """What consistent hashing goes by."""
    if not _HASH_ON(text):
        raise ValueError(f"{text!r} is not ip, user, path, header:NAME or cookie:NAME")
    return text


HASH_ON: Kind[str] = Kind("`ip`, `user`, `path`, `header:NAME` or `cookie:NAME`", parse_hash_on)


def parse_server_name(text: str) -> str:
    """A host name to expect in a certificate."""
    name = parse_host(text)
    if ":" in name or name.replace(".", "").isdigit():
        raise ValueError(f"{text!r} is an address, write the name that stands in the certificate")
    return name


SERVER_NAME: Kind[str] = Kind("host name", parse_server_name)
