"""What of a request may stand in a log."""

from __future__ import annotations

import re

MAX_LOGGED = 2048
"""Bytes of path and query in a log line."""

_VALUE = re.compile(rb"=[^&;]*")
_BARE = re.compile(rb"(?<=[?&;])[^=&;]+(?=[&;]|$)")


def full(path: bytes, query: bytes) -> bytes:
    """Path and query as sent."""
    return (path + query)[:MAX_LOGGED]


def redacted(path: bytes, query: bytes) -> bytes:
    """Path and query with the query's values replaced, also those without a name: ``/x?token=*&page=*&*``."""
    if not query:
        return path[:MAX_LOGGED]
    return (path + _VALUE.sub(b"=*", _BARE.sub(b"*", query[:MAX_LOGGED])))[:MAX_LOGGED]


def path_only(path: bytes, query: bytes) -> bytes:
    """Without the query."""
    return path[:MAX_LOGGED]
