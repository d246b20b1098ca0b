"""Verified tokens, so that the same one isn't verified for each request; by digest, so that no token is kept."""

from __future__ import annotations

from apigw.policy.principal import Principal


class TokenCache:
    """
    Digest to principal, until the token expires. The oldest entry makes room for a new one.

    :param size: entries.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._entries: dict[bytes, tuple[float, Principal]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, digest: bytes, now: float) -> Principal | None:
        """
        :param digest: SHA-256 of the token.
        :param now: wall-clock seconds.
        :return: None where it isn't there or has expired.
        """
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if entry[0] <= now:
            del self._entries[digest]
            return None
        return entry[1]

    def put(self, digest: bytes, principal: Principal, until: float) -> None:
        """:param until: wall-clock seconds."""
        entries = self._entries
        entries.pop(digest, None)
        while entries and len(entries) >= self._size:
            del entries[next(iter(entries))]
        entries[digest] = (until, principal)

    def clear(self) -> None:
        """Forget all: a key is gone, or another came."""
        self._entries.clear()
