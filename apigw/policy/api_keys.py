"""API keys: whose they are, by hash, so that who reads the file of them has none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256

from apigw.policy.principal import Principal

MAX_KEY = 512
"""Bytes of a key."""

_LINE = re.compile(r"(?P<consumer>\S+)\s+sha256:(?P<digest>[0-9a-fA-F]{64})(?:\s.*)?").fullmatch


def digest(key: bytes) -> bytes:
    """What stands for a key: its SHA-256. A key is 128 random bits or more, so it needs neither salt nor stretching."""
    return sha256(key).digest()


def parse_line(text: str) -> tuple[str, bytes] | None:
    """
    One line of a file of keys: ``CONSUMER sha256:HEX``, and after a space whatever helps to remember what it is for.

    :return: consumer and digest; None for an empty line or a comment, which begins with ``#``.
    :raises ValueError: it is in another form; the text doesn't hold the line, which may be a key.
    """
    line = text.strip()
    if not line or line.startswith("#"):
        return None
    found = _LINE(line)
    if found is None:
        raise ValueError("is not of the form: CONSUMER sha256:HEX, where HEX are 64 hexadecimal digits")
    if bytes.fromhex(found["digest"]) == digest(b""):
        raise ValueError("has the hash of nothing, make one by: python -m apigw key CONSUMER")
    return found["consumer"], bytes.fromhex(found["digest"])


def parse_lines(text: str) -> Iterator[tuple[str, bytes]]:
    """
    Consumers and digests of a whole file.

    :raises ValueError: a line is wrong or is there twice; the text begins with its number.
    """
    lines: dict[bytes, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            found = parse_line(line)
        except ValueError as error:
            raise ValueError(f"line {number} {error}") from None
        if found is None:
            continue
        first = lines.setdefault(found[1], number)
        if first != number:
            raise ValueError(f"line {number} has the key of line {first}, take one of the two away")
        yield found


class ApiKeys:
    """
    :param consumers: who they are; one that has keys and isn't there has neither roles nor scopes.

    It costs as much to find a key that is right as one that is wrong: what is compared are hashes, which nobody can
    choose.
    """

    def __init__(self, consumers: Mapping[str, Principal]) -> None:
        self._consumers = consumers
        self._keys: dict[bytes, Principal] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def replace(self, keys: Iterable[tuple[str, bytes]]) -> None:
        """These and no others count from now on. :param keys: consumers and digests."""
        known = dict(self._consumers)
        found = {}
        for name, key in keys:
            if name not in known:
                known[name] = Principal(name, consumer=name)
            found[key] = known[name]
        self._keys = found

    def find(self, digest: bytes) -> Principal | None:
        """:param digest: :func:`digest` of a key. :return: None where it is nobody's."""
        return self._keys.get(digest)
