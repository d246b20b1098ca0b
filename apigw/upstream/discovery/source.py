"""What sources of addresses have in common: what they find, for how long it holds, and how they say that they can't."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen


@frozen(kw_only=True)
class Found:
    """
    One address of a service.

    :ivar scheme: ``http`` or ``https``.
    :ivar host: IP address, IPv6 without brackets; a name only where no DNS is asked.
    :ivar name: what Host and the peer's certificate say, empty for ``host``.
    :ivar weight: share of requests relative to the other addresses.
    :ivar backup: used only when no other is usable.
    """

    scheme: str
    host: str
    port: int
    name: str = ""
    weight: int = 1
    backup: bool = False

    @property
    def label(self) -> str:
        """For logs and metrics, such as ``10.0.0.1:9001`` or ``[::1]:80``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def key(self) -> tuple[str, str, int, str, bool]:
        """Equal for two that are the same peer, whatever their weights."""
        return self.scheme, self.host, self.port, self.name, self.backup


@frozen
class Answer:
    """
    :ivar found: all addresses that there are now.
    :ivar ttl: seconds until the source is worth asking again.
    """

    found: tuple[Found, ...]
    ttl: float


class SourceFailed(Exception):
    """
    A source can't tell; the text says why, for operators.

    :cvar kind: of the failure, for metrics.
    """

    kind = "unreachable"


class Malformed(SourceFailed):
    """What the source says makes no sense."""

    kind = "malformed"


class Nothing(SourceFailed):
    """The source knows of no address."""

    kind = "empty"


class NoAccess(SourceFailed):
    """What the source has to be asked with can't be read."""

    kind = "access"


class Source(Protocol):
    """Somebody who knows addresses."""

    @property
    def label(self) -> str:
        """For logs and metrics, such as ``dns:user.example``."""

    async def fetch(self) -> Answer:
        """
        What there is now; a source that is told of changes answers the first time at once, later when there is one.

        :raises SourceFailed: it can't be told; anything else is taken for the same.
        """

    def close(self) -> None:
        """Let go of what is kept open between questions; nothing, unless a source says otherwise."""
        return
