"""The sections about API keys: where they are, and whose."""

# ruff: noqa: RUF009 (option and group are attrs fields)
from __future__ import annotations

import re
from secrets import token_urlsafe

from attrs import frozen

from apigw.config.files import absolute, read
from apigw.config.kind import Kind
from apigw.config.limiting import LIMIT, Limit
from apigw.config.names import NAME, parse_name
from apigw.config.option import option
from apigw.config.tokens import ROLES, SCOPES
from apigw.policy.api_keys import digest, parse_lines

_FIELD = re.compile(r"[A-Za-z0-9-]{1,64}").fullmatch

OTHERS = frozenset(
    ("authorization", "connection", "content-length", "content-type", "cookie", "host", "origin", "transfer-encoding")
)
"""Fields with a meaning of their own."""

PREFIX = "apigw_"
"""By it those who look for secrets in repositories and logs know a key."""


def load_keys(path: str) -> list[tuple[str, bytes]]:
    """
    Consumers and digests of a file of keys.

    :raises ValueError: it can't be read, or is wrong.
    """
    try:
        keys = list(parse_lines(read(absolute(path)).decode("utf-8")))
        for consumer, _ in keys:
            parse_name(consumer)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text") from None
    except ValueError as error:
        text = str(error)
        raise ValueError(text if path in text else f"{path}: {text}") from None
    return keys


def make_key(consumer: str) -> tuple[str, str]:
    """
    :return: a new key of 256 random bits, and its line for the file.
    :raises ValueError: ``consumer`` is not a name.
    """
    key = PREFIX + token_urlsafe(32)
    return key, f"{parse_name(consumer)} sha256:{digest(key.encode()).hex()}"


def parse_key_file(text: str) -> str:
    """:return: absolute path of a file of keys."""
    path = str(absolute(text))
    load_keys(path)
    return path


def parse_key_field(text: str) -> str:
    if not _FIELD(text):
        raise ValueError(f"{text!r} is not the name of a field of letters, digits and hyphens, such as X-API-Key")
    if text.lower() in OTHERS:
        raise ValueError(f"{text!r} has a meaning of its own, write another, such as X-API-Key")
    return text


KEY_FILE: Kind[str] = Kind("file with lines `CONSUMER sha256:HEX`", parse_key_file)
KEY_FIELD: Kind[str] = Kind("name of a field", parse_key_field)


@frozen(kw_only=True)
class ApiKeysSection:
    """
    Keys as a second way in, beside tokens: where `auth` is `optional` or `required`, a key says which consumer asks.
    """

    file: str | None = option(
        KEY_FILE,
        default=None,
        unset="none: no key is looked at",
        example="/etc/apigw/keys",
        help="Has the hashes of the keys; `python -m apigw key CONSUMER` makes a key and its line. Read again when it"
        " changes.",
    )
    field: str = option(
        KEY_FIELD, default="X-API-Key", help="The field of a request that has the key; services don't get it."
    )


@frozen(kw_only=True)
class ConsumerSection:
    """What one consumer may, by all keys that `[api_keys]` has for NAME. One without a section has no roles."""

    name: str
    user: str | None = option(
        NAME, default=None, unset="the consumer's name", example="robot-7", help="What services get as `X-User-Id`."
    )
    roles: tuple[str, ...] = option(ROLES, default=(), unset="none", example="partner", help="Its roles.")
    scopes: tuple[str, ...] = option(SCOPES, default=(), unset="none", example="read:users", help="Its scopes.")
    limit: Limit | None = option(
        LIMIT, default=None, unset="none of its own", example="1000/m", help="For all of its requests together."
    )
