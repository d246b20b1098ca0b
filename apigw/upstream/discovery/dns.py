"""Peers from the DNS: the addresses of a name, and SRV records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import frozen

from apigw.upstream.discovery.names import Names, NotFound
from apigw.upstream.discovery.source import Answer, Found, Nothing, Source


@frozen
class TtlBounds:
    """
    Between which the DNS is asked again, whatever its TTL says.

    :ivar least: seconds, so that a TTL of 0 is no question for each turn of the loop.
    :ivar most: seconds, so that a service that moved is found in time.
    """

    least: float = 5.0
    most: float = 60.0

    def __call__(self, ttl: float) -> float:
        return min(max(ttl, self.least), self.most)


@frozen
class DnsSource(Source):
    """
    All addresses of a host.

    :ivar host: a name; a dot at its end keeps search domains off.
    :ivar weight: of each address.
    """

    names: Names
    scheme: str
    host: str
    port: int
    weight: int
    backup: bool
    bounds: TtlBounds

    @property
    def label(self) -> str:
        return f"dns:{self.host}"

    async def fetch(self) -> Answer:
        resolved = await self.names.addresses(self.host)
        name = self.host.rstrip(".")
        return Answer(
            tuple(
                Found(
                    scheme=self.scheme,
                    host=address,
                    port=self.port,
                    name=name,
                    weight=self.weight,
                    backup=self.backup,
                )
                for address in resolved.values
            ),
            self.bounds(resolved.ttl),
        )


@frozen
class SrvSource(Source):
    """
    The targets of SRV records (RFC 2782): those of the lowest priority value get the requests by their weights, all
    others are backups. Peers have the name of the domain that was asked for, without its labels of service and
    protocol, not that of the target: whoever forges DNS answers would name his own (RFC 9525 section 6.1).

    :ivar name: such as ``_user._tcp.example``.
    """

    names: Names
    scheme: str
    name: str
    backup: bool
    bounds: TtlBounds

    @property
    def label(self) -> str:
        return f"srv:{self.name}"

    async def fetch(self) -> Answer:
        records = await self.names.services(self.name)
        targets = [record for record in records.values if str(record.target)]
        if not targets:
            raise Nothing(f"{self.name} says that there is no such service")
        first = min(record.priority for record in targets)
        domain = host_of(self.name)
        ttl = records.ttl
        found: list[Found] = []
        for target in targets:
            try:
                resolved = await self.names.addresses(f"{target.target}.")
            except NotFound:
                continue
            ttl = min(ttl, resolved.ttl)
            found += self._peers(target, resolved.values, domain, self.backup or target.priority > first)
        return Answer(tuple(found), self.bounds(ttl))

    def _peers(self, record: Any, addresses: Iterable[str], domain: str, backup: bool) -> Iterable[Found]:
        # A weight of 0 asks for a very small share, which no weight of a peer is; 1 is the least.
        weight = max(1, record.weight)
        for address in addresses:
            yield Found(scheme=self.scheme, host=address, port=record.port, name=domain, weight=weight, backup=backup)


def host_of(name: str) -> str:
    """The domain in the name of an SRV record: what follows the labels that begin with an underscore."""
    labels = name.rstrip(".").split(".")
    while len(labels) > 1 and labels[0].startswith("_"):
        del labels[0]
    return ".".join(labels)
