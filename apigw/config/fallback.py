"""``fallback.*`` of a service: what clients get while none of its peers may be asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from apigw.config.checking import TEXT
from apigw.config.files import absolute, read
from apigw.config.kind import Kind
from apigw.config.option import option
from apigw.config.units import integer

MAX_FILE = 1024**2
"""Bytes; it is kept in memory."""

_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+(; *[\x21-\x7e ]+)?").fullmatch


def parse_file(text: str) -> str:
    """:return: the absolute path."""
    path = absolute(text)
    content = read(path)
    if len(content) > MAX_FILE:
        raise ValueError(f"{path} has {len(content)} bytes, {MAX_FILE} are allowed")
    return str(path)


def parse_media_type(text: str) -> str:
    if not _MEDIA_TYPE(text):
        raise ValueError(f"{text!r} is not a media type, such as application/json")
    return text


@frozen(kw_only=True)
class ServiceFallback:
    body: str | None = option(
        TEXT,
        default=None,
        unset="none",
        example='{"tracks": []}',
        help="What GET and HEAD are answered with while no peer may be asked: all breakers are open, or no peer is"
        " healthy or known.",
    )
    file: str | None = option(
        Kind("path", parse_file),
        default=None,
        unset="none",
        example="/etc/apigw/tracks.json",
        help="The same, from a file of 1 MiB at the most.",
    )
    type: str = option(Kind("media type", parse_media_type), default="application/json", help="Its `Content-Type`.")
    status: int = option(integer(200, 599), default=200, help="Its status.")

    @property
    def content(self) -> bytes | None:
        """None where there is none. :raises OSError: the file has gone since the configuration was read."""
        if self.file is not None:
            return Path(self.file).read_bytes()
        return None if self.body is None else self.body.encode()

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        if self.body is not None and self.file is not None:
            yield "fallback.file", "fallback.body is there too, keep one of the two"
