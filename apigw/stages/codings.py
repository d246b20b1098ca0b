"""Content codings as they stream: what goes in comes out at once, and not when a buffer is full."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Protocol

GZIP_LEVEL, BROTLI_QUALITY, ZSTD_LEVEL = 5, 4, 3
"""Where the curves of time and size bend; for each the window is 256 KiB or less, for there may be many streams."""

WINDOW = 18
"""Bits of the window of br and zstd."""


class Coding(Protocol):
    """One body on its way."""

    def feed(self, data: bytes) -> bytes:
        """:return: all of ``data``, encoded, so that the reader can decode it now."""

    def end(self) -> bytes:
        """:return: what must follow for the body to be complete."""


class Gzip:
    """RFC 1952."""

    def __init__(self) -> None:
        self._stream = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)

    def feed(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._stream.flush()


@cache
def available() -> Mapping[str, Callable[[], Coding]]:
    """The codings that there are, by their names in Accept-Encoding, the best first."""
    found: dict[str, Callable[[], Coding]] = {}
    for name, load in (("zstd", _zstd), ("br", _brotli)):
        try:
            found[name] = load()
        except ImportError:
            continue
    return found | {"gzip": Gzip}


def _brotli() -> Callable[[], Coding]:
    import brotli

    class Brotli:
        """RFC 7932."""

        def __init__(self) -> None:
            self._stream = brotli.Compressor(quality=BROTLI_QUALITY, lgwin=WINDOW)

        def feed(self, data: bytes) -> bytes:
            return bytes(self._stream.process(data)) + bytes(self._stream.flush())

        def end(self) -> bytes:
            return bytes(self._stream.finish())

    return Brotli


def _zstd() -> Callable[[], Coding]:
    import zstandard

    made = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(ZSTD_LEVEL, window_log=WINDOW)
    )

    class Zstd:
        """RFC 8878, with a window that RFC 9659 allows."""

        def __init__(self) -> None:
            self._stream = made.compressobj()

        def feed(self, data: bytes) -> bytes:
            return self._stream.compress(data) + self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

        def end(self) -> bytes:
            return self._stream.flush()

    return Zstd
